"""Telling TensorFlow's files apart from others by how they begin or end."""

from __future__ import annotations

import re
from pathlib import Path

from ..proto.wire import BYTES, VARINT, fields
from .table import has_footer

__all__ = ["is_graph", "is_saved_model", "is_table", "prefix_of"]

_NAME = re.compile(rb"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # TensorFlow's own rule for nodes
_OP = re.compile(rb"[A-Za-z_][A-Za-z0-9_.>]*")
_DATA = re.compile(r"(.+)\.(index|data-\d{5,}-of-\d{5,})")
_FOOTER = 48


def is_graph(head: bytes) -> bool:
    """Whether a file begins like a GraphDef: with a node that has a name and an operation.

    Caffe2's and Caffe's networks begin with a name, ONNX's models with a number.
    """
    try:
        number, wire, value = next(fields(head), (0, 0, 0))
        if (number, wire) != (1, BYTES) or not isinstance(value, bytes):
            return False
        found: dict[int, bytes] = {}
        for number, wire, part in fields(value):
            # Name, operation, inputs, device, attributes, and newer ones: never numbers.
            if wire != BYTES or not isinstance(part, bytes):
                return False
            found.setdefault(number, part)
            if 1 in found and 2 in found:
                return bool(_NAME.fullmatch(found[1]) and _OP.fullmatch(found[2]))
    except ValueError:
        pass
    return False


def is_saved_model(head: bytes) -> bool:
    """Whether a file begins like a SavedModel: with version 1 and a graph with its description.

    ONNX's models begin with a number as well, but a text comes next.
    """
    try:
        begin = fields(head)
        if next(begin, None) != (1, VARINT, 1):
            return False
        number, wire, graph = next(begin, (0, 0, 0))
        if (number, wire) != (2, BYTES) or not isinstance(graph, bytes):
            return False
        number, wire, info = next(fields(graph), (0, 0, 0))
        if (number, wire) != (1, BYTES) or not isinstance(info, bytes):
            return False
        return all(wire != VARINT or number > 5 for number, wire, _ in fields(info))
    except ValueError:
        return False


def is_table(path: Path) -> bool:
    """Whether a file ends like a table."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if size < _FOOTER:
            return False
        file.seek(size - _FOOTER)
        return has_footer(file.read(_FOOTER))


def prefix_of(path: Path) -> Path | None:
    """Return what the names of a checkpoint's files begin with, given that or one of the files;
    None where there is no index."""
    match = _DATA.fullmatch(path.name)
    prefix = path.with_name(match[1]) if match else path
    return prefix if Path(f"{prefix}.index").is_file() and not prefix.is_dir() else None
