"""What flows through a graph while it becomes a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["DEAD", "FREE", "NCHW", "NHWC", "Dead", "Free", "Shape", "Value"]

# The axes of (N, C, H, W) as the axes of the layout.
NHWC = (0, 3, 1, 2)
NCHW = (0, 1, 2, 3)

Shape = tuple["int | None", ...]


@dataclass(frozen=True)
class Value:
    """A value of the network.

    name: in the network.
    shape: in TensorFlow's order of the axes; sizes that any input may have are None.
    order: axis i in the network is TensorFlow's axis order[i].
    chw: for (N, features) that are (H, W, C) in TensorFlow, but (C, H, W) in the network: those.
    freely_scaled: divided by a number that is not known, as before a dropout's mask.
    """

    name: str
    shape: Shape
    order: tuple[int, ...]
    chw: tuple[int, int, int] | None = None
    freely_scaled: bool = False

    @property
    def sizes(self) -> Shape:
        """The shape in the network."""
        return tuple(self.shape[axis] for axis in self.order)

    def named(self, name: str) -> Value:
        """Return another value of the same kind."""
        return replace(self, name=name)


class Free:
    """A number or a mask that inference does not need: drawn at random, or fed in training."""


class Dead:
    """What is never computed: the side of a condition that is not taken."""


FREE, DEAD = Free(), Dead()
