"""HDF5 files from anywhere: only what lies in the file itself is read, and no more than is there.

HDF5 can point elsewhere (soft and external links, external and virtual datasets), run in circles
and declare sizes that it does not hold; Keras does none of that, so it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError, missing_extra
from ..bfloat16 import bfloat16_to_float32
from .heaps import check_heaps

__all__ = [
    "MAGIC",
    "address",
    "array",
    "group",
    "has",
    "is_group",
    "members",
    "opened",
    "text",
    "texts",
]

MAGIC = b"\x89HDF\r\n\x1a\n"
# More than deflate can shrink anything.
_MOST_COMPRESSED = 1100
# HDF5 itself holds 64 KiB in a header; texts of variable length lie elsewhere.
_ATTRIBUTE = 1 << 24
_BFLOAT16 = "bfloat16"


@contextmanager
def opened(path: Path, content: IO[bytes] | None = None) -> Iterator[Any]:
    """Open an HDF5 file, or the content of one; whatever h5py raises inside is a FormatError."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("an HDF5 file", "h5py") from error
    try:
        if content is not None:
            check_heaps(content.read())
            content.seek(0)
        else:
            with open(path, "rb") as plain, mmap(plain.fileno(), 0, access=ACCESS_READ) as mapped:
                check_heaps(mapped)
        with h5py.File(path if content is None else content, "r") as file:
            yield file
    except FormatError:
        raise
    except (
        OSError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        IndexError,
        OverflowError,
        MemoryError,
    ) as error:
        raise FormatError(
            f"keras: the file must be whole HDF5 (file={path}, reason={error})"
        ) from error


def has(parent: Any, name: str) -> bool:
    """Whether a group has something of this name."""
    return parent.get(name, getlink=True) is not None


def is_group(parent: Any, path: str) -> bool:
    """Whether a path below a group leads to another one."""
    import h5py

    return isinstance(_follow(parent, path), h5py.Group)


def address(node: Any) -> int:
    """Return where in the file a group lies, by which it is known under all its names."""
    import h5py

    return int(h5py.h5o.get_info(node.id).addr)


def members(parent: Any) -> list[str]:
    """Return the names in a group."""
    return list(parent)


def group(parent: Any, path: str) -> Any:
    """Return the group at a path below another one."""
    import h5py

    found = _follow(parent, path)
    if not isinstance(found, h5py.Group):
        raise FormatError(
            f"keras: a group must be a group (name={path!r}, found={type(found).__name__})"
        )
    return found


def array(parent: Any, path: str) -> NDArray[Any]:
    """Return the numbers of the dataset at a path below a group; bfloat16 becomes float32."""
    import h5py

    data = _follow(parent, path)
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise FormatError(
            f"keras: a weight must be an array (name={path!r}, found={type(data).__name__})"
        )
    if data.is_virtual or data.external:
        raise FormatError(f"keras: a weight must lie in the file itself (name={path!r})")
    # h5py writes the type as two opaque bytes; only Keras 3's own format adds the attribute.
    opaque = data.dtype.kind == "V" and data.dtype.names is None
    is_bfloat16 = data.dtype.itemsize == 2 and (opaque or text(data, "dtype") == _BFLOAT16)
    if data.dtype.kind not in "fiub" and not is_bfloat16:
        raise FormatError(
            f"keras: a weight must be an array of numbers (name={path!r}, dtype={data.dtype})"
        )
    declared = data.size * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if declared > stored * (_MOST_COMPRESSED if data.compression else 1):
        raise FormatError(
            f"keras: a weight must be stored whole (name={path!r}, shape={data.shape}, "
            f"bytes={stored})"
        )
    values: NDArray[Any] = np.asarray(data[()])
    if is_bfloat16:  # of whatever two-byte type
        return bfloat16_to_float32(np.ascontiguousarray(values).view(np.uint16))
    return values


def text(holder: Any, name: str, default: str | None = None) -> str | None:
    """Return an attribute that is a text."""
    value = _attribute(holder, name) if name in holder.attrs else default
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if value is not None and not isinstance(value, str):
        raise FormatError(
            f"keras: an attribute must be a text (name={name!r}, type={type(value).__name__})"
        )
    return value


def texts(holder: Any, name: str) -> list[str]:
    """Return an attribute that is a list of texts; long ones are split into name0, name1, ..."""
    if name in holder.attrs:
        parts = [_attribute(holder, name)]
    else:
        parts = []
        while f"{name}{len(parts)}" in holder.attrs:
            parts.append(_attribute(holder, f"{name}{len(parts)}"))
        if not parts:
            raise FormatError(f"keras: a group must have the attribute {name!r} ({holder.name})")
    items = [item for part in parts for item in np.asarray(part).ravel().tolist()]
    names = [item.decode("utf-8") if isinstance(item, bytes) else item for item in items]
    if not all(isinstance(item, str) for item in names):
        raise FormatError(f"keras: an attribute must be a list of texts (name={name!r})")
    return names


def _attribute(holder: Any, name: str) -> Any:
    """Return an attribute, unless it declares more than any of Keras's has."""
    import h5py

    attribute = h5py.h5a.open(holder.id, name.encode())
    if 0 in (attribute.shape or ()):
        return np.empty(0)  # an empty list of texts, which h5py writes as numbers
    if not isinstance(attribute.get_type(), h5py.h5t.TypeStringID):  # HDF5 crashes on odd types
        raise FormatError(
            f"keras: an attribute must be a text (name={name!r}, type={attribute.get_type()})"
        )
    declared = math.prod(attribute.shape or ()) * max(attribute.dtype.itemsize, 1)
    if declared > _ATTRIBUTE:
        raise FormatError(
            f"keras: an attribute must have at most {_ATTRIBUTE} bytes (name={name!r}, "
            f"bytes={declared})"
        )
    return holder.attrs[name]


def _follow(parent: Any, path: str) -> Any:
    """Return what a path leads to through hard links alone."""
    import h5py

    here = parent
    for step in filter(None, path.split("/")):
        if not isinstance(here, h5py.Group) or not has(here, step):
            raise FormatError(f"keras: the file must hold what it names (missing={path!r})")
        link = here.get(step, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FormatError(
                f"keras: weights must lie in the file itself (name={path!r}, "
                f"found={type(link).__name__})"
            )
        here = here[step]
    return here
