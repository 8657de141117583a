"""Showing how far a training is: a bar on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from .state import State

__all__ = ["Progress"]

_SMOOTHING = 0.95  # of the loss on display


class Progress:
    """Reports steps and epochs on standard output; with `enabled=False`, nothing.

    The bar is tqdm's. Without tqdm, or where standard output is not a terminal, there are lines.
    """

    def __init__(self, state: State, enabled: bool = True) -> None:
        self._loss: float | None = None
        self._lines = enabled
        self._bar: Any = None
        if enabled and sys.stdout.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._lines = False
            size = shutil.get_terminal_size()  # 80 by 24 where the terminal does not say
            self._bar = tqdm(
                desc=_title(state),
                total=state.epochs * state.steps_per_epoch,
                initial=state.epoch * state.steps_per_epoch + state.step,
                unit="step",
                file=sys.stdout,
                ncols=size.columns,
                nrows=size.lines,
                mininterval=0.2,
                # As much as 80 columns hold; the time left is that of the whole training.
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
            )

    def step(self, state: State) -> None:
        """Report one step."""
        loss = state.history.loss[-1]
        smoothing = 0.0 if self._loss is None else _SMOOTHING
        self._loss = loss + smoothing * ((self._loss or 0.0) - loss)
        if self._bar is not None:
            self._bar.set_postfix_str(self._text(state), refresh=False)
            self._bar.update()

    def epoch(self, state: State) -> None:
        """Report the end of an epoch."""
        if self._bar is not None:
            self._bar.set_description_str(_title(state), refresh=False)
            self._bar.set_postfix_str(self._text(state))
        elif self._lines:
            width = len(str(state.epochs))
            print(f"epoch {state.epoch:{width}d}/{state.epochs}  {self._line(state)}", flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _text(self, state: State) -> str:
        """What stands behind the bar: of the epoch under way, and the last validation."""
        history = state.history
        if state.images:
            share, rate = state.right / state.images, state.images / max(state.step_seconds, 1e-9)
        else:
            share, rate = history.train_accuracy[-1], history.images_per_second[-1]
        parts = [f"loss {self._loss:.3f}", f"train {share:.1%}"]
        if history.accuracy:
            parts.append(f"val {history.accuracy[-1]:.1%}")
        return " ".join([*parts, f"{rate:,.0f} images/s"])

    def _line(self, state: State) -> str:
        history = state.history
        parts = [f"loss {self._loss:.4f}" if self._loss is not None else "loss -"]
        parts.append(f"train {history.train_accuracy[-1]:.2%}")
        if history.accuracy:
            parts.append(f"val {history.accuracy[-1]:.2%}")
        return "  ".join([*parts, f"{history.images_per_second[-1]:,.0f} images/s"])


def _title(state: State) -> str:
    return f"epoch {min(state.epoch + 1, state.epochs)}/{state.epochs}"
