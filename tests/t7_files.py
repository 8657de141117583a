"""Writing .t7 files byte by byte, as Torch7's File.lua does.

Python's dicts are tables, `Obj` objects of classes, arrays tensors. Numbers, booleans, strings and
None are Lua's. The same object is written once, then referred to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Closure", "Function", "Obj", "Storage", "Tensor", "lua_list", "module", "write"]

_NAMES = {"f2": "Half", "f4": "Float", "f8": "Double", "i8": "Long", "i4": "Int", "u1": "Byte"}


@dataclass(eq=False)
class Obj:
    """An object of a class; `version` None writes no version, as the oldest files have none.

    `before` are objects that the class writes ahead of its fields.
    """

    name: str
    fields: dict[Any, Any]
    version: int | None = 1
    before: tuple[Any, ...] = ()


@dataclass(eq=False)
class Tensor:
    """A tensor with its storage, offset (from 1 on) and strides spelt out."""

    storage: np.ndarray | None
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 1
    device: str = ""  # "Cuda"


@dataclass(eq=False)
class Storage:
    """A storage by itself; arrays and tensors bring theirs."""

    array: np.ndarray
    device: str = ""


@dataclass(eq=False)
class Function:
    """A function as older (tag 6) files hold it."""

    code: bytes = b"\x1bLJ\x02"
    upvalues: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Closure(Function):
    """A function as newer (tags 7 and 8) files hold it."""

    tag: int = 8


def lua_list(*values: Any) -> dict[int, Any]:
    return dict(enumerate(values, 1))


def module(kind: str, /, *modules: Obj, version: int | None = 1, **fields: Any) -> Obj:
    """A layer, or a container of layers, with the fields that every module has."""
    scratch = {"output": np.zeros(0, np.float32), "train": False, "_type": "torch.FloatTensor"}
    inside = {"modules": lua_list(*modules)} if modules else {}
    return Obj(kind, {**scratch, **inside, **fields}, version)


def write(content: Any, ascii: bool = False, order: str = "<", long_size: int = 8) -> bytes:
    writer = _Writer(ascii, order, long_size)
    writer.object(content)
    return bytes(writer.out)


class _Writer:
    def __init__(self, ascii: bool, order: str, long_size: int) -> None:
        self.out = bytearray()
        self._ascii, self._order, self._long = ascii, order, "q" if long_size == 8 else "i"
        self._indices: dict[int, int] = {}
        self._kept: list[Any] = []

    def object(self, value: Any) -> None:
        if value is None:
            self._ints(0)
        elif isinstance(value, bool):
            self._ints(5)
            self._ints(int(value))
        elif isinstance(value, (int, float)):
            self._ints(1)
            self._numbers("d", value)
        elif isinstance(value, str):
            self._ints(2)
            self._string(value.encode())
        elif type(value) is Function:
            self._ints(6)
            self._function(value)
        elif isinstance(value, Closure):
            self._ints(value.tag)
            if self._is_new(value):
                self._function(value)
        elif isinstance(value, dict):
            self._ints(3)
            if self._is_new(value):
                self._ints(len(value))
                for key, item in value.items():
                    self.object(key)
                    self.object(item)
        else:
            self._ints(4)
            if self._is_new(value):
                self._torch(value)

    def _torch(self, value: Any) -> None:
        if isinstance(value, Obj):
            self._class(value.name, value.version)
            for extra in value.before:
                self.object(extra)
            self.object(value.fields)
            return
        if isinstance(value, Storage):
            kind = np.dtype(value.array.dtype).str[1:]
            self._class(f"torch.{value.device or _NAMES[kind]}Storage")
            self._numbers(self._long, len(value.array))
            self._elements(value.array)
            return
        if isinstance(value, np.ndarray):
            steps = [step // value.itemsize for step in np.zeros(value.shape, value.dtype).strides]
            value = Tensor(value.ravel(), value.shape, tuple(steps))
        kind = "f4" if value.storage is None else value.storage.dtype.str[1:]
        self._class(f"torch.{value.device or _NAMES[kind]}Tensor")
        empty = value.storage is None or 0 in value.sizes
        sizes, strides = ((), ()) if empty else (value.sizes, value.strides)
        self._ints(len(sizes))
        self._numbers(self._long, *sizes)
        self._numbers(self._long, *strides)
        self._numbers(self._long, value.offset)
        self.object(None if empty else self._storage_of(value))

    def _storage_of(self, tensor: Tensor) -> Any:
        for kept in self._kept:
            if isinstance(kept, Storage) and kept.array is tensor.storage:
                return kept
        return Storage(tensor.storage, tensor.device)

    def _class(self, name: str, version: int | None = 1) -> None:
        if version is not None:
            self._string(f"V {version}".encode())
        self._string(name.encode())

    def _function(self, value: Function) -> None:
        self._string(value.code)
        self.object(value.upvalues)

    def _is_new(self, value: Any) -> bool:
        new = id(value) not in self._indices
        index = self._indices.setdefault(id(value), len(self._indices) + 1)
        self._kept.append(value)  # its id must not go to another
        self._ints(index)
        return new

    def _string(self, text: bytes) -> None:
        self._ints(len(text))
        self.out += text + (b"\n" if self._ascii and text else b"")

    def _ints(self, *values: int) -> None:
        self._numbers("i", *values)

    def _numbers(self, kind: str, *values: Any) -> None:
        if not values:
            return
        if self._ascii:
            self.out += (" ".join(repr(value) for value in values) + "\n").encode()
        else:
            self.out += struct.pack(f"{self._order}{len(values)}{kind}", *values)

    def _elements(self, array: np.ndarray) -> None:
        kind = array.dtype.str[1:]
        if kind == "i8":
            self._numbers(self._long, *array.tolist())
        elif self._ascii and kind != "u1":
            self._numbers(kind, *array.tolist())
        else:
            self.out += array.astype(self._order + kind).tobytes()
            self.out += b"\n" if self._ascii and len(array) else b""
