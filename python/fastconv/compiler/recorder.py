"""The backend that computes nothing and writes down which kernels are called on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import functional
from .graph import Node, Value
from .kernels import RECORDED
from .traced import Traced, Untraceable

__all__ = ["Recorder"]


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
                raise Untraceable(f"uses {name}, which cannot be compiled")
            return RECORDED[name](self, *args, **options)

        return call

    def record(
        self, op: str, inputs: Sequence[Any], shape: tuple[int, ...], **attributes: Any
    ) -> Traced:
        """Append a node and return what stands for its result."""
        if not all(isinstance(x, Traced) for x in inputs):
            raise Untraceable(f"uses {op} on a constant, which cannot be compiled")
        if shape[:1] != inputs[0].shape[:1]:
            raise Untraceable(
                f"changes the first axis, the batch, which cannot be compiled "
                f"(from={inputs[0].shape}, to={shape})"
            )
        output = Value(shape)
        values = tuple(x.value for x in inputs)
        self.nodes.append(Node(op, values, output, self._where(), attributes))
        return Traced.make(self, output, self._number)

    def affine(self, x: Traced, scale: Any, shift: Any) -> Traced:
        """Record x * scale + shift: numbers, or one a channel."""
        channels = x.shape[_channel_axis(x)]
        factors, summands = (
            np.ascontiguousarray(np.broadcast_to(np.asarray(v, np.float64), (channels,)))
            for v in (scale, shift)
        )
        return self.record("affine", [x], x.shape, scale=factors, shift=summands, activation=None)

    # What layers do to arrays without a kernel.

    def arithmetic(self, ufunc: Any, x: Any, y: Any) -> Traced:
        if ufunc is np.negative:
            return self.affine(x, -1, 0)
        if ufunc not in (np.add, np.subtract, np.multiply, np.true_divide):
            raise Untraceable(f"uses np.{ufunc.__name__}, which cannot be compiled")
        if isinstance(x, Traced) and isinstance(y, Traced):
            if x.shape != y.shape or ufunc not in (np.add, np.subtract):
                raise Untraceable(
                    f"uses np.{ufunc.__name__} on two results, which cannot be compiled "
                    f"(x={x.shape}, y={y.shape})"
                )
            y = y if ufunc is np.add else self.affine(y, -1, 0)
            return self.record("add", [x, y], x.shape, activation=None)
        if not isinstance(x, Traced):
            if ufunc is np.true_divide:
                raise Untraceable("divides by a result, which cannot be compiled")
            constant = _per_channel(y, x)
            if ufunc is np.multiply:
                return self.affine(y, constant, 0)
            return self.affine(y, 1 if ufunc is np.add else -1, constant)
        constant = _per_channel(x, y)
        if ufunc is np.add or ufunc is np.subtract:
            return self.affine(x, 1, constant if ufunc is np.add else -constant)
        return self.affine(x, constant if ufunc is np.multiply else 1 / constant, 0)

    def reshape(self, x: Traced, shape: tuple[int, ...]) -> Traced:
        return self.record("reshape", [x], shape)

    def channels(self, x: Traced, key: Any) -> Traced:
        """Record x[key] where that is a stretch of channels of feature maps."""
        keys = key if isinstance(key, tuple) else (key,)
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            missing = x.ndim - (len(keys) - 1)
            keys = (*keys[:at], *(slice(None),) * missing, *keys[at + 1 :])
        if x.ndim != 4 or len(keys) > 4 or not all(isinstance(k, slice) for k in keys):
            raise Untraceable(f"indexes with {key!r}, which cannot be compiled")
        ranges = [k.indices(n) for k, n in zip(keys, x.shape, strict=False)]
        whole = [i == 1 or r == (0, x.shape[i], 1) for i, r in enumerate(ranges)]
        start, stop, step = ranges[1] if len(ranges) > 1 else (0, x.shape[1], 1)
        if not all(whole) or step != 1 or stop <= start:
            raise Untraceable(f"indexes with {key!r}, which cannot be compiled")
        return self.record("slice", [x], (x.shape[0], stop - start, *x.shape[2:]), start=start)

    def mean(self, x: Traced, axis: Any, keepdims: bool) -> Traced:
        """Record the mean over height and width."""
        axes = axis if isinstance(axis, tuple) else (axis,)
        if x.ndim != 4 or None in axes or sorted(a % 4 for a in axes) != [2, 3]:
            raise Untraceable(f"takes the mean over axes {axis}, which cannot be compiled")
        out = self.record("adaptive_avg_pool2d", [x], (*x.shape[:2], 1, 1))
        return out if keepdims else self.reshape(out, x.shape[:2])


def _depends(argument: Any) -> bool:
    if isinstance(argument, (tuple, list)):
        return any(map(_depends, argument))
    return isinstance(argument, Traced)


def _channel_axis(x: Traced) -> int:
    """Return the axis that lies last in memory."""
    return 1 if x.ndim == 4 else x.ndim - 1


def _per_channel(x: Traced, constant: Any) -> NDArray[np.float64]:
    """Return a constant that broadcasts against x as a number, or as one a channel."""
    array = np.asarray(constant, np.float64)
    padded = (1,) * (x.ndim - array.ndim) + array.shape
    axis = _channel_axis(x)
    fits = len(padded) == x.ndim and padded[axis] in (1, x.shape[axis])
    if not fits or any(n != 1 for i, n in enumerate(padded) if i != axis):
        raise Untraceable(
            f"combines its input with a constant that is not one number, or one per channel "
            f"(x={x.shape}, constant={array.shape})"
        )
    return array.reshape(-1)
