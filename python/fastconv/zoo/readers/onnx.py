"""ONNX: .onnx files, with or without external data, of any opset from 1 on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..archive import Archive
from ..metadata import architecture_in, classes_in, preset_in
from ..onnx import arrays_of, decode, network_of

__all__ = ["FORMATS", "read", "recognises"]

FORMATS = ("onnx",)

# The fields of a ModelProto (onnx.proto) by number, with their wire types.
_VARINT, _BYTES = 0, 2
_FIELDS = {
    1: _VARINT,
    2: _BYTES,
    3: _BYTES,
    4: _BYTES,
    5: _VARINT,
    6: _BYTES,
    7: _BYTES,
    8: _BYTES,
    14: _BYTES,
    20: _BYTES,
    25: _BYTES,
    26: _BYTES,
}
_GRAPH = 7


def recognises(path: Path, head: bytes) -> bool:
    """Whether the fields that begin the file are a ModelProto's, up to its graph.

    Protocol buffers have no magic number: a file called .onnx is taken at its name.
    """
    if head and path.suffix.lower() == ".onnx":
        return True
    at, seen = 0, set()
    while at < len(head):
        tag, at = _varint(head, at)
        field, wire = tag >> 3, tag & 7
        if _FIELDS.get(field) != wire:
            return False
        seen.add(field)
        value, at = _varint(head, at)
        if field == _GRAPH:
            return 1 in seen  # ir_version: TensorFlow's SavedModel has no field 7 after it
        if wire == _BYTES:
            at += value
    return False


def _varint(head: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(head) and shift < 64:
        byte = head[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


def read(path: Path, weights: Path | None) -> Archive:
    model = decode(path.read_bytes(), str(path))
    arrays = arrays_of(model, path.parent)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    metadata: dict[str, Any] = {
        **properties,
        "framework": model.producer_name,
        "version": model.producer_version,
        "ir_version": model.ir_version,
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
    }
    return Archive(
        "onnx",
        path,
        arrays,
        build=lambda: network_of(model, arrays, path.parent),
        metadata=metadata,
        preset=preset_in(properties),
        classes=classes_in(properties),
        architecture=architecture_in(properties),
    )
