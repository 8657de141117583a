"""Keras's layers that move windows over feature maps: convolutions, poolings, padding."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ... import nn
from .activations import activated
from .build import Builder, set_weights
from .config import Layer
from .values import Size, Value

__all__ = [
    "conv2d",
    "conv2d_transpose",
    "depthwise_conv2d",
    "global_pooling",
    "pooling",
    "separable_conv2d",
    "zero_padding2d",
]

Sides = tuple[int, int]


def conv2d(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Conv2D, Convolution2D, AtrousConvolution2D."""
    (x,) = reads
    weights, bias = _with_bias(builder, layer, 1)
    kernel = _hwio(builder, layer, weights[0])
    _check_declared(layer, kernel.shape[:2], kernel.shape[3])
    y = _convolve(builder, layer, x, kernel, bias, groups=_groups(layer))
    return activated(builder, layer, y)


def depthwise_conv2d(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """DepthwiseConv2D."""
    (x,) = reads
    weights, bias = _with_bias(builder, layer, 1)
    kernel = _hwio(builder, layer, weights[0])
    _check_declared(layer, kernel.shape[:2])
    y = _depthwise(builder, layer, x, kernel, bias)
    return activated(builder, layer, y)


def separable_conv2d(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """SeparableConv2D: a depthwise convolution, then a 1x1."""
    (x,) = reads
    weights, bias = _with_bias(builder, layer, 2)
    depthwise, pointwise = (_hwio(builder, layer, w) for w in weights[:2])
    _check_declared(layer, depthwise.shape[:2], pointwise.shape[3])
    if pointwise.shape[:2] != (1, 1):
        raise layer.refused("the second kernel must be 1x1", shape=pointwise.shape)
    middle = _depthwise(builder, layer, x, depthwise, None, part="depthwise")
    y = _convolve(builder, layer, middle, pointwise, bias, window=False, part="pointwise")
    return activated(builder, layer, y)


def pooling(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """MaxPooling2D, AveragePooling2D; the padding of "same" takes no part in either."""
    (x,) = reads
    channels, *sizes = builder.maps(x, layer)
    window = layer.pair("pool_size", default=2)
    stride = layer.pair("strides", default=window)
    sides = _padding(builder, layer, sizes, window, stride, is_pooling=True)
    module: nn.Module
    if layer.kind.startswith("Max"):
        module = nn.MaxPool2d(window, stride, sides)
    else:
        module = nn.AvgPool2d(window, stride, sides, count_include_pad=False)
    return builder.add(
        layer, module, x, _after(builder, layer, channels, sizes, window, stride, sides)
    )


def global_pooling(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """GlobalAveragePooling2D, GlobalMaxPooling2D."""
    (x,) = reads
    channels, height, width = builder.maps(x, layer)
    module: nn.Module = nn.AdaptiveAvgPool2d(1)
    if layer.kind.startswith("GlobalMax"):
        if height is None or width is None:
            raise layer.refused("the size of the maps must be known", shape=x.shape)
        module = nn.MaxPool2d((height, width))
    y = builder.add(layer, module, x, builder.shape(channels, 1, 1))
    if layer.flag("keepdims", default=False):
        return y
    return builder.add(layer, nn.Flatten(), y, (channels,), part="rows")


def zero_padding2d(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """ZeroPadding2D."""
    (x,) = reads
    channels, height, width = builder.maps(x, layer)
    padding = layer.get("padding", default=1)
    if isinstance(padding, dict):  # Keras 1
        keys = ("top_pad", "bottom_pad", "left_pad", "right_pad")
        padding = [padding.get(key, 0) for key in keys]
    if not isinstance(padding, list):
        padding = [padding, padding]
    if len(padding) == 2:
        padding = [
            n for side in padding for n in (side if isinstance(side, list) else (side, side))
        ]
    if len(padding) != 4 or not all(isinstance(n, int) and n >= 0 for n in padding):
        raise layer.refused("padding must be one, two or four numbers", padding=padding)
    top, bottom, left, right = padding
    sizes = [
        None if size is None else size + sum(sides)
        for size, sides in ((height, (top, bottom)), (width, (left, right)))
    ]
    module = nn.ZeroPad2d((left, right, top, bottom))
    return builder.add(layer, module, x, builder.shape(channels, *sizes))


def conv2d_transpose(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Conv2DTranspose: the gradient of the convolution with the same settings."""
    (x,) = reads
    channels, *sizes = builder.maps(x, layer)
    weights, bias = _with_bias(builder, layer, 1)
    kernel = weights[0]  # (height, width, out, in)
    padding = layer.get("padding", default="valid")
    if builder.old or builder.theano or padding not in ("valid", "same"):
        raise layer.refused("the layer must be TensorFlow's", padding=padding)
    if layer.get("output_padding") is not None or _groups(layer) != 1:
        raise layer.refused("output_padding and groups must be left alone", **layer.config)
    if kernel.ndim != 4 or kernel.shape[3] != channels:
        raise layer.refused(
            "the weights must fit the input", kernel=kernel.shape, channels=channels
        )
    extent, outputs = kernel.shape[:2], kernel.shape[2]
    _check_declared(layer, extent, outputs)
    stride = layer.pair("strides", default=1)
    dilation = layer.pair("dilation_rate", default=1)
    sides, more = [], []
    lengths: list[Size] = []
    for size, k, step, dilate in zip(sizes, extent, stride, dilation, strict=True):
        reach = dilate * (k - 1) + 1
        cut = max(reach - step, 0) if padding == "same" else 0
        sides.append((cut // 2, cut - cut // 2))
        more.append(max(step - reach, 0))
        lengths.append(None if size is None else (size - 1) * step + reach - cut + more[-1])
    module = nn.ConvTranspose2d(
        channels, outputs, extent, stride, sides, more, bias=bias is not None, dilation=dilation
    )
    set_weights(layer, module, kernel.transpose(3, 2, 0, 1), bias)
    y = builder.add(layer, module, x, builder.shape(outputs, *lengths))
    return activated(builder, layer, y)


# Kernels and padding.


def _with_bias(
    builder: Builder, layer: Layer, kernels: int
) -> tuple[list[NDArray[Any]], NDArray[Any] | None]:
    """Return a layer's kernels, and its bias if it has one."""
    if layer.flag("use_bias", "bias", default=True):
        *weights, bias = builder.weights(layer, kernels + 1)
        return weights, bias
    return list(builder.weights(layer, kernels)), None


def _hwio(builder: Builder, layer: Layer, kernel: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel as (height, width, in, out), for a cross-correlation."""
    if kernel.ndim != 4:
        raise layer.refused("a kernel must have four axes", shape=kernel.shape)
    if builder.old and not builder.channels_last:
        kernel = kernel.transpose(2, 3, 1, 0)
    return kernel[::-1, ::-1] if builder.theano else kernel


def _check_declared(layer: Layer, extent: tuple[int, ...], filters: int | None = None) -> None:
    """Refuse a kernel that is not of the size that the layer's settings say, where they do."""
    size: Any = layer.get("kernel_size", default=list(extent))
    if layer.get("nb_row") is not None:  # Keras 1
        size = [layer.get("nb_row"), layer.get("nb_col")]
    declared = list(size) if isinstance(size, list) else [size, size]
    wanted = filters if filters is None else layer.get("filters", "nb_filter", default=filters)
    if declared != list(extent) or wanted != filters:
        raise layer.refused(
            "the kernel must have the declared size",
            kernel_size=size,
            filters=wanted,
            received=(extent, filters),
        )


def _groups(layer: Layer) -> int:
    groups = layer.get("groups", default=1)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise layer.refused("groups must be a positive integer", groups=groups)
    return groups


def _depthwise(
    builder: Builder,
    layer: Layer,
    x: Value,
    kernel: NDArray[Any],
    bias: NDArray[Any] | None,
    part: str = "",
) -> Value:
    """Convolve every channel with kernels of its own, (height, width, channels, multiplier)."""
    height, width, channels, multiplier = kernel.shape
    kernel = kernel.reshape(height, width, 1, channels * multiplier)
    return _convolve(builder, layer, x, kernel, bias, groups=channels, part=part)


def _convolve(
    builder: Builder,
    layer: Layer,
    x: Value,
    kernel: NDArray[Any],
    bias: NDArray[Any] | None,
    groups: int = 1,
    window: bool = True,  # whether the layer's strides and padding are those of this convolution
    part: str = "",
) -> Value:
    channels, *sizes = builder.maps(x, layer)
    *extent, inputs, outputs = kernel.shape
    if inputs * groups != channels or outputs % groups:
        raise layer.refused(
            "the kernel must fit the input", kernel=kernel.shape, groups=groups, channels=channels
        )
    stride = dilation = (1, 1)
    sides: tuple[Sides, Sides] = ((0, 0), (0, 0))
    if window:
        stride = layer.pair("strides", "subsample", default=1)
        dilation = layer.pair("dilation_rate", "atrous_rate", default=1)
    reach = (dilation[0] * (extent[0] - 1) + 1, dilation[1] * (extent[1] - 1) + 1)
    if window:
        sides = _padding(builder, layer, sizes, reach, stride, is_pooling=False)
    module = nn.Conv2d(
        channels, outputs, (extent[0], extent[1]), stride, sides, dilation, groups, bias is not None
    )
    set_weights(layer, module, kernel.transpose(3, 2, 0, 1), bias)
    shape = _after(builder, layer, outputs, sizes, reach, stride, sides)
    return builder.add(layer, module, x, shape, part=part)


def _after(
    builder: Builder,
    layer: Layer,
    channels: int,
    sizes: list[Size],
    window: Sides,
    stride: Sides,
    sides: tuple[Sides, Sides],
) -> Any:
    """Return the shape of the feature maps that windows leave."""
    lengths: list[Size] = []
    for size, extent, step, pad in zip(sizes, window, stride, sides, strict=True):
        length = None if size is None else (size + sum(pad) - extent) // step + 1
        if length is not None and length < 1:
            raise layer.refused("the window must fit into the input", size=sizes, window=window)
        lengths.append(length)
    return builder.shape(channels, *lengths)


def _padding(
    builder: Builder,
    layer: Layer,
    sizes: list[Size],
    window: Sides,
    stride: Sides,
    is_pooling: bool,
) -> tuple[Sides, Sides]:
    """Return ((top, bottom), (left, right)) of a layer's "valid" or "same"."""
    padding = layer.get("padding", "border_mode", default="valid")
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise layer.refused("padding must be 'valid' or 'same'", padding=padding)
    sides: list[Sides] = []
    for size, extent, step in zip(sizes, window, stride, strict=True):
        if size is None and step > 1:
            raise layer.refused(
                "the file must declare the size of pictures, on which the padding depends",
                padding=padding,
                strides=stride,
            )
        # Any size does for steps of 1.
        size = extent if size is None else size
        total = max((-(-size // step) - 1) * step + extent - size, 0)
        before = total // 2
        if builder.theano:
            # Symmetric, whatever the step: windows begin further left than TensorFlow's.
            before = extent // 2
            if is_pooling:
                before = extent - 2 if extent > 2 and extent % 2 else extent - 1
        sides.append((before, max(total - before, 0)))
    return sides[0], sides[1]
