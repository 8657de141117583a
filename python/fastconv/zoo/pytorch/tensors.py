"""PyTorch's tensors and storages, as its pickles name and build them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.pickles import Call, PickleError, Shell, text
from ..archive import FormatError
from ..bfloat16 import bfloat16_to_float32
from ..mapped import Mapped

__all__ = ["AXES", "NAMES", "Storage", "Tensor", "storage_of"]

_BFLOAT16 = "bfloat16"
# NumPy's types by the names of PyTorch's storages, and of its dtypes.
_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexDoubleStorage": "c16",
    "ComplexFloatStorage": "c8",
    "UntypedStorage": "u1",
}
_DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": _BFLOAT16,
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex128": "c16",
    "complex64": "c8",
}
_HUGE = 1 << 48  # elements that no memory holds
AXES = 32  # more than NumPy's arrays of old versions cannot have


class Storage:
    """A row of numbers that tensors are views of; its place in the file may be known later."""

    def __init__(
        self, file: Mapped, key: str, kind: str, count: int, within: Storage | None = None
    ) -> None:
        self.file = file
        self.key = key
        self.kind = kind
        self.count = count
        self._within = within  # what it is a part of, or other numbers of the same bytes
        self._offset = 0  # in elements of that
        self._order = "<"
        self._array: NDArray[Any] | None = None
        self._typed: dict[str, Storage] = {}

    @property
    def itemsize(self) -> int:
        return int(_dtype(self.kind, "<").itemsize)

    def fill(self, start: int, order: str, size: int) -> None:
        """Say where in the file it lies, in what byte order, and how many bytes are there."""
        if size != self.count * self.itemsize:
            raise FormatError(
                "zoo.load: a storage must have the size that the pickle says "
                f"(file={self.file.path}, storage={self.key:.100}, bytes={size}, "
                f"elements={self.count}, itemsize={self.itemsize})"
            )
        self._order = order
        self._array = _as_numbers(
            self.file.array(self.key, _dtype(self.kind, order), start, self.count), self.kind
        )

    def fill_counted(self, start: int) -> int:
        """Say that it lies there after its number of elements; return where it ends."""
        count = int(self.file.array(self.key, "<i8", start, 1)[0])
        self.fill(start + 8, "<", count * self.itemsize)
        return start + 8 + count * self.itemsize

    def part(self, view: Any) -> Storage:
        """Return the storage (key, offset, count) that is a part of this one."""
        _, offset, count = view
        if not (_is_size(offset) and _is_size(count) and offset + count <= self.count):
            raise PickleError(
                f"a storage must lie inside the one that it is a part of (storage={self.key:.100})"
            )
        part = Storage(self.file, self.key, self.kind, count, self)
        part._offset = offset
        return part

    def as_type(self, kind: str) -> Storage:
        """Return an untyped storage, of bytes, as one of numbers."""
        if kind not in self._typed:
            typed = Storage(self.file, self.key, kind, 0, self)
            typed.count, rest = divmod(self.count * self.itemsize, typed.itemsize)
            if rest or self.kind != "u1":
                raise PickleError(
                    "an untyped storage must consist of whole numbers "
                    f"(storage={self.key:.100}, bytes={self.count}, itemsize={typed.itemsize})"
                )
            self._typed[kind] = typed
        return self._typed[kind]

    def elements(self) -> NDArray[Any]:
        """Return the numbers: a view of the file, but for bfloat16, which becomes float32."""
        if self._array is None and self._within is not None:
            outer = self._within.elements()
            self._order = self._within._order
            if self.kind == self._within.kind:
                self._array = outer[self._offset : self._offset + self.count]
            else:
                self._array = _as_numbers(outer.view(_dtype(self.kind, self._order)), self.kind)
        if self._array is None:
            raise FormatError(
                "zoo.load: the file must hold every storage "
                f"(file={self.file.path}, missing={self.key:.100})"
            )
        return self._array


def _dtype(kind: str, order: str) -> np.dtype[Any]:
    return np.dtype(order + ("u2" if kind == _BFLOAT16 else kind))


def _as_numbers(raw: NDArray[Any], kind: str) -> NDArray[Any]:
    return bfloat16_to_float32(raw) if kind == _BFLOAT16 else raw


class Tensor(Shell):
    """A tensor: a storage, where in it the first element lies, sizes, and strides in elements."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        if not isinstance(storage, Storage):
            raise PickleError(f"a tensor must have a storage (type={type(storage).__name__})")
        if not all(type(one) is tuple and len(one) <= AXES for one in (size, stride)):
            raise PickleError("a tensor must have tuples of sizes and strides")
        if len(size) != len(stride) or not all(map(_is_size, (offset, *size, *stride))):
            raise PickleError("the sizes and strides of a tensor must be integers from 0 on")
        count = math.prod(size)
        if count == 0 and math.prod(max(one, 1) for one in size) >= _HUGE:
            raise PickleError(f"a tensor must have sizes that can be (size={size})")
        last = 1 + sum((one - 1) * step for one, step in zip(size, stride, strict=True))
        # Also that no tensor is larger than its storage: what is written out stays small.
        if count and not (offset + last <= storage.count and count <= storage.count):
            raise PickleError(
                "a tensor must lie inside of its storage "
                f"(storage={storage.count}, offset={offset}, size={size}, stride={stride})"
            )
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def array(self, name: str) -> NDArray[Any]:
        """Return the elements; a view of the storage."""
        elements = self.storage.elements()
        if 0 in self.size:
            return np.empty(self.size, elements.dtype)
        strides = [step * elements.dtype.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(elements[self.offset :], self.size, strides)


def storage_of(file: Mapped, identity: Any) -> tuple[str, Storage]:
    """Return the storage that a persistent id tells of, and its key."""
    if type(identity) is not tuple or len(identity) < 5 or text(identity[0]) != "storage":
        raise PickleError("a persistent id must be that of a storage")
    _, kind, key, _, count = identity[:5]
    if type(kind) is not str or kind not in (*_STORAGES.values(),) or not _is_size(count):
        raise PickleError("a storage must have a known type and a size")
    key = text(key)
    return key, Storage(file, key, kind, count)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _HUGE


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, size, stride)


def _rebuild_v3(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    kind = rest[2]
    if kind not in _DTYPES.values() or not isinstance(storage, Storage):
        raise PickleError("a tensor must have a known type and a storage")
    return Tensor(storage.as_type(kind), offset, size, stride)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise PickleError(f"a parameter must hold a tensor (type={type(data).__name__})")
    return data


def _from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    if not isinstance(function, Call) or type(arguments) is not tuple:
        raise PickleError("a pickle must not call functions")
    return function.function(*arguments)


# What the pickles may name; storages and dtypes stand for NumPy's types.
NAMES: dict[str, Any] = {
    "torch._utils _rebuild_tensor": Call(_rebuild),
    "torch._utils _rebuild_tensor_v2": Call(_rebuild),
    "torch._utils _rebuild_tensor_v3": Call(_rebuild_v3),
    "torch._utils _rebuild_parameter": Call(_parameter),
    "torch._utils _rebuild_parameter_with_state": Call(_parameter),
    "torch._tensor _rebuild_from_type_v2": Call(_from_type),
    "torch Tensor": None,
    "torch.nn.parameter Parameter": Call(_parameter),
    "torch Size": Call(lambda sizes=(): tuple(sizes)),
    "torch device": Call(lambda *_: None),
    **{f"torch {name}": kind for name, kind in _DTYPES.items()},
    **{f"torch {name}": kind for name, kind in _STORAGES.items()},
    **{f"torch.cuda {name}": kind for name, kind in _STORAGES.items()},
    # The first files say of what class tensors are.
    **{f"torch {name.replace('Storage', 'Tensor')}": None for name in _STORAGES},
    **{f"torch.cuda {name.replace('Storage', 'Tensor')}": None for name in _STORAGES},
    "torch.storage UntypedStorage": "u1",
}
