"""Node: what an operator's converter sees of the file."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...nn import Parameter
from ..archive import FormatError
from .model import array_of, package
from .shapes import Info

__all__ = ["Constant", "Node"]


class Constant(NamedTuple):
    """A value that is known before the network runs."""

    array: NDArray[Any]
    learned: bool  # a weight, not a number of the network's design


class Node:
    """One node of a graph, with its opset's number and what is known of its inputs.

    Reading an attribute marks it, and taking a constant keeps it out of the layer's inputs: the
    builder refuses attributes that nobody read, and hands on the constants that nobody took.
    """

    def __init__(
        self,
        proto: Any,
        version: int,
        batch: int | None,
        used: Container[str],
        constants: Mapping[str, Constant],
        infos: Mapping[str, Info],
        parameters: dict[str, Parameter],
        folder: Path | None,
    ) -> None:
        self.op: str = proto.op_type
        self.version = version
        self.batch = batch  # that the file was exported with
        self.inputs: list[str] = list(proto.input)
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()
        self.outputs: list[str] = list(proto.output)
        while self.outputs and not self.outputs[-1]:
            self.outputs.pop()
        self.label: str = proto.name or next(filter(None, self.outputs), "")
        self.taken: set[int] = set()
        self.results = 1  # how many outputs the layer gives
        self.names: dict[int, str] = {}  # of the attributes that hold bound constants
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}
        self._unread = set(self._attributes)
        self._used = used
        self._constants = constants
        self._infos = infos
        self._parameters = parameters
        self._folder = folder

    def __str__(self) -> str:
        return f"{self.op} {self.label!r}"

    @property
    def attribute_name(self) -> str:
        """The layer's name: that of PyTorch's weight, where there is one, or the node's."""
        weights = (name for name in self.inputs if name in self._constants)
        named = next((name for name in weights if name.endswith(".weight")), None)
        label = self.label if named is None else named.removesuffix(".weight")
        return re.sub(r"\W+", "_", label).strip("_") or self.op.lower()

    def error(self, rule: str, **values: Any) -> FormatError:
        found = ", ".join(f"{name}={value!r}" for name, value in values.items())
        return FormatError(f"onnx: {self}: {rule} ({found})")

    def wanted(self, i: int) -> bool:
        """Whether somebody reads an output."""
        return i < len(self.outputs) and self.outputs[i] in self._used

    # Attributes.

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self._attribute(name, "INT", default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.integer(name, int(default)))

    def number(self, name: str, default: float | None = None) -> float:
        return float(self._attribute(name, "FLOAT", default))

    def text(self, name: str, default: str | None = None) -> str:
        value = self._attribute(name, "STRING", default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        return tuple(map(int, self._attribute(name, "INTS", default)))

    def numbers(self, name: str) -> tuple[float, ...]:
        return tuple(map(float, self._attribute(name, "FLOATS", None)))

    def tensor(self, name: str) -> NDArray[Any]:
        return array_of(self._attribute(name, "TENSOR", None), self._folder)

    def has(self, name: str) -> bool:
        return name in self._attributes

    def ignore(self, *names: str) -> None:
        """Mark attributes that change nothing here."""
        self._unread.difference_update(names)

    def check_read(self) -> None:
        """Raise FormatError if there is an attribute that nobody asked for."""
        if self._unread:
            raise self.error("unknown attributes", attributes=sorted(self._unread))

    def _attribute(self, name: str, kind: str, default: Any) -> Any:
        attribute = self._attributes.get(name)
        if attribute is None:
            if default is None:
                raise self.error("an attribute is missing", attribute=name)
            return default
        self._unread.discard(name)
        onnx = package()
        if attribute.type != getattr(onnx.AttributeProto, kind) or attribute.ref_attr_name:
            raise self.error("an attribute has the wrong type", attribute=name, expected=kind)
        return onnx.helper.get_attribute_value(attribute)

    # Inputs.

    def given(self, i: int) -> bool:
        return i < len(self.inputs) and bool(self.inputs[i])

    def info(self, i: int = 0) -> Info:
        return self._infos.get(self.inputs[i], Info()) if self.given(i) else Info()

    def output_info(self, i: int = 0) -> Info:
        return self._infos.get(self.outputs[i], Info())

    def constant(self, i: int) -> NDArray[Any] | None:
        """Return the value of an input that is known, without taking it."""
        found = self._constants.get(self.inputs[i]) if self.given(i) else None
        return None if found is None else found.array

    def take(self, i: int) -> NDArray[Any]:
        """Return the value of an input that has to be known; the layer does not get it."""
        array = self.constant(i)
        if array is None:
            raise self.error("an input must be a constant", input=i)
        self.taken.add(i)
        return array

    def known(self, *positions: int) -> bool:
        """Whether these inputs are constants, or left out."""
        return all(not self.given(i) or self.constant(i) is not None for i in positions)

    def parameter(self, i: int) -> Parameter:
        """Take an input as a weight; nodes that share it in the file share the parameter."""
        self.take(i)
        return self._shared(i)

    def bound(self, i: int) -> Parameter | np.ndarray | None:
        """Return a constant input for a layer to keep: learned if it is a weight."""
        if not self.given(i):
            return None
        constant = self._constants[self.inputs[i]]
        if constant.learned and constant.array.dtype == np.float32 and constant.array.ndim:
            return self._shared(i)
        return np.array(constant.array)

    def _shared(self, i: int) -> Parameter:
        name = self.inputs[i]
        if name not in self._parameters:
            array = self._constants[name].array
            if array.dtype.kind != "f":
                raise self.error("weights must be floating point", input=name, dtype=array.dtype)
            self._parameters[name] = Parameter(np.array(array, np.float32))
        return self._parameters[name]
