"""What happened during a training."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["METRICS", "History"]

# What can be watched, one number an epoch, and whether more of it is better.
METRICS = {"accuracy": True, "train_accuracy": True, "train_loss": False}


@dataclass
class History:
    """The numbers of one training, in order.

    `loss` and `lr` (of the optimizer's first group) have one entry for each step. One for each
    epoch have `train_loss`, the mean of its steps; `train_accuracy` (while learning, so of a
    network that was still changing, on augmented pictures if there is augmentation) and `accuracy`
    (on the validation set; empty without one), as shares from 0 to 1; and `images_per_second`,
    validation left out. `seconds` is the time that all of it took, validation included, over every
    session of a training that was resumed. `interrupted` says that Ctrl-C ended it.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    images_per_second: list[float] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def epochs(self) -> int:
        """The number of epochs finished."""
        return len(self.train_accuracy)

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.loss)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw loss, learning rate and accuracy (`plots.training_curve`); saved to `path` if given.

        Needs the extra `plots`. Raises ValueError if no step was taken.
        """
        from ..plots import training_curve  # plots itself knows histories

        return training_curve(self, path)
