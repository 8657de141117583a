"""Callbacks: what a training calls on the way, and those that come with fastconv."""

from __future__ import annotations

import os
from pathlib import Path

from .history import METRICS
from .state import State
from .storage import check_target

__all__ = ["Callback", "CheckpointBest", "EarlyStopping"]


class Callback:
    """Base of callbacks: subclass it and write the methods that are needed.

    Each gets the training's `State`, and may change what it holds. They are called in the order
    in which the callbacks were given, before a checkpoint is written. What a callback has to know
    of earlier steps it should read from `state.history`, which a resumed training brings back.
    """

    def on_start(self, state: State) -> None:
        """Before the first step; `state.history` is not empty if the training was resumed."""

    def on_step(self, state: State) -> None:
        """After each step of the optimizer."""

    def on_epoch(self, state: State) -> None:
        """After each epoch and its validation."""

    def on_end(self, state: State) -> None:
        """At the end, however it came about: finished, stopped, interrupted or by an error."""


class _Watcher(Callback):
    """Watches one number an epoch."""

    def __init__(self, metric: str) -> None:
        name = type(self).__name__
        if metric not in METRICS:
            known = ", ".join(map(repr, METRICS))
            raise ValueError(f"{name}: metric must be one of {known} (metric={metric!r})")
        self.metric = metric

    def on_start(self, state: State) -> None:
        if self.metric == "accuracy" and not state.validation:
            raise ValueError(
                f"{type(self).__name__}: accuracy is measured only on a validation set "
                f"(metric={self.metric!r}, val=None)"
            )

    def _scores(self, state: State) -> list[float]:
        """The number of each epoch so far, turned so that more is better."""
        sign = 1.0 if METRICS[self.metric] else -1.0
        return [sign * value for value in getattr(state.history, self.metric)]


class EarlyStopping(_Watcher):
    """Stop when `patience` epochs in a row brought nothing better than the best before them.

    `metric` is "accuracy" (default), "train_accuracy" or "train_loss"; better means by more than
    `min_delta` (0). The network keeps its last weights: `CheckpointBest` keeps the best. Raises
    ValueError for an unknown metric, `patience` below 1, a negative `min_delta`, and, when the
    training starts, for "accuracy" without a validation set.
    """

    def __init__(self, patience: int = 5, metric: str = "accuracy", min_delta: float = 0.0) -> None:
        super().__init__(metric)
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1 (patience={patience})")
        if not min_delta >= 0:
            raise ValueError(
                f"EarlyStopping: min_delta must not be negative (min_delta={min_delta})"
            )
        self.patience = patience
        self.min_delta = min_delta

    def on_start(self, state: State) -> None:
        super().on_start(state)
        self.on_epoch(state)  # a training that had stopped before it was resumed stays stopped

    def on_epoch(self, state: State) -> None:
        best, waited = float("-inf"), 0
        for score in self._scores(state):
            better = score > best + self.min_delta
            best, waited = (score, 0) if better else (best, waited + 1)
        if waited >= self.patience:
            state.stop = True


class CheckpointBest(_Watcher):
    """Write a checkpoint to `path` after each epoch that is better than all before it.

    `metric` is "accuracy" (default), "train_accuracy" or "train_loss". Needs the extra `train`.
    Raises ValueError for an unknown metric, for a path that is no file in an existing folder and,
    when the training starts, for "accuracy" without a validation set.
    """

    def __init__(self, path: str | os.PathLike[str], metric: str = "accuracy") -> None:
        super().__init__(metric)
        self.path = Path(path)
        check_target("CheckpointBest", self.path)

    def on_epoch(self, state: State) -> None:
        *before, last = self._scores(state)
        if last > max(before, default=float("-inf")):
            state.save(self.path)
