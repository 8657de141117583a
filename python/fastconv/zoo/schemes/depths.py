"""How many layers the stages have of networks whose layers zoos number by stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["RESNET", "VGG", "vgg_convolutions"]

# By the number in the network's name: convolutions and blocks a stage.
VGG = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
RESNET = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def vgg_convolutions(depths: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield the stage and the number in it of every convolution, from 1, and our name for it."""
    place = 0
    for stage, depth in enumerate(depths, 1):
        for number in range(1, depth + 1):
            yield stage, number, f"features.{place}"
            place += 2  # a ReLU follows
        place += 1  # the pooling
