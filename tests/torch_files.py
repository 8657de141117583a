"""PyTorch's files, written without PyTorch: layout as in torch/serialization.py."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pickle_assembly import Call, Name, Persistent, pickle_of

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def storage(key: str, kind: str, count: int, *more: Any) -> Persistent:
    return Persistent(("storage", Name("torch", kind), key, "cpu", count, *more))


def tensor(of: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    hooks = Call(Name("collections", "OrderedDict"), ())
    return Call(
        Name("torch._utils", "_rebuild_tensor_v2"), (of, offset, size, stride, False, hooks)
    )


def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the state dict as the pickle describes it; storages are called "0", "1", ..."""
    return {
        name: tensor(
            storage(str(place), KINDS[array.dtype.name], array.size),
            0,
            array.shape,
            strides(array.shape),
        )
        for place, (name, array) in enumerate(arrays.items())
    }


def write_zip(
    path: Path,
    root: Any,
    storages: dict[str, bytes],
    byteorder: str | None = "little",
    compression: int = zipfile.ZIP_STORED,
    **more: bytes,
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", root if type(root) is bytes else pickle_of(root))
        if byteorder is not None:
            archive.writestr("archive/byteorder", byteorder)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
        for name, content in more.items():
            archive.writestr(f"archive/{name}", content)
    return path


def write_legacy(path: Path, root: Any, storages: dict[str, tuple[int, bytes]]) -> Path:
    """Write a stream; storages are (number of elements, content)."""
    sizes = {"protocol_version": 1001, "little_endian": True}
    parts = [pickle_of(one) for one in (MAGIC, 1001, sizes, root, sorted(storages))]
    for key in sorted(storages):
        count, content = storages[key]
        parts.append(struct.pack("<q", count) + content)
    path.write_bytes(b"".join(parts))
    return path


def contents(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {str(place): array.tobytes() for place, array in enumerate(arrays.values())}
