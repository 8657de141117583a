"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._arguments import flag, not_negative
from ..autograd import Tensor
from .optimizer import Optimizer, kernels_for

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's convention or in Caffe's.

    With g the gradient plus `weight_decay` times the parameter p, a step does
    v = momentum * v + (1 - dampening) * g (the first time v = g), then p = p - lr * v, or with
    `nesterov` p = p - lr * (g + momentum * v). `convention="caffe"` keeps lr inside the velocity,
    v = momentum * v + lr * g and p = p - v (nesterov: p - (lr * g + momentum * v)): the same while
    lr is constant, but after a drop of lr Caffe's velocity shrinks only slowly.

    `params` is an iterable of parameters, or of mappings with "params" and their own options.
    Defaults: lr 1e-3, everything else off. Raises ValueError for negative options, for `nesterov`
    without momentum or with dampening, and for any other `convention`.

    >>> import fastconv.nn as nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    """

    state_arrays: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        convention: str = "pytorch",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "convention": convention,
        }
        super().__init__(params, defaults)

    def check_options(self, group: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "dampening", "weight_decay"):
            not_negative(self.name, name, group[name])
        flag(self.name, "nesterov", group["nesterov"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum and no dampening "
                f"(momentum={group['momentum']}, dampening={group['dampening']})"
            )
        if group["convention"] not in ("pytorch", "caffe"):
            raise ValueError(
                f"SGD: convention must be 'pytorch' or 'caffe' (convention={group['convention']!r})"
            )

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        for group in self.param_groups:
            params = self.learning(group)
            if not group["momentum"]:
                _step(params, None, False, group)
                continue
            known = [p for p in params if "momentum_buffer" in self.state.get(p, ())]
            _step(known, [self.state[p]["momentum_buffer"] for p in known], False, group)
            fresh = [p for p in params if "momentum_buffer" not in self.state.get(p, ())]
            buffers = [np.empty(p.shape, p.dtype) for p in fresh]
            _step(fresh, buffers, True, group)
            for param, buffer in zip(fresh, buffers, strict=True):
                self.state[param] = {"momentum_buffer": buffer}


def _step(
    params: list[Tensor],
    velocities: list[np.ndarray] | None,
    first: bool,
    group: Mapping[str, Any],
) -> None:
    if params:
        grads = [p.grad for p in params]
        kernels_for(params, grads).sgd_step(
            [p.data for p in params],
            grads,
            velocities,
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            first,
            group["convention"] == "caffe",
        )
