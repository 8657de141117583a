"""Two-dimensional convolution and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._geometry import Padding, Size, pair, sides
from fastconv.functional._scalars import integer
from fastconv.functional.pool import Indices, indices_nhwc, max_pool2d_backward, pool_window

__all__ = [
    "PackedConv2d",
    "conv2d",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_max_pool2d_backward",
    "pack_conv2d",
]


def _pictures(input_shape: Any, algorithm: Any, channels: int) -> tuple[int, int, int]:
    """What packing has to know of its pictures: (N, H, W), or zeros where any will do."""
    if input_shape is None:
        if algorithm == "fastest":
            raise ValueError("conv2d: 'fastest' needs the pictures' shape (input_shape=None)")
        return 1, 0, 0
    n, c, h, w = _shape4("input_shape", input_shape)
    if c != channels:
        raise ValueError(
            f"conv2d: input_shape must have the weight's channels "
            f"(input_shape={(n, c, h, w)}, channels={channels})"
        )
    return n, h, w


def _weight(weight: Any) -> Array:
    return np.ascontiguousarray(_arrays.check("conv2d", "weight", weight, 4))


def _bias(bias: Any, channels: int) -> Array | None:
    return None if bias is None else _arrays.vector("conv2d", "bias", bias, channels)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    residual: Array | None = None,
    activation: Any = None,
    algorithm: str = "direct",
) -> Array:
    """activation(cross-correlation of x with weight + bias + residual).

    x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,) or None -> (N, O, OH, OW), where
    OH = floor((H + top + bottom - dilation * (KH - 1) - 1) / stride) + 1 and OW likewise.
    stride and dilation: int or (h, w). padding: int, (h, w) or ((top, bottom), (left, right)).
    residual has the output's shape. activation is None, "relu", ("leaky_relu", slope) or
    ("clip", min, max). algorithm as for `pack_conv2d`.

    Raises TypeError for arrays that are not float32, ValueError for sizes that do not fit.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    pixels = _arrays.nhwc("conv2d", "x", x)
    weight = _weight(weight)
    n, h, w, c = pixels.shape
    o = weight.shape[0]
    geometry = (
        pair("conv2d", "stride", stride),
        sides("conv2d", padding),
        pair("conv2d", "dilation", dilation),
        integer("conv2d", "groups", groups),
    )
    size = _core.conv2d_output_size(n, c, (h, w), o, weight.shape[2:], *geometry)
    out = _arrays.empty((n, o, *size))
    _core.conv2d(
        pixels,
        weight,
        _bias(bias, o),
        *geometry,
        None if residual is None else _arrays.nhwc("conv2d", "residual", residual),
        activation,
        algorithm,
        out.transpose(0, 2, 3, 1),
    )
    return out


def _shape4(name: str, shape: Any) -> tuple[int, int, int, int]:
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"conv2d: {name} must be a tuple of sizes ({name}={shape!r})")
    values = tuple(integer("conv2d", name, size) for size in shape)
    if len(values) != 4 or min(values) < 0:
        raise ValueError(f"conv2d: {name} must be four sizes ({name}={shape!r})")
    return values


def conv2d_backward_input(
    grad_output: Array,
    weight: Array,
    input_shape: tuple[int, int, int, int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    algorithm: str = "direct",
    add_to: Array | None = None,
) -> Array:
    """The gradient of conv2d's x.

    grad_output (N, O, OH, OW), weight (O, C / groups, KH, KW) -> input_shape (N, C, H, W).
    algorithm: "direct", or "fastest", which may be Winograd's (see `pack_conv2d`). add_to, of
    input_shape: the gradient is added to it in place, and it is the result.
    """
    grad = _arrays.nhwc("conv2d", "grad_output", grad_output)
    shape = _shape4("input_shape", input_shape)
    if add_to is not None and _arrays.check("conv2d", "add_to", add_to, 4).shape != shape:
        raise ValueError(
            f"conv2d: add_to must have the input's shape (add_to={add_to.shape}, input={shape})"
        )
    in_place = add_to is not None and add_to.transpose(0, 2, 3, 1).flags.c_contiguous
    out = add_to if add_to is not None and in_place else _arrays.empty(shape)
    _core.conv2d_backward_input(
        grad,
        _weight(weight),
        pair("conv2d", "stride", stride),
        sides("conv2d", padding),
        pair("conv2d", "dilation", dilation),
        integer("conv2d", "groups", groups),
        algorithm,
        out.transpose(0, 2, 3, 1),
        in_place,
    )
    if add_to is None or in_place:
        return out
    add_to += out
    return add_to


def conv2d_backward_weight(
    grad_output: Array,
    x: Array,
    weight_shape: tuple[int, int, int, int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    algorithm: str = "direct",
) -> Array:
    """The gradient of conv2d's weight.

    grad_output (N, O, OH, OW), x (N, C, H, W) -> weight_shape (O, C / groups, KH, KW).
    algorithm: "direct", or "fastest", which may be Winograd's (see `pack_conv2d`).
    """
    grad = _arrays.nhwc("conv2d", "grad_output", grad_output)
    pixels = _arrays.nhwc("conv2d", "x", x)
    shape = _shape4("weight_shape", weight_shape)
    size = shape[0] * shape[1] * shape[2] * shape[3]
    out = _arrays.empty((size,)).reshape(shape)
    _core.conv2d_backward_weight(
        grad,
        pixels,
        pair("conv2d", "stride", stride),
        sides("conv2d", padding),
        pair("conv2d", "dilation", dilation),
        integer("conv2d", "groups", groups),
        algorithm,
        out,
    )
    return out


def conv2d_backward_bias(grad_output: Array) -> Array:
    """The gradient of conv2d's bias: grad_output (N, O, OH, OW) -> (O,)."""
    grad = _arrays.nhwc("conv2d", "grad_output", grad_output)
    out = _arrays.empty((grad.shape[3],))
    _core.column_sums(
        grad.reshape(-1, grad.shape[3]) if grad.size else grad.reshape(0, len(out)), out
    )
    return out


def conv2d_max_pool2d_backward(
    grad_output: Array,
    indices: Indices,
    x: Array,
    weight: Array,
    window: tuple[Any, ...],
    pooling: tuple[Any, ...],
    *,
    algorithm: str = "direct",
    needs: tuple[bool, bool] = (True, True),
    add_to: Array | None = None,
) -> tuple[Array | None, Array | None]:
    """The gradients of x and weight through max_pool2d(conv2d(x, weight, None, *window), *pooling).

    grad_output and indices are of the maxima; window is (stride, padding, dilation, groups) and
    pooling (kernel_size, stride, padding, dilation, ceil_mode). A gradient that `needs` does not
    ask for is None. algorithm and add_to: as for `conv2d_backward_input`. "fastest" does not spread
    grad_output over the convolution's output where channels are few and pictures many.
    """
    op = "conv2d_max_pool2d_backward"
    pixels, weight = _arrays.nhwc(op, "x", x), _weight(weight)
    stride, padding, dilation, groups = window
    geometry = (
        pair("conv2d", "stride", stride),
        sides("conv2d", padding),
        pair("conv2d", "dilation", dilation),
        integer("conv2d", "groups", groups),
    )
    grad_x = grad_weight = None
    if algorithm == "fastest":
        if needs[0]:
            grad_x = _arrays.empty(x.shape)
        if needs[1]:
            grad_weight = _arrays.empty((weight.size,)).reshape(weight.shape)
        if _core.conv2d_maxima_backward(
            _arrays.nhwc(op, "grad_output", grad_output),
            indices_nhwc(op, indices, grad_output),
            pixels,
            weight,
            *geometry,
            pool_window(op, *pooling),
            None if grad_x is None else grad_x.transpose(0, 2, 3, 1),
            grad_weight,
        ):
            if grad_x is not None and add_to is not None:
                add_to += grad_x
                grad_x = add_to
            return grad_x, grad_weight
        grad_x = grad_weight = None  # their memory is free for what follows
    n, h, w, c = pixels.shape
    size = _core.conv2d_output_size(n, c, (h, w), len(weight), weight.shape[2:], *geometry)
    grad = max_pool2d_backward(grad_output, indices, (n, len(weight), *size), *pooling)
    if needs[0]:
        grad_x = conv2d_backward_input(
            grad, weight, x.shape, *window, algorithm=algorithm, add_to=add_to
        )
    if needs[1]:
        grad_weight = conv2d_backward_weight(grad, x, weight.shape, *window, algorithm=algorithm)
    return grad_x, grad_weight


class PackedConv2d:
    """A convolution's weights, packed once for many runs; see `pack_conv2d`."""

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        activation: Any = None,
        algorithm: str = "direct",
        input_shape: tuple[int, int, int, int] | None = None,
    ) -> None:
        weight = _weight(weight)
        groups = integer("conv2d", "groups", groups)
        n, h, w = _pictures(input_shape, algorithm, weight.shape[1] * groups)
        self._core = _core.PackedConv2d(
            weight,
            _bias(bias, weight.shape[0]),
            pair("conv2d", "stride", stride),
            sides("conv2d", padding),
            pair("conv2d", "dilation", dilation),
            groups,
            activation,
            algorithm,
            n,
            (h, w),
        )

    @property
    def algorithm(self) -> str:
        """The algorithm that runs: "direct", "winograd2", "winograd4" or "winograd6"."""
        return self._core.algorithm

    def __call__(self, x: Array, residual: Array | None = None, out: Array | None = None) -> Array:
        """x (N, C, H, W) -> (N, O, OH, OW), into `out` where given.

        `out` must be a channels-last float32 array of the result's shape that overlaps neither
        x nor residual.
        """
        pixels = _arrays.nhwc("conv2d", "x", x)
        n, h, w, c = pixels.shape
        shape = self._core.output_size(n, c, (h, w))
        if out is None:
            out = _arrays.empty(shape)
        elif _arrays.check("conv2d", "out", out, 4).shape != shape:
            raise ValueError(
                f"conv2d: out has the wrong shape (expected={shape}, shape={out.shape})"
            )
        elif not out.transpose(0, 2, 3, 1).flags.c_contiguous:
            raise ValueError("conv2d: out must have channels-last memory; use to_channels_last")
        self._core.run(
            pixels,
            None if residual is None else _arrays.nhwc("conv2d", "residual", residual),
            out.transpose(0, 2, 3, 1),
        )
        return out


def pack_conv2d(
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    activation: Any = None,
    algorithm: str = "direct",
    input_shape: tuple[int, int, int, int] | None = None,
) -> PackedConv2d:
    """Packs a convolution's weights: `pack_conv2d(weight, ...)(x)` is `conv2d(x, weight, ...)`.

    algorithm: "direct"; "winograd2" (2.25 times fewer products for 3x3 kernels of stride 1, errors
    of up to about 2e-6 of the largest output; for 5x5 2.8 times and 6e-6), "winograd4" (4 times,
    5e-6; for 5x5 6.2 times and 1e-5) or "winograd6" (5.1 times, 2e-5), whose NaNs reach their whole
    tile; they serve square kernels of more than 2 and at most 5 strides (winograd6: 3), such as
    7x7/2 and 11x11/4. "fastest" chooses one by estimate for pictures of input_shape (N, C, H, W),
    which it needs.

    Source: Lavin and Gray, Fast algorithms for convolutional neural networks, 2015.
    """
    return PackedConv2d(
        weight, bias, stride, padding, dilation, groups, activation, algorithm, input_shape
    )
