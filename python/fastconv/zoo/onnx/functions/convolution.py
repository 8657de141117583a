"""Convolutions over one, two or three axes, all by the two-dimensional kernels."""

from __future__ import annotations

from collections.abc import Sequence

from ....autograd import Tensor, ops
from .movement import pad, place
from .windows import Window, extents, halves

__all__ = ["conv", "conv_transpose"]


def conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, window: Window, groups: int
) -> Tensor:
    """Convolve x (N, C, ...) with weight (O, C / groups, ...), and add bias (O,)."""
    _check("conv", x, weight, window)
    kernel = weight.shape[2:]
    pads = window.padding(x.shape[2:], kernel)
    stride, dilation = window.stride, window.dilation
    if x.ndim == 4:
        return ops.conv2d(x, weight, bias, stride, pads, dilation, groups)
    if x.ndim == 3:
        y = ops.conv2d(
            _row(x), _row(weight), bias, (1, *stride), ((0, 0), *pads), (1, *dilation), groups
        )
        return ops.reshape(y, (*y.shape[:2], y.shape[3]))
    # A volume's convolution is the sum, over the filter's planes, of those of pictures.
    front, back = pads[0]
    x = pad(x, (0, 0, front, 0, 0, 0, 0, back, 0, 0))
    depth = (x.shape[2] - extents(kernel, dilation)[0]) // stride[0] + 1
    if depth < 1:
        raise ValueError(f"conv: the kernel must fit (x={x.shape}, kernel={kernel})")
    total = None
    for i in range(kernel[0]):
        first = i * dilation[0]
        planes = ops.index(x, _depth(slice(first, first + (depth - 1) * stride[0] + 1, stride[0])))
        y = ops.conv2d(
            _pictures(planes),
            ops.index(weight, _depth(i)),
            bias if total is None else None,
            stride[1:],
            pads[1:],
            dilation[1:],
            groups,
        )
        total = y if total is None else ops.add(total, y)
    assert total is not None
    return _volumes(total, depth)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    window: Window,
    output_padding: Sequence[int],
    output_shape: Sequence[int] | None,
    groups: int,
) -> Tensor:
    """Convolve x (N, C, ...) transposed, with weight (C, O / groups, ...), and add bias (O,)."""
    _check("conv_transpose", x, weight, window)
    kernel, stride, dilation = weight.shape[2:], window.stride, window.dilation
    pads, extra = _transposed(x.shape[2:], kernel, window, output_padding, output_shape)
    if x.ndim == 4:
        return ops.conv_transpose2d(x, weight, bias, stride, pads, extra, groups, dilation)
    if x.ndim == 3:
        y = ops.conv_transpose2d(
            _row(x),
            _row(weight),
            bias,
            (1, *stride),
            ((0, 0), *pads),
            (0, *extra),
            groups,
            (1, *dilation),
        )
        return ops.reshape(y, (*y.shape[:2], y.shape[3]))
    depth = x.shape[2]
    whole = (depth - 1) * stride[0] + extents(kernel, dilation)[0]
    pictures = _pictures(x)
    total = None
    for i in range(kernel[0]):
        y = ops.conv_transpose2d(
            pictures,
            ops.index(weight, _depth(i)),
            None,
            stride[1:],
            pads[1:],
            extra[1:],
            groups,
            dilation[1:],
        )
        y = _volumes(y, depth)
        first = i * dilation[0]
        key = _depth(slice(first, first + (depth - 1) * stride[0] + 1, stride[0]))
        y = place(y, (*y.shape[:2], whole, *y.shape[3:]), key)
        total = y if total is None else ops.add(total, y)
    assert total is not None
    front, back = pads[0]
    total = pad(total, (0, 0, -front, 0, 0, 0, 0, extra[0] - back, 0, 0))
    return total if bias is None else ops.add(total, ops.reshape(bias, (1, -1, 1, 1, 1)))


def _transposed(
    sizes: Sequence[int],
    kernel: Sequence[int],
    window: Window,
    output_padding: Sequence[int],
    output_shape: Sequence[int] | None,
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Return padding and output_padding, which the wanted output may decide."""
    if output_shape is None and window.auto_pad.startswith("SAME"):
        output_shape = [n * s for n, s in zip(sizes, window.stride, strict=True)]
    if output_shape is None:
        return window.padding(sizes, kernel), tuple(output_padding)
    pads, extras = [], []
    for n, s, extent, extra, wanted in zip(
        sizes,
        window.stride,
        extents(kernel, window.dilation),
        output_padding,
        output_shape[-len(sizes) :],
        strict=True,
    ):
        surplus = (n - 1) * s + extent + extra - wanted
        pads.append(halves(max(surplus, 0), window.auto_pad == "SAME_UPPER"))
        extras.append(extra - min(surplus, 0))
    return tuple(pads), tuple(extras)


def _check(op: str, x: Tensor, weight: Tensor, window: Window) -> None:
    if x.ndim != weight.ndim or x.ndim != 2 + len(window.stride) or x.ndim not in (3, 4, 5):
        raise ValueError(
            f"{op}: x and weight must have one to three axes after the first two, as the "
            f"attributes (x={x.shape}, weight={weight.shape}, strides={window.stride})"
        )


def _row(x: Tensor) -> Tensor:
    """(N, C, L) as pictures of one row."""
    return ops.reshape(x, (*x.shape[:2], 1, x.shape[2]))


def _depth(key: int | slice) -> tuple[slice | int, ...]:
    return slice(None), slice(None), key


def _pictures(x: Tensor) -> Tensor:
    """(N, C, D, H, W) -> (N * D, C, H, W)."""
    n, c, d, h, w = x.shape
    return ops.reshape(ops.permute(x, (0, 2, 1, 3, 4)), (n * d, c, h, w))


def _volumes(x: Tensor, depth: int) -> Tensor:
    """(N * D, C, H, W) -> (N, C, D, H, W)."""
    _, c, h, w = x.shape
    return ops.permute(ops.reshape(x, (-1, depth, c, h, w)), (0, 2, 1, 3, 4))
