"""The IDX file format of the MNIST site: a magic number, the sizes, then the numbers, big-endian.

    0x00 0x00 TYPE RANK | RANK sizes, 4 bytes each | the elements, in C order

A header is only a claim: nothing is allocated on its word, see `read_idx`.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_idx", "write_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_RANK = 32  # what every NumPy can hold
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"  # an IDX file starts with two zeros, so the two cannot be confused


def read_idx(path: str | os.PathLike[str], max_bytes: int = 1 << 30) -> NDArray[Any]:
    """Read an IDX file, plain or gzipped, into an array of its own type and native byte order.

    Memory follows the bytes that are really in the file, never the sizes that its header claims,
    and a gzip file is expanded no further than those sizes, nor than `max_bytes` (default 1 GiB).

    Raises ValueError for a wrong magic number, an unknown element type, a truncated or damaged
    file, bytes after the last element, and more than `max_bytes`; OSError if it cannot be read.
    Format: http://yann.lecun.com/exdb/mnist (section "the IDX file format").
    """
    path = Path(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == _GZIP
        file.seek(0)
        if not zipped:
            return _read(file, path, max_bytes, os.fstat(file.fileno()).st_size)
        try:
            with gzip.open(file) as inner:
                return _read(inner, path, max_bytes, None)  # type: ignore[arg-type]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"read_idx: the gzip stream must be whole (file={path}, found={error})"
            ) from error


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write an array as an IDX file, gzipped (without a time stamp) if `path` ends in .gz.

    Raises TypeError if IDX has no code for the array's dtype, ValueError for its rank.
    """
    path = Path(path)
    codes = {np.dtype(kind).newbyteorder("="): code for code, kind in _TYPES.items()}
    dtype = array.dtype.newbyteorder("=")
    if dtype not in codes:
        raise TypeError(
            "write_idx: the dtype must be uint8, int8, int16, int32, float32 or float64 "
            f"(dtype={array.dtype})"
        )
    if not 1 <= array.ndim <= _MAX_RANK:
        raise ValueError(
            f"write_idx: the rank must be between 1 and {_MAX_RANK} (rank={array.ndim})"
        )
    sizes = np.array(array.shape, ">u4").tobytes()
    header = bytes([0, 0, codes[dtype], array.ndim]) + sizes
    content = header + array.astype(dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)


def _read(file: BinaryIO, path: Path, max_bytes: int, length: int | None) -> NDArray[Any]:
    """Read one open IDX stream; `length` is the number of bytes in it where that is known."""

    def fail(rule: str, **values: object) -> NoReturn:
        found = ", ".join(f"{name}={value}" for name, value in values.items())
        raise ValueError(f"read_idx: {rule} (file={path}, {found})")

    magic = _exactly(file, 4, fail)
    if magic[:2] != b"\0\0":
        fail("the first two bytes of an IDX file must be zero", magic=f"0x{magic.hex()}")
    code, rank = magic[2], magic[3]
    if code not in _TYPES:
        known = ", ".join(f"0x{one:02x}" for one in _TYPES)
        fail(f"the element type must be one of {known}", type=f"0x{code:02x}")
    if not 1 <= rank <= _MAX_RANK:
        fail(f"the rank must be between 1 and {_MAX_RANK}", rank=rank)
    dtype = np.dtype(_TYPES[code])
    sizes = np.frombuffer(_exactly(file, 4 * rank, fail), ">u4")
    shape = tuple(int(size) for size in sizes)

    # Zeros are left out, as NumPy does when it checks whether a shape is addressable.
    span = math.prod(size or 1 for size in shape) * dtype.itemsize
    if span > max_bytes:
        fail("the array must not exceed max_bytes", shape=shape, bytes=span, max_bytes=max_bytes)
    claimed = math.prod(shape) * dtype.itemsize
    if length is not None and length != 4 + 4 * rank + claimed:
        fail(
            "the file must hold exactly what its header says",
            shape=shape,
            expected_bytes=4 + 4 * rank + claimed,
            found_bytes=length,
        )
    content = _exactly(file, claimed, fail)
    if file.read(1):
        fail("nothing may follow the last element", shape=shape, expected_bytes=claimed)
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _exactly(file: BinaryIO, count: int, fail: Callable[..., NoReturn]) -> bytearray:
    """Read `count` bytes in pieces, so that a false claim costs one piece."""
    content = bytearray()
    while len(content) < count:
        piece = file.read(min(_CHUNK, count - len(content)))
        if not piece:
            fail("the file ends too early", expected_bytes=count, found_bytes=len(content))
        content += piece
    return content
