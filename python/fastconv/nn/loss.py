"""Losses."""

from __future__ import annotations

from typing import Any

from .._arguments import integer, probability
from ..autograd import Tensor, ops
from .module import Module

__all__ = ["CrossEntropyLoss", "MSELoss"]


def _reduction(op: str, reduction: Any) -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"{op}: reduction must be 'mean', 'sum' or 'none' (reduction={reduction!r})"
        )
    return str(reduction)


class CrossEntropyLoss(Module):
    """The cross-entropy of logits (N, C), not softmaxed, against class numbers (N,).

    `reduction` is "mean", "sum" or "none"; targets equal to `ignore_index` count for nothing.
    `label_smoothing`, from 0 (default) to 1, is the share of each target that is spread evenly
    over all classes (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
    """

    def __init__(
        self,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        self.reduction = _reduction("CrossEntropyLoss", reduction)
        self.ignore_index = integer("CrossEntropyLoss", "ignore_index", ignore_index, -(2**31))
        self.label_smoothing = probability("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        return ops.cross_entropy(
            logits, target, self.reduction, self.ignore_index, self.label_smoothing
        )

    def extra_repr(self) -> str:
        return (
            f"reduction={self.reduction!r}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}"
        )


class MSELoss(Module):
    """The squared difference of two tensors of one shape; `reduction` as in CrossEntropyLoss."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = _reduction("MSELoss", reduction)

    def forward(self, x: Tensor, target: Any) -> Tensor:
        return ops.mse_loss(x, target, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
