"""A file's bytes in memory as the system maps them: read when touched, never written back."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import FormatError

__all__ = ["Mapped"]


class Mapped:
    """A file whose arrays are views of the mapped pages.

    The pages are copied when they are written, so that a network may learn in them and the file
    stays as it is. While arrays live, the file must not be written in place or cut short by
    others (replacing it by another one is safe): the system would end the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            try:
                self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            except ValueError as error:  # a file without content
                raise FormatError(f"zoo.load: the file must not be empty (file={path})") from error
        self._bytes = np.frombuffer(self.content, np.uint8)

    def __len__(self) -> int:
        return len(self.content)

    def array(self, name: str, dtype: Any, start: int, count: int) -> NDArray[Any]:
        """Return `count` elements from byte `start` on; FormatError if the file ends before.

        Where they are not aligned they are read into memory of their own.
        """
        dtype = np.dtype(dtype)
        end = start + count * dtype.itemsize
        if start < 0 or count < 0 or end > len(self):
            raise FormatError(
                f"zoo.load: the file must be whole (file={self.path}, tensor={name!r:.100}, "
                f"start={start}, end={end}, bytes={len(self)})"
            )
        if start % dtype.itemsize:
            read: NDArray[Any] = np.fromfile(self.path, dtype, count, offset=start)
            return read
        return self._bytes[start:end].view(dtype)
