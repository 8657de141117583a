"""Layers for operators that `fastconv.nn` has none for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...autograd import Tensor, ops
from ...nn import LogSoftmax, Module, Parameter, Softmax
from .functions.movement import flatten

__all__ = ["Bound", "FlatLogSoftmax", "FlatSoftmax", "Operator"]


class Operator(Module):
    """A function of tensors, of `zoo.onnx.functions`, with its options."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self.options = options

    def forward(self, *inputs: Tensor | None) -> Any:
        return self.function(*inputs, **self.options)

    def extra_repr(self) -> str:
        options = (f"{name}={value}" for name, value in self.options.items())
        return ", ".join((self.function.__name__, *options))


class Bound(Module):
    """A layer some of whose inputs are constants of the file.

    arguments: by position, (attribute, constant): a Parameter is learned, an array is not, None
    stands for an input that is left out. What `forward` is given takes the other positions.
    """

    def __init__(
        self, layer: Module, arguments: Mapping[int, tuple[str, Parameter | np.ndarray | None]]
    ) -> None:
        self.layer = layer
        self.names: dict[int, str | None] = {}
        for position, (name, value) in sorted(arguments.items()):
            self.names[position] = None if value is None else name
            if isinstance(value, Parameter):
                setattr(self, name, value)
            elif value is not None:
                self.register_buffer(name, value)

    def forward(self, *inputs: Tensor) -> Any:
        values: list[Any] = list(inputs)
        for position, name in self.names.items():
            values.insert(position, None if name is None else getattr(self, name))
        return self.layer(*values)


class FlatSoftmax(Softmax):
    """The softmax of operator sets before 13: over all axes from `dim` on together."""

    def forward(self, x: Tensor) -> Tensor:
        rows = flatten(x, axis=self.dim)
        return ops.reshape(ops.softmax(rows, 1), x.shape)


class FlatLogSoftmax(LogSoftmax):
    """The logarithm of that."""

    def forward(self, x: Tensor) -> Tensor:
        rows = flatten(x, axis=self.dim)
        return ops.reshape(ops.log_softmax(rows, 1), x.shape)
