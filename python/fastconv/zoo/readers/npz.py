"""NumPy's .npz: this library's state dicts, and Lasagne's lists of parameters."""

from __future__ import annotations

import struct
from pathlib import Path

from ...train.pretrained import read_npz
from ..archive import Archive, FormatError

__all__ = ["read", "recognises"]


def recognises(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK\x03\x04"):
        return False
    (length,) = struct.unpack_from("<H", head.ljust(30), 26)
    return head[30 : 30 + length].endswith(b".npy")


def read(path: Path, weights: Path | None = None) -> Archive:
    try:
        tensors = read_npz(path)
    except ValueError as error:
        raise FormatError(str(error)) from error
    # What numpy.savez calls arrays that it was given without names.
    numbered = [f"arr_{place}" for place in range(len(tensors))]
    if tensors.keys() == set(numbered):
        ordered = {str(place): tensors[name] for place, name in enumerate(numbered)}
        return Archive("lasagne", path, ordered, metadata={"framework": "lasagne"})
    return Archive("npz", path, tensors)
