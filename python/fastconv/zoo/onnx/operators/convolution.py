"""Conv and ConvTranspose."""

from __future__ import annotations

from dataclasses import replace

from ....nn import Conv2d, ConvTranspose2d, Module
from ..functions import convolution
from ..functions.windows import Window
from ..layers import Operator
from ..node import Node
from ..registry import converts
from .windows import kernel_of, window_of


@converts("Conv")
def conv(node: Node) -> Module:
    kernel = _kernel(node)
    window = window_of(node, kernel)
    groups = node.integer("group", 1)
    window = _fixed(window, kernel)
    node.names = {1: "weight", 2: "bias"}
    if len(kernel) != 2 or window.auto_pad != "NOTSET" or not node.known(1, 2):
        return Operator(convolution.conv, window=window, groups=groups)
    weight = node.constant(1)
    assert weight is not None
    layer = Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        kernel,
        window.stride,
        window.pads,
        window.dilation,
        groups,
        bias=node.given(2),
    )
    return _with_weights(node, layer)


@converts("ConvTranspose")
def conv_transpose(node: Node) -> Module:
    kernel = _kernel(node)
    window = window_of(node, kernel)
    groups = node.integer("group", 1)
    extra = node.integers("output_padding", (0,) * len(kernel))
    wanted = node.integers("output_shape", ()) or None
    if len(extra) != len(kernel) or min(extra) < 0:
        raise node.error("output_padding must fit the kernel", output_padding=extra)
    if wanted is not None and (len(wanted) < len(kernel) or min(wanted) < 1):
        raise node.error("output_shape must fit the kernel", output_shape=wanted)
    if window.auto_pad == "VALID":
        window = _fixed(window, kernel)
    node.names = {1: "weight", 2: "bias"}
    plain = len(kernel) == 2 and wanted is None and window.auto_pad == "NOTSET"
    limits = map(max, window.stride, window.dilation)
    if (
        not plain
        or not node.known(1, 2)
        or any(e >= limit for e, limit in zip(extra, limits, strict=True))
    ):
        return Operator(
            convolution.conv_transpose,
            window=window,
            output_padding=extra,
            output_shape=wanted,
            groups=groups,
        )
    weight = node.constant(1)
    assert weight is not None
    layer = ConvTranspose2d(
        weight.shape[0],
        weight.shape[1] * groups,
        kernel,
        window.stride,
        window.pads,
        extra,
        groups,
        node.given(2),
        window.dilation,
    )
    return _with_weights(node, layer)


def _kernel(node: Node) -> tuple[int, ...]:
    """Return the kernel's size: an attribute, or the weight's."""
    weight = node.constant(1)
    rank = node.info(1).rank
    if rank is not None and rank not in (3, 4, 5):
        raise node.error("the weight must have one to three axes after its channels", axes=rank)
    axes = None if rank is None else rank - 2
    if node.has("kernel_shape"):
        kernel = kernel_of(node, axes)
    elif weight is not None:
        kernel = weight.shape[2:]
    elif axes is not None:
        kernel = (1,) * axes  # the weight's own size counts once it is there
    else:
        raise node.error("the weight's axes must be known", kernel_shape=None)
    if weight is not None and weight.shape[2:] != kernel:
        raise node.error(
            "kernel_shape must be the weight's", kernel_shape=kernel, weight=weight.shape
        )
    return kernel


def _fixed(window: Window, kernel: tuple[int, ...]) -> Window:
    """Return the window with its padding as numbers, where no input's size is needed for it."""
    same = window.auto_pad.startswith("SAME")
    if window.auto_pad == "NOTSET" or (same and set(window.stride) != {1}):
        return window
    # With a stride of 1, any size gives the same padding; 2^31 is one.
    pads = window.padding([2**31] * len(kernel), kernel)
    return replace(window, pads=pads, auto_pad="NOTSET")


def _with_weights(node: Node, layer: Conv2d | ConvTranspose2d) -> Module:
    bias = node.constant(2)
    if node.info(1).shape != layer.weight.shape or (
        bias is not None and bias.shape != (layer.out_channels,)
    ):
        raise node.error(
            "weight and bias must fit",
            weight=node.info(1).shape,
            bias=None if bias is None else bias.shape,
            group=layer.groups,
        )
    layer.weight = node.parameter(1)
    if node.given(2):
        layer.bias = node.parameter(2)
    return layer
