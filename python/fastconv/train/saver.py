"""When a training writes its checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

from .state import State
from .storage import check_target

__all__ = ["Saver"]


class Saver:
    """Writes checkpoints to `path`, or none (None): every so many steps, every so many seconds."""

    def __init__(
        self, path: Path | None, steps: int | None = None, seconds: float | None = None
    ) -> None:
        if path is None and (steps is not None or seconds is not None):
            raise ValueError(
                "fit: checkpoint_steps and checkpoint_seconds need a checkpoint (checkpoint=None)"
            )
        if steps is not None and steps < 1:
            raise ValueError(f"fit: checkpoint_steps must be at least 1 (checkpoint_steps={steps})")
        if seconds is not None and not seconds > 0:
            raise ValueError(
                f"fit: checkpoint_seconds must be positive (checkpoint_seconds={seconds})"
            )
        if path is not None:
            check_target("fit", path)
        self.path = path
        self._steps = steps
        self._seconds = seconds
        self._place: tuple[int, int] | None = None  # of the last one
        self._time = time.perf_counter()

    def step(self, state: State) -> None:
        """Write one after a step if it is time."""
        due = self._steps is not None and state.history.steps % self._steps == 0
        if self._seconds is not None:
            due = due or time.perf_counter() - self._time >= self._seconds
        if due:
            self.save(state)

    def save(self, state: State) -> None:
        """Write one now, unless nothing happened since the last one."""
        place = (state.epoch, state.step)
        if self.path is None or place == self._place:
            return
        state.save(self.path)
        self._place = place
        self._time = time.perf_counter()
