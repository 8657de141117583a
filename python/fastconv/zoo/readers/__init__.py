"""One module a family of files; see `zoo.archive.Reader`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..archive import FormatError, Reader, head_of

__all__ = ["reader_of"]

# In the order in which they are asked: those with unmistakable beginnings first.
_NAMES: tuple[str, ...] = (
    "pytorch",
    "npz",
    "keras_v3",
    "keras_h5",
    "safetensors",
    "torch7",
    "onnx",
    "tensorflow",
    "caffe",
    "caffe2",
    "lasagne",
)


def reader_of(path: Path) -> Reader:
    """Return the reader of a file or folder; FormatError where nobody knows it."""
    head = head_of(path)
    for name in _NAMES:
        reader: Reader = import_module(f"{__name__}.{name}")
        if reader.recognises(path, head):
            return reader
    raise FormatError(
        f"zoo: the file must be of a format that the zoo knows (file={path}, "
        f"begins={head[:16]!r}, formats={', '.join(_NAMES)})"
    )
