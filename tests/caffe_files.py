"""Caffe's and Caffe2's files, written byte by byte from the published messages.

Apart from the readers and from protobuf: numbers of fields are those of BVLC/caffe's caffe.proto
and of pytorch/pytorch's caffe2.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "argument",
    "blob",
    "caffemodel",
    "fill",
    "layer",
    "legacy_blob",
    "message",
    "net_def",
    "number",
    "operator",
    "text",
    "v0_layer",
    "v1_layer",
    "varint",
]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(data)) + data


def text(field: int, value: str) -> bytes:
    return message(field, value.encode())


def _single(field: int, value: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", value)


def blob(array: Any, *, packed: bool = True, double: bool = False) -> bytes:
    """A BlobProto's content, with its shape."""
    array = np.asarray(array)
    shape = message(7, message(1, *(varint(size) for size in array.shape)))
    return _numbers(array, packed, double) + shape


def legacy_blob(array: Any) -> bytes:
    """A BlobProto's content with four axes: vectors and matrices come last in them."""
    array = np.asarray(array)
    sizes = (1,) * (4 - array.ndim) + array.shape
    return b"".join(number(i, size) for i, size in enumerate(sizes, 1)) + _numbers(array)


def _numbers(array: Any, packed: bool = True, double: bool = False) -> bytes:
    if double:
        return message(8, array.astype("<f8").tobytes())
    if packed:
        return message(5, array.astype("<f4").tobytes())
    return b"".join(_single(5, value) for value in array.ravel())


def layer(
    name: str,
    kind: str,
    blobs: Iterable[bytes] = (),
    bottoms: Sequence[str] = (),
    tops: Sequence[str] = (),
    *params: bytes,
) -> bytes:
    """A LayerParameter in a NetParameter; blobs are contents, params whole fields."""
    return message(
        100,
        text(1, name),
        text(2, kind),
        *(text(3, value) for value in bottoms),
        *(text(4, value) for value in tops),
        *(message(7, content) for content in blobs),
        *params,
    )


def v1_layer(
    name: str,
    kind: int,
    blobs: Iterable[bytes] = (),
    bottoms: Sequence[str] = (),
    tops: Sequence[str] = (),
    *params: bytes,
) -> bytes:
    """A V1LayerParameter in a NetParameter."""
    return message(
        2,
        *(text(2, value) for value in bottoms),
        *(text(3, value) for value in tops),
        text(4, name),
        number(5, kind),
        *(message(6, content) for content in blobs),
        *params,
    )


def v0_layer(name: str, kind: str, blobs: Iterable[bytes] = ()) -> bytes:
    """A V1LayerParameter that holds a V0LayerParameter, in a NetParameter."""
    return message(2, message(1, text(1, name), text(2, kind), *(message(50, b) for b in blobs)))


def caffemodel(name: str, weights: dict[str, Sequence[Any]]) -> bytes:
    """A NetParameter that holds arrays by layer; types and the rest come from the prototxt."""
    layers = (layer(key, "Any", map(blob, arrays)) for key, arrays in weights.items())
    return text(1, name) + b"".join(layers)


def argument(name: str, value: Any) -> bytes:
    """A Caffe2 Argument in an OperatorDef."""
    parts = [text(1, name)]
    if isinstance(value, float):
        parts.append(_single(2, value))
    elif isinstance(value, int):
        parts.append(number(3, value))
    elif isinstance(value, str):
        parts.append(text(4, value))
    elif isinstance(value, bytes):
        parts.append(message(7, value))
    elif value and isinstance(value[0], float):
        parts += [_single(5, v) for v in value]
    else:
        parts += [number(6, v) for v in value]
    return message(5, *parts)


def operator(kind: str, inputs: Sequence[str], outputs: Sequence[str], **arguments: Any) -> bytes:
    """An OperatorDef in a NetDef."""
    return message(
        2,
        *(text(1, value) for value in inputs),
        *(text(2, value) for value in outputs),
        text(4, kind),
        *(argument(name, value) for name, value in arguments.items()),
    )


def fill(name: str, array: Any) -> bytes:
    """The operator of an init_net that holds an array."""
    array = np.asarray(array)
    values = [float(value) for value in array.astype(np.float32).ravel()]
    return operator("GivenTensorFill", (), (name,), shape=list(array.shape), values=values)


def net_def(
    name: str, operators: Iterable[bytes], inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> bytes:
    return b"".join(
        [
            text(1, name),
            *operators,
            *(text(7, value) for value in inputs),
            *(text(8, value) for value in outputs),
        ]
    )
