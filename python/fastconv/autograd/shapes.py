"""A backend that computes output shapes and nothing else.

Its arrays repeat one zero through strides of 0, so a network of any size runs in milliseconds and
takes no memory. It has the forward functions of `fastconv.functional` and checks that shapes fit;
there is no backward, but for the kernel that a transposed convolution runs forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arguments import integer, pair
from .geometry import ceil_mode_of, conv_length, padding_of, pool_lengths

__all__ = [
    "adaptive_avg_pool2d",
    "add",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_training",
    "clip",
    "concat",
    "conv2d",
    "conv2d_backward_input",
    "cross_entropy",
    "dropout",
    "gemm",
    "global_avg_pool2d",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "max_pool2d",
    "pad",
    "prelu",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "to_channels_last",
    "to_contiguous",
]


def _zeros(shape: Sequence[int], dtype: Any) -> np.ndarray:
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def _need_4d(op: str, x: np.ndarray) -> None:
    if x.ndim != 4:
        raise ValueError(f"{op}: x must have the axes (N, C, H, W) (shape={x.shape})")


def _need_windows(op: str, x: np.ndarray, out: tuple[int, int], kernel: tuple[int, int]) -> None:
    if min(out) < 1:
        raise ValueError(
            f"{op}: the window must fit into x "
            f"(kernel_size={kernel}, x={x.shape[2:]}, output={out})"
        )


def gemm(
    a: np.ndarray,
    b: np.ndarray,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    **epilogue: Any,
) -> np.ndarray:
    rows, inner = a.shape[::-1] if trans_a else a.shape
    inner_b, columns = b.shape[::-1] if trans_b else b.shape
    if inner != inner_b:
        raise ValueError(f"gemm: inner sizes must agree (a={a.shape}, b={b.shape})")
    return _zeros((rows, columns), a.dtype)


def linear(
    x: np.ndarray, weight: np.ndarray, bias: Any = None, activation: Any = None
) -> np.ndarray:
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: the last axis of x must be the inputs of weight "
            f"(x={x.shape}, weight={weight.shape})"
        )
    return _zeros((*x.shape[:-1], weight.shape[0]), x.dtype)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    **epilogue: Any,
) -> np.ndarray:
    _need_4d("conv2d", x)
    channels = x.shape[1]
    if channels != weight.shape[1] * groups:
        raise ValueError(
            f"conv2d: weight must take the channels of x "
            f"(channels={channels}, weight={weight.shape}, groups={groups})"
        )
    kernel = (weight.shape[2], weight.shape[3])
    out_h, out_w = (
        conv_length(n, k, s, p, d)
        for n, k, s, p, d in zip(
            x.shape[2:],
            kernel,
            pair("conv2d", "stride", stride, 1),
            padding_of("conv2d", padding),
            pair("conv2d", "dilation", dilation, 1),
            strict=True,
        )
    )
    _need_windows("conv2d", x, (out_h, out_w), kernel)
    return _zeros((x.shape[0], weight.shape[0], out_h, out_w), x.dtype)


def conv2d_backward_input(
    grad_output: np.ndarray,
    weight: np.ndarray,
    input_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    **options: Any,
) -> np.ndarray:
    x = _zeros(input_shape, grad_output.dtype)
    expected = conv2d(x, weight, None, stride, padding, dilation, groups).shape
    if grad_output.shape != expected:
        raise ValueError(
            f"conv2d_backward_input: grad_output must have the shape of the output "
            f"(expected={expected}, grad_output={grad_output.shape})"
        )
    return x


def _pool(
    op: str,
    x: np.ndarray,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool | str,
) -> np.ndarray:
    _need_4d(op, x)
    kernel = pair(op, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else pair(op, "stride", stride, 1)
    sides = padding_of(op, padding)
    gaps = pair(op, "dilation", dilation, 1)
    size = (x.shape[2], x.shape[3])
    out = pool_lengths(size, kernel, steps, sides, gaps, ceil_mode_of(op, ceil_mode))
    _need_windows(op, x, out, kernel)
    for n, m, k, s, p, d in zip(size, out, kernel, steps, sides, gaps, strict=True):
        if 2 * max(p) > k:
            raise ValueError(
                f"{op}: padding must be at most half the window "
                f"(padding={padding!r}, kernel_size={kernel})"
            )
        starts = range(-p[0], m * s - p[0], s)
        outer = (*starts[: -(-p[0] // s)], starts[-1])  # the others begin with an element of x
        if not all(any(0 <= start + d * i < n for i in range(k)) for start in outer):
            raise ValueError(
                f"{op}: every window must hold an element of x "
                f"(kernel_size={kernel}, stride={steps}, x={size})"
            )
    return _zeros((*x.shape[:2], *out), x.dtype)


def max_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool | str = False,
    return_indices: bool = False,
) -> Any:
    out = _pool("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return (out, _zeros(out.shape, np.int32)) if return_indices else out


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    return _pool("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)


def adaptive_avg_pool2d(x: np.ndarray, output_size: Any) -> np.ndarray:
    _need_4d("adaptive_avg_pool2d", x)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    out = (
        n if size is None else integer("adaptive_avg_pool2d", "output_size", size, 1)
        for n, size in zip(x.shape[2:], sizes, strict=True)
    )
    return _zeros((*x.shape[:2], *out), x.dtype)


def global_avg_pool2d(x: np.ndarray) -> np.ndarray:
    _need_4d("global_avg_pool2d", x)
    return _zeros((*x.shape[:2], 1, 1), x.dtype)


def local_response_norm(x: np.ndarray, size: int, *constants: float) -> np.ndarray:
    _need_4d("local_response_norm", x)
    return _zeros(x.shape, x.dtype)


def batch_norm(x: np.ndarray, mean: np.ndarray, var: np.ndarray, *rest: Any, **options: Any) -> Any:
    if x.ndim not in (2, 4) or x.shape[1] != mean.size:
        raise ValueError(
            f"batch_norm: x must have the channels of mean (x={x.shape}, mean={mean.shape})"
        )
    return _zeros(x.shape, x.dtype)


def batch_norm_training(
    x: np.ndarray, weight: Any = None, bias: Any = None, eps: float = 1e-5, **epilogue: Any
) -> Any:
    channels = x.shape[1]
    if weight is not None and weight.size != channels:
        raise ValueError(
            f"batch_norm: x must have the channels of weight (x={x.shape}, weight={weight.shape})"
        )
    statistics = _zeros((channels,), x.dtype)
    return _zeros(x.shape, x.dtype), statistics, statistics


def _same(x: np.ndarray, *options: Any, **more: Any) -> np.ndarray:
    return _zeros(x.shape, x.dtype)


relu = leaky_relu = prelu = sigmoid = tanh = clip = softmax = log_softmax = dropout = _same
to_channels_last = to_contiguous = _same


def cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: logits must be (N, C) and target (N,) "
            f"(logits={logits.shape}, target={target.shape})"
        )
    return _zeros(target.shape if reduction == "none" else (), logits.dtype)


def add(x: np.ndarray, y: np.ndarray, *, activation: Any = None) -> np.ndarray:
    if x.shape != y.shape:
        raise ValueError(f"add: x and y must have the same shape (x={x.shape}, y={y.shape})")
    return _zeros(x.shape, x.dtype)


def concat(xs: Sequence[np.ndarray], dim: int = 1) -> np.ndarray:
    if not xs:
        raise ValueError("concat: at least one array is needed (count=0)")
    shapes = [list(x.shape) for x in xs]
    joined = sum(shape.pop(dim) for shape in shapes)
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"concat: sizes must agree but along dim (shapes={[x.shape for x in xs]}, dim={dim})"
        )
    out = shapes[0]
    out.insert(dim % xs[0].ndim, joined)
    return _zeros(out, xs[0].dtype)


def pad(x: np.ndarray, padding: Any, value: float = 0.0) -> np.ndarray:
    _need_4d("pad", x)
    out = (n + sum(p) for n, p in zip(x.shape[2:], padding_of("pad", padding), strict=True))
    return _zeros((*x.shape[:2], *out), x.dtype)
