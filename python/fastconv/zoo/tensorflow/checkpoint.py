"""Checkpoints: tensors by name.

TensorFlow's own description: tensorflow/core/protobuf/tensor_bundle.proto (an index beside data
files) and tensorflow/core/util/saved_tensor_slice.proto (the first version: one file).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from .crc32c import crc32c, masked
from .slices import Slice, key_of, normalised
from .table import entries
from .tensors import STRING, array_of, dtype_of, parse, shape_of, widened

__all__ = ["read_bundle", "read_first_version"]

_MOST_SHARDS = 100_000
_SKIPPED = {STRING, 20, 21}  # texts, handles and variants are no weights


def read_bundle(prefix: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of the checkpoint PREFIX.index, PREFIX.data-00000-of-00001, ....

    Checksums are checked. Texts and handles are left out. Raises FormatError.
    """
    what = f"{prefix.name}.index"
    index = dict(entries(memoryview(Path(f"{prefix}.index").read_bytes()), what))
    if b"" not in index:
        raise FormatError(f"{what}: the index must begin with its header (keys={len(index)})")
    header = parse("BundleHeader", index.pop(b""), what)
    if not 1 <= header.num_shards <= _MOST_SHARDS or header.endianness not in (0, 1):
        raise FormatError(
            f"{what}: the header must tell shards and byte order "
            f"(num_shards={header.num_shards}, endianness={header.endianness})"
        )
    bundle = _Bundle(prefix, index, header.num_shards, header.endianness == 1)
    tensors = {}
    for key in index:
        if not key.startswith(b"\0"):  # those are slices, which their tensors name
            name = _text(key, what)
            array = bundle.read(key, name)
            if array is not None:
                tensors[name] = array
    return tensors


class _Bundle:
    def __init__(
        self, prefix: Path, index: dict[bytes, memoryview], shards: int, big_endian: bool
    ) -> None:
        self.prefix = prefix
        self.index = index
        self.shards = shards
        self.big_endian = big_endian

    def read(self, key: bytes, name: str) -> NDArray[Any] | None:
        """Return a tensor; None if it is none of numbers."""
        entry = parse("BundleEntry", self.index[key], name)
        if entry.dtype in _SKIPPED:
            return None
        shape = shape_of(entry.shape, name)
        if not entry.slices:
            return self._data(entry, shape, name)

        def part(where: Slice, size: tuple[int, ...]) -> NDArray[Any]:
            found = self.index.get(key_of(name, where))
            if found is None:
                raise FormatError(f"{name}: every slice must be there (slice={where})")
            return self._data(parse("BundleEntry", found, name), size, name)

        return _joined(entry.slices, shape, dtype_of(entry.dtype, name), part, name)

    def _data(self, entry: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
        dtype = dtype_of(entry.dtype, name)
        path = Path(f"{self.prefix}.data-{entry.shard_id:05d}-of-{self.shards:05d}")
        if not path.is_file():
            raise FormatError(f"{name}: the data must lie beside the index (file={path})")
        size, available = math.prod(shape) * dtype.itemsize, path.stat().st_size
        if entry.size != size or entry.offset < 0 or entry.offset + size > available:
            raise FormatError(
                f"{name}: the data must have the size of the shape and lie in the file "
                f"(offset={entry.offset}, size={entry.size}, shape={shape}, dtype={dtype}, "
                f"file={available})"
            )
        data = np.fromfile(path, np.uint8, size, offset=entry.offset)
        found = masked(crc32c(data))
        if found != entry.crc32c:
            raise FormatError(
                f"{name}: the checksum of the data must fit (stored={entry.crc32c:#x}, "
                f"found={found:#x})"
            )
        array = data.view(dtype.newbyteorder(">") if self.big_endian else dtype)
        return widened(array.astype(dtype, copy=False).reshape(shape), entry.dtype)


def read_first_version(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a checkpoint of the first version, which is one table.

    Checksums are checked. Texts are left out. Raises FormatError.
    """
    what = path.name
    with open(path, "rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    meta: Any = None
    found: dict[tuple[str, Slice], Any] = {}
    for key, value in entries(view, what):
        message = parse("SavedTensorSlices", value, what)
        if not key:
            meta = message.meta
        elif meta is not None:
            found[message.data.name, _slice(message.data.slice, what)] = message.data.data
    if meta is None:
        raise FormatError(f"{what}: the table must begin with what it holds (found={len(found)})")
    tensors = {}
    for about in meta.tensor:
        name = about.name
        if about.type in _SKIPPED:
            continue

        def part(
            where: Slice, size: tuple[int, ...], name: str = name, number: int = about.type
        ) -> NDArray[Any]:
            if (name, where) not in found:
                raise FormatError(f"{name}: every slice must be there (slice={where})")
            return array_of(found.pop((name, where)), name, number, size)

        shape = shape_of(about.shape, name)
        tensors[name] = _joined(about.slice, shape, dtype_of(about.type, name), part, name)
    return tensors


def _slice(message: Any, what: str) -> Slice:
    return tuple(
        (extent.start, extent.length if extent.WhichOneof("has_length") else -1)
        for extent in message.extent
    )


def _joined(
    slices: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    part: Callable[[Slice, tuple[int, ...]], NDArray[Any]],
    name: str,
) -> NDArray[Any]:
    """Return a tensor put together from slices, which must cover it without overlap."""
    wheres = [_slice(message, name) for message in slices]
    boxes = [normalised(where, shape, name) for where in wheres]
    if len(boxes) == 1 and boxes[0] == tuple((0, size) for size in shape):
        return part(wheres[0], shape)
    # Read before memory is taken for what the index only declares.
    parts = [
        part(where, tuple(length for _, length in box))
        for where, box in zip(wheres, boxes, strict=True)
    ]
    count = sum(array.size for array in parts)
    if count != math.prod(shape) or not parts:
        raise FormatError(f"{name}: slices must cover the tensor (elements={count}, shape={shape})")
    whole = np.empty(shape, parts[0].dtype)
    covered = np.zeros(shape, np.bool_)
    for array, box in zip(parts, boxes, strict=True):
        place = tuple(slice(start, start + length) for start, length in box)
        whole[place] = array
        covered[place] = True
    if not covered.all():
        raise FormatError(f"{name}: slices must not overlap (slices={wheres})")
    return whole


def _text(key: bytes, what: str) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{what}: names must be UTF-8 (name={key!r})") from error
