"""Torch7's .t7 files, binary and ASCII: networks of nn and cudnn, and tables of tensors.

Source: File.lua of torch/torch7. Nothing in a file is executed.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ..archive import Archive
from ..torch7 import build, find_network, preset_of, read_objects, tensors_of

__all__ = ["read", "recognises"]

# The first object is one of a class (4) or a table (3), and has the index 1.
_CLASS = rb"(V \d+|[A-Za-z_]\w*(\.\w+)+)"
_BEGINNINGS = [
    re.compile(rb"\x04\0\0\0\x01\0\0\0.\0\0\0" + _CLASS, re.S),
    re.compile(rb"\0\0\0\x04\0\0\0\x01\0\0\0." + _CLASS, re.S),
    re.compile(rb"\x03\0\0\0\x01\0\0\0.{4}[\x01-\x05]\0\0\0", re.S),
    re.compile(rb"\0\0\0\x03\0\0\0\x01.{4}\0\0\0[\x01-\x05]", re.S),
    re.compile(rb"4\n1\n\d+\n" + _CLASS),
    re.compile(rb"3\n1\n\d+\n[1-5]\n"),
]


def recognises(path: Path, head: bytes) -> bool:
    """See `zoo.archive.Reader`."""
    return any(beginning.match(head) for beginning in _BEGINNINGS)


def read(path: Path, weights: Path | None) -> Archive:
    """See `zoo.archive.Reader`. Tensors have the names of their places, "2.1.weight"."""
    content = read_objects(path.read_bytes())
    network = find_network(content)
    return Archive(
        format="torch7",
        path=path,
        tensors=tensors_of(content, network),
        build=None if network is None else partial(build, network),
        metadata={"framework": "torch7"},
        preset=None if network is None else preset_of(network),
    )
