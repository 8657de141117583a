"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._arguments import not_negative, numbers
from ..autograd import Tensor
from .optimizer import Optimizer, kernels_for

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980), in PyTorch's formulas.

    With g the gradient plus `weight_decay` times the parameter p, step number t (each parameter
    counts its own, from 1) does m = beta1 * m + (1 - beta1) * g,
    s = beta2 * s + (1 - beta2) * g**2, then
    p = p - lr * m / (1 - beta1**t) / (sqrt(s / (1 - beta2**t)) + eps), with `betas` = (beta1,
    beta2). `state` has m as "exp_avg", s as "exp_avg_sq" and t as "step".

    `params` is an iterable of parameters, or of mappings with "params" and their own options.
    Defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weight_decay 0. Raises ValueError for negative
    options and for betas that are not from 0 up to 1.

    >>> import fastconv.nn as nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = Adam(net.parameters(), lr=1e-3)
    """

    state_arrays: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    state_numbers: ClassVar[tuple[str, ...]] = ("step",)
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def check_options(self, group: Mapping[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay"):
            not_negative(self.name, name, group[name])
        betas = numbers(self.name, "betas", group["betas"], 2)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{self.name}: betas must be two numbers in [0, 1) (betas={betas})")

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        for group in self.param_groups:
            by_step: dict[int, list[Tensor]] = {}
            for param in self.learning(group):
                if not self.state.get(param):
                    self.state[param] = {
                        "step": np.zeros((), np.float32),
                        "exp_avg": np.zeros(param.shape, param.dtype),
                        "exp_avg_sq": np.zeros(param.shape, param.dtype),
                    }
                by_step.setdefault(int(self.state[param]["step"]) + 1, []).append(param)
            for step, params in by_step.items():
                self._step(params, step, group)

    def _step(self, params: list[Tensor], step: int, group: Mapping[str, Any]) -> None:
        states = [self.state[p] for p in params]
        grads = [p.grad for p in params]
        kernels_for(params, grads).adam_step(
            [p.data for p in params],
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            step,
            group["lr"],
            *group["betas"],
            group["eps"],
            group["weight_decay"],
            self._decoupled,
        )
        for state in states:
            state["step"].fill(step)


class AdamW(Adam):
    """Adam whose weight decay is not part of the gradient (Loshchilov & Hutter 2019,
    https://arxiv.org/abs/1711.05101), in PyTorch's formulas.

    Each step first does p = p - lr * weight_decay * p, then Adam's step without weight decay.
    Defaults are Adam's, but weight_decay 1e-2.
    """

    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
