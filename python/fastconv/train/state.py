"""What a training is made of while it runs: callbacks read it, checkpoints keep it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ..nn import Module
from ..optim import EMA, Optimizer
from .checkpoint import Checkpoint, save_checkpoint
from .history import History

__all__ = ["State"]


@dataclass(eq=False)
class State:
    """A training under way, as callbacks see it.

    `epoch` counts the epochs finished and `step` the steps of the one under way, so that together
    they are the place to go on from. `epochs` and `steps_per_epoch` are what was asked for;
    `validation` says whether accuracy is measured after each epoch. A callback that sets `stop`
    ends the training after this step. `ema` is the running average of the weights, if there is one.
    """

    net: Module
    optimizer: Optimizer
    history: History
    epochs: int
    steps_per_epoch: int
    validation: bool = False
    ema: EMA | None = None
    epoch: int = 0
    step: int = 0
    stop: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    skipped: int = 0  # steps without a readable picture, of the epoch under way
    right: int = 0  # answers, of the epoch under way
    images: int = 0  # of the epoch under way
    step_seconds: float = 0.0  # of the epoch under way

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint from which `fit` can go on; see `save_checkpoint`."""
        save_checkpoint(
            path,
            self.net,
            self.optimizer,
            ema=self.ema,
            history=self.history,
            epoch=self.epoch,
            step=self.step,
            settings=self.settings,
            tally=self.tally(),
        )

    def tally(self) -> dict[str, float]:
        """What was counted in the epoch under way."""
        names = ("skipped", "right", "images", "step_seconds")
        return {name: getattr(self, name) for name in names}

    def restore(self, saved: Checkpoint) -> None:
        """Go to where a checkpoint stands; nothing changes unless everything fits."""
        saved.restore(self.net, self.optimizer, ema=self.ema)
        self.history = saved.history
        self.epoch, self.step = saved.epoch, saved.step
        for name, value in saved.tally.items():
            setattr(self, name, value)
