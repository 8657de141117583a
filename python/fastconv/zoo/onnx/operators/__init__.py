"""What becomes of every operator: a module a family, which register their converters."""

from __future__ import annotations

from ..registry import CONVERTERS
from . import (
    activation,
    arithmetic,
    convolution,
    linear,
    movement,
    normalization,
    pooling,
    values,
)

__all__ = [
    "CONVERTERS",
    "activation",
    "arithmetic",
    "convolution",
    "linear",
    "movement",
    "normalization",
    "pooling",
    "values",
]
