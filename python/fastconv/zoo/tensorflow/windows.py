"""Convolutions, poolings and normalisations: what slides over feature maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ..archive import FormatError
from .attributes import flag, integer, integers, number, text
from .builder import Builder, float32
from .folding import axes_of
from .graph import Node
from .values import NCHW, NHWC, Value

__all__ = ["WINDOWS", "layout"]

_Pads = tuple[tuple[int, int], tuple[int, int]]


def layout(node: Node) -> tuple[int, ...]:
    """Return where a node has the axes of (N, C, H, W)."""
    name = text(node, "data_format", "NHWC")
    if name not in ("NHWC", "NCHW"):
        raise FormatError(f"tensorflow: {node} must be NHWC or NCHW (data_format={name!r})")
    return NHWC if name == "NHWC" else NCHW


def _pair(node: Node, name: str, values: list[int]) -> tuple[int, int]:
    """Return the numbers for height and width out of those for all axes."""
    if len(values) != 4:
        raise FormatError(f"tensorflow: {node} must have four numbers ({name}={values})")
    n, c, h, w = (values[axis] for axis in layout(node))
    if n != 1 or c != 1 or min(h, w) < 1:
        raise FormatError(f"tensorflow: {node} must have windows within planes ({name}={values})")
    return h, w


def _pads(
    node: Node,
    x: Value,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> _Pads:
    """Return the padding: of SAME, the odd row or column is at the bottom or on the right."""
    kind = text(node, "padding")
    if kind == "VALID":
        return (0, 0), (0, 0)
    if kind == "EXPLICIT":
        given = integers(node, "explicit_paddings")
        order = layout(node)
        if (
            len(given) != 8
            or min(given) < 0
            or any(given[2 * a + i] for a in order[:2] for i in (0, 1))
        ):
            raise FormatError(f"tensorflow: {node} must pad planes alone (padding={given})")
        top, left = 2 * order[2], 2 * order[3]
        return (given[top], given[top + 1]), (given[left], given[left + 1])
    if kind != "SAME":
        raise FormatError(f"tensorflow: {node} must have a known padding (padding={kind!r})")
    pads = []
    for size, k, s, d in zip(x.sizes[2:], kernel, stride, dilation, strict=True):
        window = d * (k - 1) + 1
        if s == 1 or window == 1:
            total = window - 1
        elif size is None:
            raise FormatError(
                f"tensorflow: {node} must know the size of its input, as SAME padding with a "
                f"stride depends on it (input={x.shape}, stride={stride})"
            )
        else:
            total = max((-(-size // s) - 1) * s + window - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads[0], pads[1]


def _lengths(
    node: Node,
    x: Value,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: _Pads,
    dilation: tuple[int, int] = (1, 1),
) -> list[int | None]:
    """Return the height and the width of the output."""
    lengths: list[int | None] = []
    for n, k, s, p, d in zip(x.sizes[2:], kernel, stride, pads, dilation, strict=True):
        length = None if n is None else (n + sum(p) - d * (k - 1) - 1) // s + 1
        if length is not None and length < 1:
            raise FormatError(
                f"tensorflow: {node} must have windows that fit its input "
                f"(input={x.shape}, kernel={kernel}, padding={pads})"
            )
        lengths.append(length)
    return lengths


def _value(name: str, x: Value, channels: int, lengths: list[int | None]) -> Value:
    """Return the value of feature maps in the order of `x`."""
    shape: list[int | None] = [None] * 4
    for axis, size in zip(x.order, (x.sizes[0], channels, *lengths), strict=True):
        shape[axis] = size
    return Value(name, tuple(shape), x.order)


def _weights(node: Node, kernel: Any, rank: int) -> NDArray[Any]:
    if not isinstance(kernel, np.ndarray) or kernel.ndim != rank or not kernel.size:
        shape = getattr(kernel, "shape", None)
        raise FormatError(
            f"tensorflow: {node} must have constant weights of {rank} axes (shape={shape})"
        )
    return kernel


def _conv2d(b: Builder, node: Node, x: Any, kernel: Any) -> Value:
    x = b.image(node, x, layout(node))
    channels = _weights(node, kernel, 4).shape[2]
    given = b.channels(node, x)
    if given % channels:
        raise FormatError(
            f"tensorflow: {node} must have weights for its input's channels "
            f"(channels={given}, weights={kernel.shape})"
        )
    return _conv(b, node, x, kernel.transpose(3, 2, 0, 1), given // channels)


def _depthwise(b: Builder, node: Node, x: Any, kernel: Any) -> Value:
    x = b.image(node, x, layout(node))
    height, width, channels, times = _weights(node, kernel, 4).shape
    if b.channels(node, x) != channels:
        raise FormatError(
            f"tensorflow: {node} must have weights for its input's channels "
            f"(channels={b.channels(node, x)}, weights={kernel.shape})"
        )
    # Output channel c * times + m comes from channel c.
    weight = kernel.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)
    return _conv(b, node, x, weight, channels)


def _conv(b: Builder, node: Node, x: Value, weight: NDArray[Any], groups: int) -> Value:
    kernel = weight.shape[2], weight.shape[3]
    stride = _pair(node, "strides", integers(node, "strides"))
    dilation = _pair(node, "dilations", integers(node, "dilations") or [1] * 4)
    pads = _pads(node, x, kernel, stride, dilation)
    lengths = _lengths(node, x, kernel, stride, pads, dilation)
    if weight.shape[0] % groups:
        raise FormatError(
            f"tensorflow: {node} must have as many outputs for every group "
            f"(outputs={weight.shape[0]}, groups={groups})"
        )
    conv = nn.Conv2d(
        weight.shape[1] * groups, weight.shape[0], kernel, stride, pads, dilation, groups, False
    )
    conv.weight = nn.Parameter(float32(weight))
    return _value(b.emitter.emit(node.label, conv, x.name), x, weight.shape[0], lengths)


def _pool(
    make: Callable[[Any, Any, _Pads], nn.Module],
) -> Callable[..., Value]:
    def build(b: Builder, node: Node, x: Any, *sizes: Any) -> Value:
        x = b.image(node, x, layout(node))
        if sizes:  # MaxPoolV2 has them as inputs
            ksize, strides = ([int(s) for s in np.ravel(size)] for size in sizes)
        else:
            ksize, strides = integers(node, "ksize"), integers(node, "strides")
        kernel, stride = _pair(node, "ksize", ksize), _pair(node, "strides", strides)
        pads = _pads(node, x, kernel, stride)
        lengths = _lengths(node, x, kernel, stride, pads)
        name = b.emitter.emit(node.label, make(kernel, stride, pads), x.name)
        return _value(name, x, b.channels(node, x), lengths)

    return build


def _reduce(global_pool: Callable[[Any], nn.Module]) -> Callable[..., Value]:
    def build(b: Builder, node: Node, x: Value, axes: Any) -> Value:
        reduced = axes_of(node, axes, len(x.shape)) if isinstance(axes, np.ndarray) else ()
        if len(x.shape) != 4 or len(reduced) != 2 or 0 in reduced:
            raise FormatError(
                f"tensorflow: {node} must reduce height and width of feature maps "
                f"(input={x.shape}, axes={reduced})"
            )
        channel = next(axis for axis in (1, 2, 3) if axis not in reduced)
        x = b.reordered(node, x, (0, channel, *reduced))
        name = b.emitter.emit(node.label, global_pool(x.sizes[2:]), x.name)
        shape = tuple(1 if axis in reduced else size for axis, size in enumerate(x.shape))
        pooled = Value(name, shape, x.order)
        if flag(node, "keep_dims"):
            return pooled
        return b.reshaped(node, pooled, (x.shape[0], x.shape[channel]))

    return build


def _global_max(sizes: tuple[int | None, ...]) -> nn.Module:
    if None in sizes:
        raise FormatError(f"tensorflow: Max must know the size of its input (sizes={sizes})")
    return nn.MaxPool2d(sizes)


def _fused_batch_norm(
    b: Builder, node: Node, x: Any, gamma: Any, beta: Any, mean: Any, var: Any
) -> Value:
    if flag(node, "is_training", True):
        raise FormatError(f"tensorflow: {node} must be for inference (is_training=True)")
    return _batch_norm(
        b, node, x, layout(node), number(node, "epsilon", 1e-4), gamma, beta, mean, var
    )


def _old_batch_norm(
    b: Builder, node: Node, x: Any, mean: Any, var: Any, beta: Any, gamma: Any
) -> Value:
    if not flag(node, "scale_after_normalization"):
        gamma = np.ones_like(_weights(node, mean, 1))
    eps = number(node, "variance_epsilon")
    return _batch_norm(b, node, x, NHWC, eps, gamma, beta, mean, var)


def _batch_norm(
    b: Builder, node: Node, x: Value, order: tuple[int, ...], eps: float, *vectors: Any
) -> Value:
    x = b.image(node, x, order)
    count = b.channels(node, x)
    gamma, beta, mean, var = (_weights(node, vector, 1) for vector in vectors)
    if any(len(vector) != count for vector in (gamma, beta, mean, var)):
        raise FormatError(
            f"tensorflow: {node} must have one number a channel (channels={count}, "
            f"weights={[len(vector) for vector in (gamma, beta, mean, var)]})"
        )
    norm = nn.BatchNorm2d(count, eps)
    norm.weight, norm.bias = nn.Parameter(float32(gamma)), nn.Parameter(float32(beta))
    norm.register_buffer("running_mean", float32(mean))
    norm.register_buffer("running_var", float32(var))
    return x.named(b.emitter.emit(node.label, norm, x.name))


def _lrn(b: Builder, node: Node, x: Any) -> Value:
    x = b.image(node, x, NHWC)
    size = 2 * integer(node, "depth_radius", 5) + 1
    # TensorFlow does not divide alpha by the size.
    alpha = size * number(node, "alpha", 1.0)
    norm = nn.LocalResponseNorm(size, alpha, number(node, "beta", 0.5), number(node, "bias", 1.0))
    return b.unary(node, x, norm)


def _pad(b: Builder, node: Node, x: Value, paddings: Any, value: Any = None) -> Value:
    pads = np.asarray(paddings).tolist() if isinstance(paddings, np.ndarray) else []
    if value is not None and np.any(value):
        raise FormatError(f"tensorflow: {node} must pad with zeros (constant_values={value})")
    if len(pads) != 4 or len(x.shape) != 4 or pads[0] != [0, 0] or min(map(min, pads)) < 0:
        raise FormatError(
            f"tensorflow: {node} must pad feature maps (input={x.shape}, paddings={pads})"
        )
    if not any(map(any, pads)):
        return x
    order = NHWC if pads[3] == [0, 0] else NCHW
    if any(pads[order[1]]):
        raise FormatError(f"tensorflow: {node} must not pad channels (paddings={pads})")
    if x.order in (NHWC, NCHW) and not any(pads[x.order[1]]):
        order = x.order
    x = b.image(node, x, order)
    (top, bottom), (left, right) = pads[order[2]], pads[order[3]]
    name = b.emitter.emit(node.label, nn.ZeroPad2d((left, right, top, bottom)), x.name)
    sizes = [
        None if n is None else n + sum(p)
        for n, p in zip(x.sizes[2:], (pads[order[2]], pads[order[3]]), strict=True)
    ]
    return _value(name, x, b.channels(node, x), sizes)


_average = _pool(lambda kernel, stride, pads: nn.AvgPool2d(kernel, stride, pads, False, False))
_maximum = _pool(lambda kernel, stride, pads: nn.MaxPool2d(kernel, stride, pads))

WINDOWS: dict[str, Callable[..., Value]] = {
    "AvgPool": _average,
    "BatchNormWithGlobalNormalization": _old_batch_norm,
    "Conv2D": _conv2d,
    "DepthwiseConv2dNative": _depthwise,
    "FusedBatchNorm": _fused_batch_norm,
    "FusedBatchNormV2": _fused_batch_norm,
    "FusedBatchNormV3": _fused_batch_norm,
    "LRN": _lrn,
    "Max": _reduce(_global_max),
    "MaxPool": _maximum,
    "MaxPoolV2": _maximum,
    "Mean": _reduce(lambda sizes: nn.AdaptiveAvgPool2d(1)),
    "Pad": _pad,
    "PadV2": _pad,
}
