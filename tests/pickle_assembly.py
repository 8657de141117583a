"""Pickles written instruction by instruction, so that they may name anything.

Values are numbers, texts (bytes become the strings of Python 2), None, tuples, lists and dicts of
these, and the classes below.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Name:
    """What Python would import."""

    module: str
    name: str


@dataclass
class Call:
    """What Python would call: REDUCE, or NEWOBJ; then BUILD where there is a state."""

    function: Any
    arguments: tuple[Any, ...]
    state: Any = None
    instruction: bytes = b"R"


@dataclass
class Persistent:
    """What is found outside of the pickle."""

    identity: Any


def pickle_of(value: Any) -> bytes:
    """Return a pickle of protocol 2."""
    return b"\x80\x02" + _code(value) + b"."


def array_of(array: np.ndarray) -> Call:
    """Return an array as Python 2 pickled it."""
    kind = array.dtype.str
    dtype = Call(
        Name("numpy", "dtype"),
        (kind[1:].encode(), 0, 1),
        (3, kind[:1].encode(), None, None, None, -1, -1, 0),
    )
    content = array.tobytes("F" if array.flags.f_contiguous and array.ndim > 1 else "C")
    columns_first = array.flags.f_contiguous and array.ndim > 1
    return Call(
        Name("numpy.core.multiarray", "_reconstruct"),
        (Name("numpy", "ndarray"), (0,), b"b"),
        (1, array.shape, dtype, columns_first, content),
    )


def _code(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_code, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_code, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_code(key) + _code(one) for key, one in value.items()) + b"u"
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Persistent):
        return _code(value.identity) + b"Q"
    assert isinstance(value, Call)
    made = _code(value.function) + _code(value.arguments) + value.instruction
    return made if value.state is None else made + _code(value.state) + b"b"
