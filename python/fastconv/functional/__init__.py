"""Kernels as functions: float32 NumPy arrays in, new NumPy arrays out, over the C++ core.

Arrays have PyTorch's shapes: pictures (N, C, H, W), weights (O, C, H, W). Any memory layout is
accepted; pictures come back channels-last, so that feeding one result to the next costs no copy.
Nothing is cast: other dtypes are a TypeError, shapes and values that do not fit a ValueError.
`fastconv.reference` has the same functions in plain NumPy.
"""

from __future__ import annotations

from fastconv.functional.activation import (
    clip,
    clip_backward,
    leaky_relu,
    leaky_relu_backward,
    prelu,
    prelu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from fastconv.functional.arithmetic import add
from fastconv.functional.conv import (
    PackedConv2d,
    conv2d,
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_max_pool2d_backward,
    pack_conv2d,
)
from fastconv.functional.dropout import dropout, dropout_backward
from fastconv.functional.gemm import (
    PackedLinear,
    gemm,
    linear,
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    pack_linear,
)
from fastconv.functional.layout import concat, pad, pad_backward, to_channels_last, to_contiguous
from fastconv.functional.loss import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from fastconv.functional.norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_training,
    local_response_norm,
    local_response_norm_backward,
)
from fastconv.functional.optim import adam_step, average_step, sgd_step, sum_of_squares
from fastconv.functional.pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    max_pool2d,
    max_pool2d_backward,
)

__all__ = [
    "PackedConv2d",
    "PackedLinear",
    "adam_step",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "average_step",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_training",
    "clip",
    "clip_backward",
    "concat",
    "conv2d",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_max_pool2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "gemm",
    "global_avg_pool2d",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward_bias",
    "linear_backward_input",
    "linear_backward_weight",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "pack_conv2d",
    "pack_linear",
    "pad",
    "pad_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "sum_of_squares",
    "tanh",
    "tanh_backward",
    "to_channels_last",
    "to_contiguous",
]
