"""To be replaced by optim."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def scale_lr(optimizer: Any, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


def clip_grad_norm_(params: Iterable[Any], max_norm: float) -> float:
    grads = [p.grad for p in params if p.grad is not None]
    norm = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads))
    if norm > max_norm:
        for g in grads:
            g *= max_norm / norm
    return norm
