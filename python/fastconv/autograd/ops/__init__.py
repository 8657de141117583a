"""Differentiable operations on tensors, named and ordered as in `fastconv.functional`.

Every operation takes tensors or arrays, calls the kernels of the backend in force, and returns a
tensor. What the kernels check, they check here too, with the same errors.
"""

from __future__ import annotations

from .activation import (
    clip,
    leaky_relu,
    log_softmax,
    prelu,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from .arithmetic import add, div, mean, mul, neg, pow, sub, sum
from .conv import conv2d, conv2d_max_pool2d, conv_transpose2d
from .dropout import dropout
from .linear import gemm, linear, matmul
from .loss import cross_entropy, mse_loss
from .normalization import batch_norm, batch_norm_training, local_response_norm
from .pooling import (
    adaptive_avg_pool2d,
    avg_pool2d,
    global_avg_pool2d,
    max_pool2d,
    relu_max_pool2d,
)
from .shape import concat, flatten, index, pad, permute, reshape, to_channels_last, to_contiguous

__all__ = [
    "adaptive_avg_pool2d",
    "add",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_training",
    "clip",
    "concat",
    "conv2d",
    "conv2d_max_pool2d",
    "conv_transpose2d",
    "cross_entropy",
    "div",
    "dropout",
    "flatten",
    "gemm",
    "global_avg_pool2d",
    "index",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "matmul",
    "max_pool2d",
    "mean",
    "mse_loss",
    "mul",
    "neg",
    "pad",
    "permute",
    "pow",
    "prelu",
    "relu",
    "relu_max_pool2d",
    "reshape",
    "sigmoid",
    "softmax",
    "sub",
    "sum",
    "tanh",
    "to_channels_last",
    "to_contiguous",
]
