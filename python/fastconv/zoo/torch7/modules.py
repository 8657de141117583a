"""Layers that only Torch7's networks need."""

from __future__ import annotations

from ...autograd import Tensor, ops
from ...nn import Module

__all__ = ["DepthConcat", "PadChannels", "ScaleShift"]


class ScaleShift(Module):
    """x * scale + shift, with two numbers."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        self.scale = scale
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        if self.scale != 1:
            x = x * self.scale
        return x if self.shift == 0 else x + self.shift

    def extra_repr(self) -> str:
        return f"scale={self.scale}, shift={self.shift}"


class PadChannels(Module):
    """Put channels of zeros before and behind those of (N, C, H, W)."""

    def __init__(self, before: int, behind: int) -> None:
        self.before = before
        self.behind = behind

    def forward(self, x: Tensor) -> Tensor:
        zeros = x.detach() * 0.0
        return ops.concat([*_channels(zeros, self.before), x, *_channels(zeros, self.behind)])

    def extra_repr(self) -> str:
        return f"before={self.before}, behind={self.behind}"


class DepthConcat(Module):
    """Join the channels of maps of several sizes: the smaller lie amid zeros.

    Where the zeros cannot be as many on both sides, there is one more at the bottom and right.
    """

    def forward(self, *xs: Tensor) -> Tensor:
        height, width = (max(x.shape[axis] for x in xs) for axis in (2, 3))
        return ops.concat([_amid_zeros(x, height, width) for x in xs])


def _channels(x: Tensor, count: int) -> list[Tensor]:
    """Return tensors like x that have `count` channels together."""
    whole, rest = divmod(count, x.shape[1])
    return [x] * whole + ([x[:, :rest]] if rest else [])


def _amid_zeros(x: Tensor, height: int, width: int) -> Tensor:
    if x.shape[2:] == (height, width):
        return x
    missing = (height - x.shape[2], width - x.shape[3])
    return ops.pad(x, tuple((n // 2, n - n // 2) for n in missing))
