"""The NumPy twin of every kernel: plain code to read beside the C++ and to test it against.

Names, arguments and shapes are those of `fastconv.functional`; any floating dtype goes, and the
result has it. Nothing here imports the rest of fastconv.
"""

from __future__ import annotations

from .activation import (
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
from .arithmetic import add
from .conv import (
    conv2d,
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_max_pool2d_backward,
)
from .dropout import dropout, dropout_backward
from .gemm import (
    gemm,
    linear,
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
)
from .layout import concat, pad, pad_backward, to_channels_last, to_contiguous
from .norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_training,
    local_response_norm,
    local_response_norm_backward,
)
from .optim import adam_step, average_step, sgd_step, sum_of_squares
from .pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    max_pool2d,
    max_pool2d_backward,
)
from .softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

__all__ = [
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
