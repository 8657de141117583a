"""Showing how far a training is: a bar on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from .history import History

__all__ = ["Progress"]

_SMOOTHING = 0.95  # of the loss on display


class Progress:
    """Reports steps and epochs on standard output; with `enabled=False`, nothing.

    The bar is tqdm's. Without tqdm, or where standard output is not a terminal, there are lines.
    """

    def __init__(self, epochs: int, steps: int, enabled: bool = True) -> None:
        self._epochs = epochs
        self._epoch = 0
        self._loss: float | None = None
        self._last: dict[str, str] = {}
        self._lines = enabled
        self._bar: Any = None
        if enabled and sys.stdout.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._lines = False
            self._bar = tqdm(
                total=steps,
                unit="step",
                file=sys.stdout,
                ncols=shutil.get_terminal_size().columns,  # 80 where the terminal does not say
                mininterval=0.2,
            )
            self._bar.set_description(f"epoch 1/{epochs}", refresh=False)

    def step(self, loss: float) -> None:
        """Report one step."""
        smoothing = 0.0 if self._loss is None else _SMOOTHING
        self._loss = loss + smoothing * ((self._loss or 0.0) - loss)
        if self._bar is not None:
            self._bar.set_postfix(self._values(), refresh=False)
            self._bar.update()

    def epoch(self, history: History) -> None:
        """Report the end of an epoch."""
        self._epoch += 1
        self._last = {"train": f"{history.train_accuracy[-1]:.2%}"}
        if history.accuracy:
            self._last["val"] = f"{history.accuracy[-1]:.2%}"
        if self._bar is not None:
            following = min(self._epoch + 1, self._epochs)
            self._bar.set_description(f"epoch {following}/{self._epochs}", refresh=False)
            self._bar.set_postfix(self._values())
        elif self._lines:
            values = "  ".join(f"{name} {value}" for name, value in self._values().items())
            width = len(str(self._epochs))
            print(f"epoch {self._epoch:{width}d}/{self._epochs}  {values}", flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _values(self) -> dict[str, str]:
        return {"loss": "-" if self._loss is None else f"{self._loss:.4f}", **self._last}
