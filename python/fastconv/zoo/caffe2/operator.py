"""An operator of a file at its place in the network: what builders of layers work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ...nn import Module, Parameter
from ..archive import FormatError
from ..wiring import Value, Wiring

__all__ = ["Operator"]

Array = NDArray[Any]

_LARGEST = 1 << 12  # of the sizes of windows
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


class Operator:
    """An OperatorDef, the constants of the network, and the wiring that it goes into."""

    def __init__(
        self,
        op: Any,
        constants: Mapping[str, Array],
        wiring: Wiring,
        shared: dict[tuple[str, tuple[int, ...]], Parameter],
    ) -> None:
        self.op = op
        self.inputs = list(op.input)
        self.outputs = list(op.output)
        self.name: str = op.name or (self.outputs[0] if self.outputs else op.type)
        self.constants = constants
        self.wiring = wiring
        self._shared = shared  # parameters by the constant's name and their shape
        self._arguments = {argument.name: argument for argument in op.arg}
        if not self.inputs or not self.outputs:
            raise self.error("an operator must read and write something")

    def error(self, rule: str, **values: Any) -> FormatError:
        """Return the error for an operator that breaks a rule."""
        told = "".join(f", {name}={value}" for name, value in values.items())
        return FormatError(f"caffe2: {rule} (operator={self.op.type!r}, name={self.name!r}{told})")

    def has(self, name: str) -> bool:
        """Whether an argument is given."""
        return name in self._arguments

    def integer(self, name: str, default: int) -> int:
        """Return an integer argument."""
        return int(self._arguments[name].i) if name in self._arguments else default

    def real(self, name: str, default: float) -> float:
        """Return a number that may have been written as an integer."""
        argument = self._arguments.get(name)
        if argument is None:
            return default
        return float(argument.f if argument.HasField("f") else argument.i)

    def integers(self, name: str) -> list[int]:
        """Return an argument of several integers; [] without it."""
        return [int(i) for i in self._arguments[name].ints] if name in self._arguments else []

    def channels_last(self) -> bool:
        """Whether the operator's maps are (N, H, W, C)."""
        order = self._arguments["order"].s if "order" in self._arguments else b"NCHW"
        if order not in (b"NCHW", b"NHWC"):
            raise self.error("order must be NCHW or NHWC", order=order)
        return bool(order == b"NHWC")

    def sizes(self, name: str, default: int, least: int) -> tuple[int, int]:
        """Return (height, width) of a window: `name`s, `name`, or `name`_h and `name`_w."""
        values = self.integers(f"{name}s")
        if self.has(name):
            values = [self.integer(name, default)]
        elif self.has(f"{name}_h") and self.has(f"{name}_w"):
            values = [self.integer(f"{name}_h", default), self.integer(f"{name}_w", default)]
        return self._pair(name, values or [default], least)

    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return ((top, bottom), (left, right)), as it is written."""
        values = self.integers("pads")
        if self.has("pad"):
            values = [self.integer("pad", 0)] * 4
        elif all(self.has(f"pad_{side}") for side in "tlbr"):
            values = [self.integer(f"pad_{side}", 0) for side in "tlbr"]
        values = values or [0] * 4
        if len(values) != 4:
            raise self.error("pads must be four, as those of pictures", pads=values)
        top, left = self._pair("pads", values[:2], 0)
        bottom, right = self._pair("pads", values[2:], 0)
        return (top, bottom), (left, right)

    def _pair(self, name: str, values: Sequence[int], least: int) -> tuple[int, int]:
        if len(values) not in (1, 2) or not all(least <= v <= _LARGEST for v in values):
            rule = f"sizes must be one or two, from {least} to {_LARGEST}"
            raise self.error(rule, **{name: values})
        return values[0], values[-1]

    def value(self, number: int = 0) -> Value:
        """Return what the operator reads."""
        return self.wiring.value(self.name, self.inputs[number])

    def maps(self) -> tuple[int, ...] | None:
        """Return the shape (C, H, W) of what the operator reads; None if it is unknown."""
        shape = self.value().shape
        if shape is None:
            return None
        if len(shape) != 3:
            raise self.error("the input must be maps", input=shape)
        return (shape[2], *shape[:2]) if self.channels_last() else shape

    def constant(self, number: int, axes: int | None = None) -> Array:
        """Return a weight, which must be among the constants."""
        if number >= len(self.inputs) or self.inputs[number] not in self.constants:
            raise self.error(
                "weights must be constants of the files",
                input=self.inputs[number] if number < len(self.inputs) else None,
            )
        array = self.constants[self.inputs[number]]
        if array.size == 0 or (axes is not None and array.ndim != axes):
            raise self.error("weights must have their axes", expected=axes, shape=array.shape)
        return array

    def vector(self, number: int, size: int) -> Array:
        """Return a weight that must have one number a channel."""
        array = self.constant(number)
        if array.size != size:
            raise self.error("there must be one number a channel", expected=size, shape=array.shape)
        return array.reshape(size)

    def fill(self, module: Any, attribute: str, number: int, array: Array) -> None:
        """Set a parameter of a module; operators that read one constant share it."""
        parameter: Parameter = getattr(module, attribute)
        owner = self._shared.setdefault((self.inputs[number], parameter.shape), parameter)
        if owner is parameter:
            try:
                np.copyto(parameter.data, array, casting="same_kind")
            except (TypeError, ValueError) as error:
                raise self.error(
                    "weights must be floats of the layer's shape",
                    expected=parameter.shape,
                    got=(array.shape, str(array.dtype)),
                ) from error
        setattr(module, attribute, owner)

    def put(self, module: Module, reads: Sequence[str] | None = None) -> None:
        """Add a module that reads what the operator reads first (or `reads`)."""
        self.wiring.add(self.name, module, reads or self.inputs[:1], self.outputs[0])

    def put_maps(self, module: Module) -> None:
        """Add a module for maps (N, C, H, W), in whatever order the operator has them."""
        if not self.channels_last():
            self.put(module)
            return
        before, after = f"{self.name}/nchw", f"{self.name}/out"
        self.wiring.add(before, nn.Permute(*_TO_NCHW), self.inputs[:1], before)
        self.wiring.add(self.name, module, [before], after)
        self.wiring.add(f"{self.name}/nhwc", nn.Permute(*_TO_NHWC), [after], self.outputs[0])
