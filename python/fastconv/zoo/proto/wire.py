"""The wire format of protocol buffers, as far as telling files apart needs it.

The format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BYTES", "VARINT", "Field", "fields", "is_text", "varint"]

VARINT, _DOUBLE, BYTES, _FLOAT = 0, 1, 2, 5
_SIZES = {_DOUBLE: 8, _FLOAT: 4}

# (number, wire type, value): an integer, or bytes for all other wire types.
Field = tuple[int, int, int | bytes]


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message of which `data` is the beginning.

    Where the data end inside a field of bytes, it comes with what there is of it, as the last.
    Raises ValueError for what is no message (groups, which none of the formats has, included).
    """
    position = 0
    try:
        while position < len(data):
            key, position = varint(data, position)
            number, wire = key >> 3, key & 7
            if number == 0 or wire not in (VARINT, BYTES, *_SIZES):
                raise ValueError(f"wire: a field must have a number and a type (key={key})")
            if wire == VARINT:
                value, position = varint(data, position)
                yield number, wire, value
                continue
            size = _SIZES.get(wire)
            if size is None:
                size, position = varint(data, position)
            elif position + size > len(data):
                return
            yield number, wire, data[position : position + size]
            position += size
    except IndexError:  # the data end inside a number
        return


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file is text, as protocol buffers in text form are."""
    return bool(head) and not any(byte < 9 or 13 < byte < 32 for byte in head)


def varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return an integer and where it ends; IndexError if the data end inside it.

    Raises ValueError for one of more than 10 bytes.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"wire: an integer must have at most 10 bytes (position={position})")
