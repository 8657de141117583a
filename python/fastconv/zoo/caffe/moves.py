"""Caffe's layers that move elements and compute nothing: one function a type."""

from __future__ import annotations

from ... import nn
from .modules import Narrow
from .site import Site

__all__ = ["axis_of", "concat", "flatten", "permute", "reshape", "slices", "split"]


def axis_of(site: Site, axis: int, least: int = 1) -> int:
    """Return the number of an axis that may be counted from the end."""
    shape = site.value().shape
    if axis < 0:
        if shape is None:
            raise site.error("an axis from the end needs the size of the input", axis=axis)
        axis += len(shape) + 1
    if axis < least or (shape is not None and axis > len(shape)):
        raise site.error("the axis must be one of the input, and not the batch", axis=axis)
    return axis


def concat(site: Site) -> None:
    site.check_ends(None)
    param = site.layer.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    site.put(nn.Concat(axis_of(site, axis)))


def slices(site: Site) -> None:
    site.check_ends(1, None)
    param = site.layer.slice_param
    axis = axis_of(site, param.slice_dim if param.HasField("slice_dim") else param.axis)
    points, tops = list(param.slice_point), len(site.layer.top)
    if not points and tops > 1:
        shape = site.value().shape
        if shape is None or axis > len(shape) or shape[axis - 1] % tops:
            raise site.error("the axis must split into equal parts", input=shape, parts=tops)
        share = shape[axis - 1] // tops
        points = [share * i for i in range(1, tops)]
    if len(points) != tops - 1 or sorted(set(points)) != points:
        raise site.error("slice_point must rise, one less than tops", slice_point=points, tops=tops)
    # A name of its own, for the first part may be called as the whole.
    whole = f"{site.name}/whole"
    site.wiring.alias(site.name, whole, site.layer.bottom[0])
    for top, start, stop in zip(site.layer.top, [0, *points], [*points, None], strict=True):
        site.wiring.add(site.name, Narrow(axis, start, stop), [whole], top)


def flatten(site: Site) -> None:
    site.check_ends()
    param = site.layer.flatten_param
    site.put(nn.Flatten(axis_of(site, param.axis), param.end_axis))


def reshape(site: Site) -> None:
    site.check_ends()
    param = site.layer.reshape_param
    dims = [int(size) for size in param.shape.dim]
    start, count = param.axis, param.num_axes
    shape = site.value().shape
    if start or count != -1:
        if shape is None:
            raise site.error("part of a shape needs the size of the input", axis=start)
        whole = (0, *shape)
        start = start + len(whole) + 1 if start < 0 else start
        end = len(whole) if count == -1 else start + count
        if not 0 <= start <= end <= len(whole):
            raise site.error("axis and num_axes must be in the input", axis=start, num_axes=count)
        middle = [whole[start + i] if d == 0 and start + i < end else d for i, d in enumerate(dims)]
        dims = [*whole[:start], *middle, *whole[end:]]
    elif dims and dims[0] > 0:
        # The batch, written out. Other batches would not fit; that it is the batch is checked.
        if shape is None:
            raise site.error("the batch must be 0 or -1 in a new shape", dim=dims)
        dims[0] = 0
    if not dims or min(dims) < -1 or max(dims) > 1 << 28:
        raise site.error("a shape must have sizes from -1 on", dim=dims)
    site.put(nn.Reshape(*dims))


def permute(site: Site) -> None:
    site.check_ends()
    order = list(site.layer.permute_param.order)
    shape = site.value().shape
    axes = 4 if shape is None else len(shape) + 1
    if max(order, default=0) >= axes or len(set(order)) != len(order):
        raise site.error("order must name axes once", order=order)
    site.put(nn.Permute(*order, *(axis for axis in range(axes) if axis not in order)))


def split(site: Site) -> None:
    site.check_ends(1, None)
    for top in site.layer.top:
        site.wiring.alias(site.name, top, site.layer.bottom[0])
