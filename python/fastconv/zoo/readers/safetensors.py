"""safetensors: a header in JSON, and tensors in the memory that the file is mapped to.

Format: https://huggingface.co/docs/safetensors. Also files of `zoo.save`, which know the network
they belong to, and the checkpoints of `train.fit`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...train.storage import FORMAT as CHECKPOINT
from ..archive import Archive, FormatError
from ..bfloat16 import bfloat16_to_float32
from ..mapped import Mapped
from ..metadata import architecture_in, classes_in, preset_in

__all__ = ["TYPES", "VERSION", "read", "recognises"]

VERSION = "1"  # of the metadata of `zoo.save`

_LONGEST_HEADER = 100_000_000
_AXES = 32
_METADATA = "__metadata__"
_BFLOAT16 = "BF16"
TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", _BFLOAT16: "<u2", "C64": "<c8", "BOOL": "?"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}
# What the files of various libraries call themselves.
_FRAMEWORKS = {"pt": "pytorch", "np": "numpy", "tf": "tensorflow", "flax": "flax", "mlx": "mlx"}


def recognises(path: Path, head: bytes) -> bool:
    # The length of the header, whose upper bytes are zero, and its opening brace.
    return len(head) > 8 and head[8:9] == b"{" and head[4:8] == bytes(4)


def read(path: Path, weights: Path | None = None) -> Archive:
    file = Mapped(path)
    header, start = _header(file)
    metadata = header.pop(_METADATA, {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        _refuse(path, "metadata must be texts")
    if metadata.get("format") == CHECKPOINT:
        return _checkpoint(path)
    tensors = _tensors(file, header, start)
    known: dict[str, Any] = dict(metadata)
    framework = _FRAMEWORKS.get(metadata.get("format", ""))
    if framework is not None:
        known["framework"] = framework
    archive = Archive("safetensors", path, tensors, metadata=known)
    if "fastconv.version" in metadata:
        _describe(archive, metadata)
    return archive


def _header(file: Mapped) -> tuple[dict[str, Any], int]:
    """Return the header, and where the tensors begin."""
    length = int.from_bytes(file.content[:8], "little")
    if length > min(len(file) - 8, _LONGEST_HEADER):
        _refuse(file.path, "the file must be whole", header=length, bytes=len(file))
    try:
        header = json.loads(
            file.content[8 : 8 + length].decode(), object_pairs_hook=_unique, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        _refuse(file.path, "the header must be JSON", reason=f"{type(error).__name__}: {error}")
    if type(header) is not dict:
        _refuse(file.path, "the header must be an object")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("an integer is too long")
    return int(digits)


class _Entry(NamedTuple):
    """A tensor of the header; offsets are those of its bytes behind the header."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def _tensors(file: Mapped, header: dict[str, Any], start: int) -> dict[str, NDArray[Any]]:
    entries = [_entry(file.path, name, found) for name, found in header.items()]
    end = 0
    for entry in sorted(entries):
        # The format has neither overlaps nor gaps: every byte belongs to one tensor.
        if entry.begin != end:
            _refuse(
                file.path,
                "tensors must lie one behind the other",
                tensor=entry.name,
                begin=entry.begin,
                previous_end=end,
            )
        end = entry.end
    if start + end != len(file):
        _refuse(file.path, "the file must be whole", header=start + end, bytes=len(file))
    tensors = {}
    for entry in entries:
        count = math.prod(entry.shape)
        array = file.array(entry.name, TYPES[entry.dtype], start + entry.begin, count)
        array = array.reshape(entry.shape)
        tensors[entry.name] = bfloat16_to_float32(array) if entry.dtype == _BFLOAT16 else array
    return tensors


def _entry(path: Path, name: str, found: Any) -> _Entry:
    if type(found) is not dict or found.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(path, "a tensor must have dtype, shape and data_offsets", tensor=name)
    dtype, shape, offsets = found["dtype"], found["shape"], found["data_offsets"]
    if type(dtype) is not str or dtype not in TYPES:
        _refuse(path, f"the type must be one of {', '.join(TYPES)}", tensor=name, dtype=dtype)
    if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
        _refuse(
            path,
            "sizes and offsets must be integers from 0 on",
            tensor=name,
            shape=shape,
            data_offsets=offsets,
        )
    if math.prod(shape) * np.dtype(TYPES[dtype]).itemsize != offsets[1] - offsets[0]:
        _refuse(
            path,
            "a tensor must have as many bytes as its shape says",
            tensor=name,
            dtype=dtype,
            shape=shape,
            data_offsets=offsets,
        )
    return _Entry(offsets[0], offsets[1], name, dtype, tuple(shape))


def _are_sizes(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) <= _AXES
        and all(type(one) is int and 0 <= one < 1 << 60 for one in value)
    )


def _describe(archive: Archive, metadata: dict[str, str]) -> None:
    """Take over what `zoo.save` says of the network."""
    if metadata["fastconv.version"] != VERSION:
        _refuse(
            archive.path,
            f"the version of fastconv's metadata must be {VERSION}",
            version=metadata["fastconv.version"],
        )
    archive.metadata["framework"] = "fastconv"
    try:
        archive.preset = preset_in(metadata)
        archive.classes = classes_in(metadata)
        archive.architecture = architecture_in(metadata)
    except FormatError as error:
        _refuse(archive.path, "fastconv's metadata must be whole", reason=error)


def _checkpoint(path: Path) -> Archive:
    """Return the weights of a training: its average of them where it kept one."""
    from ...train import load_checkpoint

    try:
        checkpoint = load_checkpoint(path)
    except ValueError as error:
        raise FormatError(str(error)) from error
    averaged = checkpoint.ema is not None
    tensors = checkpoint.weights if checkpoint.ema is None else checkpoint.ema["averages"]
    metadata = {"framework": "fastconv", "averaged": averaged}
    return Archive("fastconv", path, tensors, metadata=metadata)


def _refuse(path: Path, rule: str, **values: Any) -> NoReturn:
    text = "".join(f", {name}={str(value)[:300]}" for name, value in values.items())
    raise FormatError(f"zoo.load: {rule} (file={path}{text})")
