"""Curves for TensorBoard."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

from .callbacks import Callback
from .logs import epoch_record
from .state import State

__all__ = ["TensorBoardLog"]


class TensorBoardLog(Callback):
    """Write event files to the folder `path`, to be seen with `tensorboard --logdir path`.

    Curves over steps: loss and lr every `every` steps (1), and after each epoch train_accuracy,
    accuracy (with validation) and images_per_second. Needs the package tensorboard or tensorboardX;
    neither needs TensorFlow. A resumed training hides what earlier files hold beyond its
    checkpoint. Raises ImportError without either package, ValueError for `every` below 1.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"TensorBoardLog: every must be at least 1 (every={every})")
        self.path = os.fspath(path)
        self.every = every
        self._protos, self._open = _find_writer()
        self._writer: Any = None

    def on_start(self, state: State) -> None:
        self._writer = self._open(self.path)
        # TensorBoard forgets what other files of the folder hold from this step on.
        start = self._protos.SessionLog(status=self._protos.SessionLog.START)
        self._add(state.history.steps + 1, session_log=start)

    def on_step(self, state: State) -> None:
        if state.history.steps % self.every == 0:
            self._scalars(state, {"loss": state.history.loss[-1], "lr": state.history.lr[-1]})

    def on_epoch(self, state: State) -> None:
        record = epoch_record(state)
        names = ("train_accuracy", "accuracy", "images_per_second")
        self._scalars(state, {name: record[name] for name in names if record[name] is not None})
        self._writer.flush()

    def on_end(self, state: State) -> None:
        self._writer.close()

    def _scalars(self, state: State, values: dict[str, float]) -> None:
        summary = self._protos.Summary()
        for name, value in values.items():
            summary.value.add(tag=name, simple_value=value)
        self._add(state.history.steps, summary=summary)

    def _add(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._protos.Event(wall_time=time.time(), step=step, **content))


def _find_writer() -> tuple[SimpleNamespace, Any]:
    """Return the messages of an event file, and what opens one in a folder."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        try:
            from tensorboardX.event_file_writer import EventFileWriter
            from tensorboardX.proto import event_pb2, summary_pb2
        except ImportError as error:
            raise ImportError(
                "TensorBoardLog: event files need tensorboard or tensorboardX: "
                "pip install tensorboard"
            ) from error
    protos = SimpleNamespace(
        Event=event_pb2.Event, SessionLog=event_pb2.SessionLog, Summary=summary_pb2.Summary
    )
    return protos, EventFileWriter
