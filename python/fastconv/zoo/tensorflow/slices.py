"""Slices of partitioned variables, and the keys under which an index has them.

The keys are TensorFlow's ordered code (tensorflow/core/lib/strings/ordered_code): bytes that sort
as what they stand for.
"""

from __future__ import annotations

from ..archive import FormatError

__all__ = ["Slice", "key_of", "normalised", "of_spec"]

Slice = tuple[tuple[int, int], ...]  # (start, length) an axis; the length -1: all there is


def normalised(where: Slice, shape: tuple[int, ...], name: str) -> Slice:
    """Return a slice with its lengths; FormatError if it does not lie in the shape."""
    box = tuple(
        (start, size - start if length == -1 else length)
        for (start, length), size in zip(where, shape, strict=False)
    )
    inside = all(
        start >= 0 and length >= 0 and start + length <= size
        for (start, length), size in zip(box, shape, strict=False)
    )
    if len(where) != len(shape) or not inside:
        raise FormatError(f"{name}: a slice must lie in its tensor (slice={where}, shape={shape})")
    return box


def of_spec(spec: str, name: str) -> Slice | None:
    """Return the slice that a graph restores, such as "10 4 0,5:-"; None for the whole tensor."""
    if not spec:
        return None
    try:
        return tuple(
            (0, -1) if part == "-" else (int(part.split(",")[0]), int(part.split(",")[1]))
            for part in spec.split(" ")[-1].split(":")
        )
    except (ValueError, IndexError):
        raise FormatError(f"{name}: a slice must be written as such (slice={spec!r})") from None


def key_of(name: str, where: Slice) -> bytes:
    """Return the key of a slice: 0, the name, the rank, start and length of every axis."""
    text = name.encode().replace(b"\x00", b"\x00\xff")  # UTF-8 has no 0xff to be escaped
    numbers = b"".join(_signed(start) + _signed(length) for start, length in where)
    return _unsigned(0) + text + b"\x00\x01" + _unsigned(len(where)) + numbers


def _unsigned(number: int) -> bytes:
    """Return how many bytes a number has, and those."""
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """Return a number in 7 bits a byte, the first of which begins with as many ones as there are
    bytes; all inverted for negative ones."""
    positive = ~number if number < 0 else number
    size = positive.bit_length() // 7 + 1
    header = (1 << 8 * size) - (1 << 7 * size)  # as many ones as bytes, at the top
    code = (positive | header).to_bytes(size, "big")
    return bytes(byte ^ 0xFF for byte in code) if number < 0 else code
