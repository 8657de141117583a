"""Repeated numbers of a message as an array, at the speed of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["numbers_of"]


def numbers_of(message: Any, name: str) -> NDArray[Any]:
    """Return a repeated field of floats or doubles, declared as packed, however it was written.

    Written again, packed and alone, the numbers are the end of the bytes: no Python number is made.
    """
    from google.protobuf.descriptor import FieldDescriptor

    doubles = message.DESCRIPTOR.fields_by_name[name].type == FieldDescriptor.TYPE_DOUBLE
    kind = np.dtype("<f8" if doubles else "<f4")
    count = len(getattr(message, name))
    alone = type(message)()
    getattr(alone, name).MergeFrom(getattr(message, name))
    data = alone.SerializeToString()
    return np.frombuffer(data, kind, count, len(data) - count * kind.itemsize)
