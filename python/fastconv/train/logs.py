"""Logs of a training: tables and JSON lines that a resumed training continues."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .callbacks import Callback
from .state import State
from .storage import replace_file

__all__ = ["CSVLog", "JSONLog", "epoch_record"]

_COLUMNS = (
    "epoch", "step", "loss", "lr", "train_accuracy", "accuracy", "images_per_second", "seconds",
)  # fmt: skip


def epoch_record(state: State) -> dict[str, Any]:
    """Return the numbers of the epoch that has just ended; accuracy None without validation."""
    history = state.history
    values = (
        state.epoch,
        history.steps,
        history.train_loss[-1],
        history.lr[-1],
        history.train_accuracy[-1],
        history.accuracy[-1] if history.accuracy else None,
        round(history.images_per_second[-1], 1),
        round(history.seconds, 3),
    )
    return dict(zip(_COLUMNS, values, strict=True))


class _Lines(Callback):
    """A text file that grows by whole lines.

    A training from its first step starts the file anew. A resumed one first drops the lines after
    its checkpoint, and what a crash cut short.
    """

    _head = ""  # the first line

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir() or not self.path.absolute().parent.is_dir():
            raise ValueError(
                f"{type(self).__name__}: the log must be a file in an existing folder "
                f"(file={self.path})"
            )

    def on_start(self, state: State) -> None:
        text = self._head
        if state.history.steps and self.path.exists():
            text += "".join(self._kept(state.epoch, state.history.steps))
        replace_file(self.path, lambda path: _write(path, text))

    def _kept(self, epochs: int, steps: int) -> Iterable[str]:
        """The lines up to an epoch and a step, the head left out."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if self._head:
            if lines and lines[0] != self._head:
                raise self._foreign(lines[0])
            lines = lines[1:]
        for line in lines:
            if not line.endswith("\n"):
                return
            try:
                epoch, step = self._place(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._foreign(line) from error
            if epoch <= epochs and step <= steps:
                yield line

    def _foreign(self, line: str) -> ValueError:
        return ValueError(
            f"{type(self).__name__}: the log to continue must be one of these "
            f"(file={self.path}, line={line!r})"
        )

    def _place(self, line: str) -> tuple[int, int]:
        """The epoch whose end a line tells of (0: of none), and the step."""
        raise NotImplementedError

    def _append(self, line: str) -> None:
        # One write at the end of the file: what kills the process does not halve it.
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())


class CSVLog(_Lines):
    """Write one row after each epoch to a CSV file at `path`, under a row of names.

    The columns are epoch, step, loss (the mean of the epoch's steps), lr, train_accuracy, accuracy
    (empty without validation), images_per_second and seconds. A resumed training continues the
    file from its checkpoint on; any other starts it anew. Raises ValueError for a `path` in no
    folder, and, when a training resumes, for a file with other columns.
    """

    _head = ",".join(_COLUMNS) + "\n"

    def on_epoch(self, state: State) -> None:
        text = io.StringIO()
        csv.DictWriter(text, _COLUMNS, lineterminator="\n").writerow(epoch_record(state))
        self._append(text.getvalue())

    def _place(self, line: str) -> tuple[int, int]:
        epoch, step = line.split(",")[:2]
        return int(epoch), int(step)


class JSONLog(_Lines):
    """Write one JSON object after each epoch, a line each, to a file at `path` (JSON lines).

    The names are those of `CSVLog`. With `every`, each `every` steps (default None: never) there
    is also a line with step, loss and lr alone. A resumed training continues the file from its
    checkpoint on; any other starts it anew. Raises ValueError for `every` below 1, a `path` in no
    folder, and, when a training resumes, for a file of another kind.
    """

    def __init__(self, path: str | os.PathLike[str], every: int | None = None) -> None:
        super().__init__(path)
        if every is not None and every < 1:
            raise ValueError(f"JSONLog: every must be at least 1 (every={every})")
        self.every = every

    def on_step(self, state: State) -> None:
        history = state.history
        if self.every is not None and history.steps % self.every == 0:
            record = {"step": history.steps, "loss": history.loss[-1], "lr": history.lr[-1]}
            self._append(json.dumps(record) + "\n")

    def on_epoch(self, state: State) -> None:
        self._append(json.dumps(epoch_record(state)) + "\n")

    def _place(self, line: str) -> tuple[int, int]:
        record = json.loads(line)
        return int(record.get("epoch", 0)), int(record["step"])


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())  # bytes: line ends stay as they are on every system
