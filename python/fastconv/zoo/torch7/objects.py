"""The objects that Lua wrote to a .t7 file: numbers, texts, tables, tensors, objects of classes.

Source: File.lua, generic/Tensor.c and generic/Storage.c of torch/torch7. Nothing is executed:
functions are passed over, and objects of any class are their fields.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from .source import AsciiSource, BinarySource, Source

__all__ = ["Table", "TorchObject", "read_objects"]

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN, _FUNCTION, _OLD_CLOSURE, _CLOSURE = range(9)
_DEEPEST = 150  # objects inside objects; a network has some four to each level of containers
_ELEMENTS = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "i2",
    "Int": "i4",
    "Long": "l",
    "Half": "f2",
    "Float": "f4",
    "Double": "f8",
    "CudaByte": "u1",
    "CudaChar": "i1",
    "CudaShort": "i2",
    "CudaInt": "i4",
    "CudaLong": "l",
    "CudaHalf": "f2",
    "Cuda": "f4",
    "CudaDouble": "f8",
}
_ARRAY = re.compile(r"torch\.(\w*?)(Tensor|Storage)")
_MOST_AXES = 8
_LEAST_ENTRY = 8  # bytes that a key and a value take at the very least, in either encoding


class Table(dict[Any, Any]):
    """A Lua table. It is what it is, not what it holds, so that it may be a key of another."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def sequence(self) -> list[Any]:
        """Return the values of the keys 1, 2, ... up to the first that is missing."""
        values: list[Any] = []
        while len(values) + 1 in self:
            values.append(self[len(values) + 1])
        return values


@dataclass(eq=False)
class TorchObject:
    """An object of a class, such as "nn.Linear": its fields, and the class's version."""

    name: str
    version: float
    fields: Table = field(default_factory=Table)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a field; `default` where there is none, or nil."""
        value = self.fields.get(key)
        return default if value is None else value


def read_objects(data: bytes) -> Any:
    """Return the object in a .t7 file: float, bool, str, None, Table, TorchObject or an array.

    Whole numbers are int. Arrays are views into `data`, with the file's strides. Functions are
    None. Raises FormatError for what is no such file.
    """
    if data[:1].isdigit():
        return _Reader(AsciiSource(data)).read()
    order = "<" if int.from_bytes(data[:4], "little") <= _CLOSURE else ">"
    try:
        return _Reader(BinarySource(data, order, 8)).read()
    except FormatError as error:
        # Windows and machines of 32 bits had a shorter `long`; the file does not say.
        source = BinarySource(data, order, 4)
        try:
            found = _Reader(source).read()
        except FormatError:
            raise error from None
        if source.left:
            raise error
        return found


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[int, Any] = {}
        self._depth = 0

    def read(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FormatError(f"torch7: objects must not lie too deep (deepest={_DEEPEST})")
        try:
            return self._read()
        finally:
            self._depth -= 1

    def _read(self) -> Any:
        source = self._source
        (tag,) = source.integers(1)
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            number = source.number()
            return int(number) if math.isfinite(number) and number.is_integer() else number
        if tag == _STRING:
            return self._text()
        if tag == _BOOLEAN:
            return source.integers(1) == [1]
        if tag == _FUNCTION:
            self._pass_function()
            return None
        if tag not in (_TABLE, _TORCH, _OLD_CLOSURE, _CLOSURE):
            raise FormatError(f"torch7: an object's tag must be from 0 to 8 (tag={tag})")
        (index,) = source.integers(1)
        if index in self._known:
            return self._known[index]
        if tag == _TABLE:
            return self._table(index)
        if tag == _TORCH:
            return self._object(index)
        self._known[index] = None
        self._pass_function()
        return None

    def _text(self) -> str:
        (length,) = self._source.integers(1)
        return self._source.text(length).decode("utf-8", "surrogateescape")

    def _pass_function(self) -> None:
        """Read a function's byte code and what it refers to, and forget both."""
        self._text()
        self.read()

    def _table(self, index: int) -> Table:
        (size,) = self._source.integers(1)
        if size < 0 or size * _LEAST_ENTRY > self._source.left:
            raise FormatError(
                f"torch7: the file must hold the entries that a table announces "
                f"(entries={size}, left={self._source.left})"
            )
        table = self._known[index] = Table()
        for _ in range(size):
            key = self.read()
            value = self.read()
            # Nobody looks for what lies under an array, and it has no hash.
            table[("array", id(key)) if isinstance(key, np.ndarray) else key] = value
        return table

    def _object(self, index: int) -> Any:
        name, version = self._text(), 0.0
        if name.startswith("V "):
            try:
                version = float(name[2:])
            except ValueError:
                raise FormatError(
                    f"torch7: a class's version must be a number (version={name!r})"
                ) from None
            name = self._text()
        if array := _ARRAY.fullmatch(name):
            if array[1] not in _ELEMENTS:
                raise FormatError(f"torch7: the elements must be of a known type (class={name})")
            self._known[index] = None  # none refers to itself
            read = self._tensor if array[2] == "Tensor" else self._storage
            self._known[index] = read(name, _ELEMENTS[array[1]])
            return self._known[index]
        found = self._known[index] = TorchObject(name, version)
        if name == "nn.DataParallelTable" and version >= 2:
            self.read()  # which devices it was on
        fields = self.read()
        if not isinstance(fields, Table):
            raise FormatError(
                f"torch7: an object must be written as a table of its fields (class={name})"
            )
        found.fields = fields
        return found

    def _storage(self, name: str, dtype: str) -> NDArray[Any]:
        (size,) = self._source.longs(1)
        return self._source.array(dtype, size)

    def _tensor(self, name: str, dtype: str) -> NDArray[Any] | None:
        source = self._source
        (ndim,) = source.integers(1)
        sizes, strides = source.longs(ndim), source.longs(ndim)
        offset = source.longs(1)[0] - 1
        storage = self.read()
        if storage is None or not sizes or 0 in sizes:
            return np.zeros(0, "i8" if dtype == "l" else dtype)
        if isinstance(storage, np.ndarray) and storage.ndim == 1 and ndim <= _MOST_AXES:
            last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
            if min(offset, *strides) >= 0 and min(sizes) > 0 and last < len(storage):
                if prod(sizes) > len(storage):
                    return None  # expanded through strides of 0: a layer's scratch, no weights
                steps = [step * storage.itemsize for step in strides]
                return np.lib.stride_tricks.as_strided(
                    storage[offset:], sizes, steps, writeable=False
                )
        raise FormatError(
            "torch7: a tensor's storage must hold all its elements "
            f"(class={name}, sizes={sizes}, strides={strides}, offset={offset + 1}, "
            f"storage={getattr(storage, 'shape', type(storage).__name__)})"
        )
