"""The numbers and characters of a .t7 file, in both of Torch7's encodings.

Source: THDiskFile.c of torch/torch7. The binary encoding has the writer's byte order, and its
`long` has 4 or 8 bytes; the ASCII one has a line for each number or row of numbers.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError

__all__ = ["AsciiSource", "BinarySource", "Source"]


class Source(Protocol):
    """Reads from a place that moves on; every method raises FormatError past the end."""

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""

    def integers(self, count: int) -> list[int]:
        """Read C ints."""

    def longs(self, count: int) -> list[int]:
        """Read C longs."""

    def number(self) -> float:
        """Read a double."""

    def text(self, length: int) -> bytes:
        """Read characters."""

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """Read the elements of a storage; "l" is a C long."""


class BinarySource:
    """The binary encoding; `order` is "<" or ">", `long_size` 4 or 8."""

    def __init__(self, data: bytes, order: str, long_size: int) -> None:
        self._data = data
        self._order = order
        self._long = f"i{long_size}"
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def integers(self, count: int) -> list[int]:
        return list(map(int, self._read("i4", count)))

    def longs(self, count: int) -> list[int]:
        return list(map(int, self._read(self._long, count)))

    def number(self) -> float:
        return float(self._read("f8", 1)[0])

    def text(self, length: int) -> bytes:
        return self._read("u1", length).tobytes()

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        return self._read(self._long if dtype == "l" else dtype, count)

    def _read(self, dtype: str, count: int) -> NDArray[Any]:
        kind = np.dtype(self._order + dtype)
        size = count * kind.itemsize
        if count < 0 or size > self.left:
            raise _cut("bytes", size, self.left, self._at)
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += size
        return found


class AsciiSource:
    """The encoding as text. Bytes and characters are raw there, too."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def integers(self, count: int) -> list[int]:
        try:
            return [int(word) for word in self._words(count)]
        except ValueError as error:
            raise self._no_number(error) from error

    def longs(self, count: int) -> list[int]:
        return self.integers(count)

    def number(self) -> float:
        return float(self._numbers(1)[0])

    def text(self, length: int) -> bytes:
        if length < 0 or length > self.left:
            raise _cut("characters", length, self.left, self._at)
        found = self._data[self._at : self._at + length]
        self._at += length
        if length and self._data[self._at : self._at + 1] == b"\n":
            self._at += 1
        return found

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        if dtype in ("u1", "i1"):
            return np.frombuffer(self.text(count), dtype)
        if dtype in ("f2", "f4", "f8"):
            with np.errstate(over="ignore"):  # beyond the range is infinite, as in C
                return self._numbers(count).astype(dtype)
        try:
            return np.array(self.integers(count), "i8" if dtype == "l" else dtype)
        except OverflowError as error:
            raise self._no_number(error) from error

    def _numbers(self, count: int) -> NDArray[np.float64]:
        try:
            return np.array([float(word) for word in self._words(count)], np.float64)
        except ValueError as error:
            raise self._no_number(error) from error

    def _words(self, count: int) -> list[bytes]:
        """Read the numbers of a line, and the line's end."""
        if count == 0:
            return []
        if count < 0 or 2 * count - 1 > self.left:  # a digit each, and blanks between them
            raise _cut("numbers", count, self.left, self._at)
        while self._data[self._at : self._at + 1] in (b" ", b"\n", b"\r", b"\t"):
            self._at += 1
        end = self._data.find(b"\n", self._at)
        end = len(self._data) if end < 0 else end
        words = self._data[self._at : end].split()
        if len(words) != count:
            raise _cut("numbers", count, len(words), self._at)
        self._at = min(end + 1, len(self._data))
        return words

    def _no_number(self, error: Exception) -> FormatError:
        return FormatError(f"torch7: numbers must be numbers (at={self._at}, reason={error})")


def _cut(what: str, wanted: int, left: int, at: int) -> FormatError:
    return FormatError(
        f"torch7: the file must hold the {what} that it announces "
        f"(at={at}, announced={wanted}, left={left})"
    )
