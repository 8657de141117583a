"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer

__all__ = ["SGD"]

# A step runs over the parameters in pieces whose five arrays stay in a core's second-level cache,
# so that each is read from memory once and not once for every operation.
_PIECE = 1 << 15


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's convention.

    With g the gradient plus `weight_decay` times the parameter p, a step does
    v = momentum * v + (1 - dampening) * g (the first time v = g), then p = p - lr * v, or with
    `nesterov` p = p - lr * (g + momentum * v). Caffe keeps lr inside the momentum,
    v = momentum * v + lr * g and p = p - v: the same while lr is constant, but when lr drops,
    Caffe's velocity shrinks only slowly.

    `params` is an iterable of parameters, or of mappings with "params" and their own options.
    Raises ValueError for negative options, and for `nesterov` without momentum or with dampening.

    >>> import fastconv.nn as nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        self._scratch: dict[np.dtype[Any], tuple[np.ndarray, np.ndarray]] = {}
        super().__init__(params, defaults)

    def check_options(self, group: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            if not group[name] >= 0:
                raise ValueError(f"SGD: {name} must not be negative ({name}={group[name]})")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum and no dampening "
                f"(momentum={group['momentum']}, dampening={group['dampening']})"
            )

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                velocity, fresh = None, False
                if group["momentum"]:
                    state = self.state.setdefault(param, {})
                    fresh = "momentum_buffer" not in state
                    if fresh:
                        state["momentum_buffer"] = np.zeros(param.shape, param.dtype)
                    velocity = state["momentum_buffer"].reshape(-1)
                if not param.data.flags.c_contiguous:
                    param.data = np.ascontiguousarray(param.data)
                self._update(param.data.reshape(-1), param.grad.reshape(-1), velocity, fresh, group)

    def _update(
        self,
        p: np.ndarray,
        grad: np.ndarray,
        velocity: np.ndarray | None,
        fresh: bool,
        group: Mapping[str, Any],
    ) -> None:
        """Step one parameter, given as flat arrays that are not copies."""
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        keep = 1.0 if fresh else 1.0 - group["dampening"]
        if p.dtype not in self._scratch:
            self._scratch[p.dtype] = (np.empty(_PIECE, p.dtype), np.empty(_PIECE, p.dtype))
        scratch1, scratch2 = self._scratch[p.dtype]
        for start in range(0, p.size, _PIECE):
            piece = slice(start, start + _PIECE)
            p_piece, g = p[piece], grad[piece]
            step, decayed = scratch1[: p_piece.size], scratch2[: p_piece.size]
            if decay:
                np.multiply(p_piece, decay, out=decayed)
                decayed += g
                g = decayed
            if velocity is not None:
                v = velocity[piece]
                if not fresh:
                    v *= momentum
                if keep == 1.0:
                    v += g
                else:
                    np.multiply(g, keep, out=step)
                    v += step
                if group["nesterov"]:
                    np.multiply(v, momentum, out=step)
                    step += g
                    g = step
                else:
                    g = v
            np.multiply(g, lr, out=step)
            p_piece -= step
