"""The backend that computes nothing and writes down which kernels are called on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import functional
from .graph import Node, Value
from .kernels import RECORDED
from .traced import Traced, Untraceable

__all__ = ["Recorder"]

_ARITHMETIC: Final = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div"}


class Recorder:
    """A backend for `use_backend`: kernels on constants are computed, those on the input's
    descendants become `nodes`.

    `number` is what the arrays handed out are full of, `where()` names the layer that is running.
    """

    def __init__(self, number: float, where: Callable[[], str]) -> None:
        self.nodes: list[Node] = []
        self._number = number
        self._where = where

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kernel = getattr(functional, name)

        def call(*args: Any, **options: Any) -> Any:
            if not any(map(_depends, (*args, *options.values()))):
                return kernel(*args, **options)
            if name not in RECORDED:
                raise Untraceable(f"uses {name}, which cannot be traced")
            return RECORDED[name](self, *args, **options)

        return call

    def record(
        self, op: str, inputs: Sequence[Any], shape: tuple[int, ...], **attributes: Any
    ) -> Traced:
        """Append a node and return what stands for its result."""
        if not all(isinstance(x, Traced) for x in inputs):
            raise Untraceable(f"uses {op} on a constant, which cannot be traced")
        if shape[:1] != inputs[0].shape[:1]:
            raise Untraceable(
                f"changes the first axis, the batch, which cannot be traced "
                f"(from={inputs[0].shape}, to={shape})"
            )
        output = Value(shape)
        values = tuple(x.value for x in inputs)
        self.nodes.append(Node(op, values, output, self._where(), attributes))
        return Traced.make(self, output, self._number)

    # What layers do to arrays without a kernel.

    def arithmetic(self, ufunc: Any, x: Any, y: Any) -> Traced:
        """Record a sum, difference, product or quotient; `constant` is the operand that is not
        traced, if there is one, `reverse` says that it stands on the left."""
        if ufunc is np.matmul:
            return self._matmul(x, y)
        if ufunc is np.negative:
            return self.record("negative", [x], x.shape)
        if ufunc not in _ARITHMETIC:
            raise Untraceable(f"uses np.{ufunc.__name__}, which cannot be traced")
        traced = [operand for operand in (x, y) if isinstance(operand, Traced)]
        if len({operand.ndim for operand in traced}) > 1:
            raise Untraceable(
                f"uses np.{ufunc.__name__} on results of different numbers of axes, which cannot "
                f"be traced (x={x.shape}, y={y.shape})"
            )
        constant = next((np.asarray(v) for v in (x, y) if not isinstance(v, Traced)), None)
        if constant is not None and constant.dtype.kind not in "fiub":
            raise Untraceable(f"uses np.{ufunc.__name__} on {constant.dtype}, which is no number")
        operands = [*traced, constant] if constant is not None else traced
        return self.record(
            "arithmetic",
            traced,
            np.broadcast_shapes(*(operand.shape for operand in operands)),
            function=_ARITHMETIC[ufunc],
            constant=constant,
            reverse=not isinstance(x, Traced),
        )

    def _matmul(self, x: Any, y: Any) -> Traced:
        """Record the product of rows, or of columns, with a constant matrix."""
        matrix = y if isinstance(x, Traced) else x
        if isinstance(matrix, Traced) or matrix.ndim != 2:
            raise Untraceable(
                f"uses np.matmul on other than one matrix of constants, which cannot be traced "
                f"(x={x.shape}, y={y.shape})"
            )
        linear = RECORDED["linear"]
        if matrix is y:
            return linear(self, x, np.ascontiguousarray(matrix.T))
        swapped = (*range(y.ndim - 2), -1, -2)
        return self.permute(linear(self, self.permute(y, swapped), matrix), swapped)

    def reshape(self, x: Traced, shape: tuple[int, ...]) -> Traced:
        return self.record("reshape", [x], shape)

    def permute(self, x: Traced, dims: tuple[int, ...]) -> Traced:
        axes = _axes("permute", x, dims)
        if sorted(axes) != list(range(x.ndim)):
            raise ValueError(f"permute: dims must name every axis once (dims={dims}, x={x.shape})")
        if axes[0] != 0:
            raise Untraceable(
                f"moves the first axis, the batch, which cannot be traced (dims={dims})"
            )
        if axes == tuple(range(x.ndim)):
            return self.record("identity", [x], x.shape)
        return self.record("permute", [x], tuple(x.shape[axis] for axis in axes), dims=axes)

    def index(self, x: Traced, key: Any) -> Traced:
        """Record x[key], a slice of every axis but the batch: `ranges` has (start, stop, step).

        Or channels by their numbers."""
        keys = key if isinstance(key, tuple) else (key,)
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            missing = x.ndim - (len(keys) - 1)
            keys = (*keys[:at], *(slice(None),) * missing, *keys[at + 1 :])
        arrays = [i for i, k in enumerate(keys) if isinstance(k, np.ndarray)]
        if arrays == [_channel_axis(x)] and all(k == slice(None) for k in keys[: arrays[0]]):
            return self._take(x, keys[arrays[0]], keys[arrays[0] + 1 :])
        if len(keys) > x.ndim or not all(isinstance(k, slice) for k in keys):
            raise Untraceable(f"indexes with {key!r}, which cannot be traced")
        keys = (*keys, *(slice(None),) * (x.ndim - len(keys)))
        ranges = [k.indices(n) for k, n in zip(keys, x.shape, strict=True)]
        shape = tuple(len(range(*r)) for r in ranges)
        if ranges[0] != (0, x.shape[0], 1) or any(step < 1 for *_, step in ranges) or 0 in shape:
            raise Untraceable(f"indexes with {key!r}, which cannot be traced")
        return self.record("index", [x], shape, ranges=tuple(ranges[1:]))

    def _take(self, x: Traced, numbers: NDArray[Any], others: tuple[Any, ...]) -> Traced:
        axis = _channel_axis(x)
        if (
            numbers.ndim != 1
            or numbers.dtype.kind not in "iu"
            or others != (slice(None),) * len(others)
        ):
            raise Untraceable("indexes by other than the numbers of channels")
        channels = np.arange(x.shape[axis])[numbers]  # IndexError for what is out of range
        shape = (*x.shape[:axis], len(channels), *x.shape[axis + 1 :])
        return self.record("take", [x], shape, channels=channels, dim=axis)

    def reduce(self, op: str, x: Traced, axis: Any, keepdims: bool) -> Traced:
        """Record the "mean" or "sum" over some axes, none of them the batch."""
        axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted(set(_axes(op, x, axes))))
        if not axes or axes[0] == 0:
            raise Untraceable(f"takes the {op} over axes {axis}, which cannot be traced")
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        if not keepdims:
            shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return self.record(op, [x], shape, axes=axes, keepdims=keepdims)


def _depends(argument: Any) -> bool:
    if isinstance(argument, (tuple, list)):
        return any(map(_depends, argument))
    return isinstance(argument, Traced)


def _channel_axis(x: Traced) -> int:
    """Return the axis that lies last in memory."""
    return 1 if x.ndim == 4 else x.ndim - 1


def _axes(op: str, x: Traced, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return axes counted from the front."""
    if not all(-x.ndim <= dim < x.ndim for dim in dims):
        raise ValueError(f"{op}: axes must be axes of x (dims={dims}, shape={x.shape})")
    return tuple(dim % x.ndim for dim in dims)
