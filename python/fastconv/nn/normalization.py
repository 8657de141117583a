"""Normalisation layers."""

from __future__ import annotations

import numpy as np

from .._arguments import flag, integer, number
from ..autograd import Tensor, ops
from . import init
from .module import Module, Parameter

__all__ = ["BatchNorm2d", "LocalResponseNorm"]


class LocalResponseNorm(Module):
    """Divide by (k + alpha / size * sum of squares over `size` channels) ** beta, (N, C, H, W).

    AlexNet's normalisation (Krizhevsky et al. 2012) in the convention of Caffe and PyTorch, where
    alpha is divided by the size.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = integer("LocalResponseNorm", "size", size, 1)
        self.alpha = number("LocalResponseNorm", "alpha", alpha)
        self.beta = number("LocalResponseNorm", "beta", beta)
        self.k = number("LocalResponseNorm", "k", k)

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class BatchNorm2d(Module):
    """Normalise every channel over the batch, then scale and shift, (N, C, H, W).

    In training the statistics are the batch's (Ioffe and Szegedy 2015,
    https://arxiv.org/abs/1502.03167), and `running_mean` and `running_var` move towards them by
    the share `momentum` (None: they are the mean over all batches); `running_var` is the unbiased
    variance, as in PyTorch. In inference the running statistics are used. `affine=False` leaves out
    `weight` and `bias`, `track_running_stats=False` the running statistics: the batch's are then
    always used. Called with a `residual` of x's shape, it adds that, and with `activation="relu"`
    it then applies a ReLU: in training all in the same passes, forward and backward.
    """

    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features = integer("BatchNorm2d", "num_features", num_features, 1)
        self.eps = number("BatchNorm2d", "eps", eps)
        if self.eps < 0:
            raise ValueError(f"BatchNorm2d: eps must not be negative (eps={eps})")
        self.momentum = None if momentum is None else number("BatchNorm2d", "momentum", momentum)
        self.affine = flag("BatchNorm2d", "affine", affine)
        self.track_running_stats = flag("BatchNorm2d", "track_running_stats", track_running_stats)
        size = self.num_features
        self.weight = Parameter(np.ones(size, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(size, np.float32)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", np.zeros(size, np.float32) if tracked else None)
        self.register_buffer("running_var", np.ones(size, np.float32) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def reset_parameters(self) -> None:
        """Forget the statistics, and make the layer neither scale nor shift."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.fill(0)
            self.running_var.fill(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.fill(0)
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(
        self, x: Tensor, residual: Tensor | None = None, activation: str | None = None
    ) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm2d: x must have the axes (N, {self.num_features}, H, W) "
                f"(shape={x.shape})"
            )
        training = self.training and not self.frozen
        if not training and self.running_mean is not None:
            y = ops.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, self.eps
            )
            if residual is not None:
                return ops.add(y, residual, activation)
            return y if activation is None else ops.relu(y)
        count = x.size // self.num_features
        if training and count < 2:
            raise ValueError(
                f"BatchNorm2d: training needs more than one value per channel (shape={x.shape})"
            )
        y, mean, var = ops.batch_norm_training(
            x, self.weight, self.bias, self.eps, residual=residual, activation=activation
        )
        if training:
            self._track(mean, var, count)
        return y

    def _track(self, mean: np.ndarray, var: np.ndarray, count: int) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:
            share = 1.0 / float(self.num_batches_tracked)
        self.running_mean *= 1 - share
        self.running_mean += share * mean
        self.running_var *= 1 - share
        self.running_var += (share * count / (count - 1)) * var

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )
