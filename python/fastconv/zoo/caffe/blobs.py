"""Caffe's arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from ..proto.numbers import numbers_of

__all__ = ["Blob", "array_of", "in_shape"]

Blob = NDArray[Any]


def array_of(name: str, blob: Any) -> Blob:
    """Return a BlobProto as an array (float32, or float64 where it holds doubles).

    The shape is the blob's; blobs of before 2015 always have four axes. Raises FormatError where
    there are more or fewer numbers than the shape says.
    """
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    elif any(blob.HasField(axis) for axis in ("num", "channels", "height", "width")):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    else:
        shape = None
    values = _values(blob)
    if shape is None:
        shape = values.shape
    if any(not 0 <= n <= values.size for n in shape) or math.prod(shape) != values.size:
        raise FormatError(
            f"caffe: a blob must hold as many numbers as its shape says "
            f"(blob={name}, shape={shape}, numbers={values.size})"
        )
    return values.reshape(shape)


def in_shape(array: Blob, shape: tuple[int, ...]) -> Blob | None:
    """Return an array in a shape that differs from its own by axes of length 1 in front at most;
    None if it does not have that shape. So old blobs hold matrices and vectors."""
    if _bare(array.shape) != _bare(shape):
        return None
    return array.reshape(shape)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _values(blob: Any) -> NDArray[Any]:
    for pieces, kind in ((blob.data, "<f4"), (blob.double_data, "<f8")):
        if pieces:
            joined = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if len(joined) % np.dtype(kind).itemsize:
                raise FormatError(
                    f"caffe: the data of a blob must be whole numbers of {kind} "
                    f"(bytes={len(joined)})"
                )
            return np.frombuffer(joined, kind)
    # Numbers one by one, not packed, are unknown to BlobProto, which keeps them nevertheless.
    from ..proto.caffe_pb2 import UnpackedBlobProto

    loose = UnpackedBlobProto.FromString(blob.SerializeToString())
    return numbers_of(loose, "double_data" if loose.double_data else "data")
