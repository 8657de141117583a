"""What happened during a training."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """The numbers of one training, in order.

    `loss` and `lr` have one entry for each step; `train_accuracy` (while learning, so of a network
    that was still changing, on augmented pictures if there is augmentation) and `accuracy` (on the
    validation set; empty without one) one for each epoch, as shares from 0 to 1. `seconds` is the
    time that all of it took, validation included.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """The number of epochs finished."""
        return len(self.train_accuracy)

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.loss)
