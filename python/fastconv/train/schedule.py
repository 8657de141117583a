"""Learning-rate schedules: functions of the share of training done, giving a factor of `lr`."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["Schedule", "constant", "cosine", "one_cycle"]

Schedule = Callable[[float], float]

_WARMUP = 0.2
_START = 0.04


def constant(done: float) -> float:
    """Stay at the full rate."""
    return 1.0


def cosine(done: float) -> float:
    """Fall from the full rate to zero along half a cosine (Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1608.03983)."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def one_cycle(done: float) -> float:
    """Rise from 4 % to the full rate over the first fifth, then fall as `cosine` does (after
    Smith & Topin 2018, https://arxiv.org/abs/1708.07120)."""
    if done < _WARMUP:
        return _START + (1.0 - _START) * done / _WARMUP
    return cosine((done - _WARMUP) / (1.0 - _WARMUP))
