"""ONNX: .onnx files, with or without external data, of any opset from 1 on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..archive import Archive
from ..metadata import architecture_in, classes_in, preset_in
from ..onnx import arrays_of, decode, network_of
from ..proto.wire import BYTES, VARINT, fields

__all__ = ["read", "recognises"]

# The fields of a ModelProto (onnx.proto) by number, with their wire types.
_FIELDS = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)}
_GRAPH = 7


def recognises(path: Path, head: bytes) -> bool:
    """Whether the fields that begin the file are a ModelProto's, up to its graph.

    Protocol buffers have no magic number: a file called .onnx is taken at its name.
    """
    if head and path.suffix.lower() == ".onnx":
        return True
    seen = set()
    try:
        for number, wire, _ in fields(head):
            if _FIELDS.get(number) != wire:
                return False
            seen.add(number)
            if number == _GRAPH:
                return 1 in seen  # ir_version: TensorFlow's SavedModel has no field 7 after it
    except ValueError:
        pass
    return False


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
