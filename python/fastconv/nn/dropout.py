"""Dropout layers."""

from __future__ import annotations

from .._arguments import probability
from ..autograd import Tensor, ops
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, set elements to 0 with probability p and scale the others by 1 / (1 - p).

    Srivastava et al. 2014. Masks follow `fastconv.random.manual_seed`. `inplace` is accepted for
    PyTorch's sake and changes nothing.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = probability("Dropout", "p", p)

    def forward(self, x: Tensor) -> Tensor:
        active = self.training and not self.frozen and self.p > 0
        return ops.dropout(x, self.p) if active else x

    def extra_repr(self) -> str:
        return f"p={self.p}"
