"""Arrays without values that stand for the results of a network while it is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import numpy as np

from .graph import Value

__all__ = ["Traced", "Untraceable"]


class Untraceable(Exception):
    """What a layer did that no graph can say; the message goes on after the layer's name."""


class _Recorder(Protocol):
    def arithmetic(self, ufunc: Any, x: Any, y: Any) -> Traced: ...
    def reshape(self, x: Traced, shape: tuple[int, ...]) -> Traced: ...
    def permute(self, x: Traced, dims: tuple[int, ...]) -> Traced: ...
    def index(self, x: Traced, key: Any) -> Traced: ...
    def reduce(self, op: str, x: Traced, axis: Any, keepdims: bool) -> Traced: ...


class Traced(np.ndarray[Any, Any]):
    """One number, repeated through strides of 0, in the shape of the value it stands for.

    What layers do to it besides calling kernels comes back to the recorder, or is an error.
    """

    value: Value
    recorder: _Recorder

    @staticmethod
    def make(recorder: _Recorder, value: Value, number: float) -> Traced:
        array = np.broadcast_to(np.full((), number, np.float32), value.shape).view(Traced)
        array.value = value
        array.recorder = recorder
        return array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or len(inputs) > 2:
            raise Untraceable(f"uses np.{ufunc.__name__} in a way that cannot be traced")
        return self.recorder.arithmetic(ufunc, inputs[0], inputs[1] if len(inputs) > 1 else None)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> NoReturn:
        raise Untraceable(f"uses np.{function.__name__}, which cannot be traced")

    def __getitem__(self, key: Any) -> Any:
        return self.recorder.index(self, key)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        sizes = shape[0] if len(shape) == 1 else shape
        sizes = sizes if isinstance(sizes, (tuple, list)) else (sizes,)
        return self.recorder.reshape(self, _complete(self.shape, tuple(map(int, sizes))))

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        return self.recorder.reduce("mean", self, axis, bool(options.get("keepdims", False)))

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        return self.recorder.reduce("sum", self, axis, bool(options.get("keepdims", False)))

    def transpose(self, *dims: Any) -> Any:
        axes = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
        return self.recorder.permute(self, axes or tuple(reversed(range(self.ndim))))


def _complete(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the wanted shape with the -1 filled in, as NumPy does it."""
    return np.broadcast_to(np.zeros((), np.bool_), shape).reshape(wanted).shape


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refused(self: Any, *args: Any, **options: Any) -> NoReturn:
        raise Untraceable(f"needs the values of its input ({name}), so it cannot be traced")

    return refused


# What looks at no value; everything else that an array has is refused.
_HARMLESS = {"dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides", "view"}
_REFUSED = [name for name in dir(np.ndarray) if not name.startswith("_")] + [
    f"__{name}__"
    for name in ("bool", "complex", "contains", "copy", "float", "index", "int", "iter", "setitem")
]
for _name in _REFUSED:
    if _name not in vars(Traced) and _name not in _HARMLESS:
        _method = _refuse(_name)
        _is_method = callable(getattr(np.ndarray, _name))
        setattr(Traced, _name, _method if _is_method else property(_method))
