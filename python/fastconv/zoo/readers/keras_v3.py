"""Keras 3's files: .keras (a zip of config.json, metadata.json and model.weights.h5), .weights.h5.

Weights are datasets "layers/<class>_<number>/vars/0", "1", ... in the order in which the layer
made them; since 3.7 or so, the attribute "name" of "vars" is the layer's own name.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..archive import Archive, FormatError
from ..keras import hdf5
from ..keras.attach import by_class
from ..keras.config import parse
from ..keras.network import archive

__all__ = ["read", "recognises", "weights_archive"]

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Keras does not compress at all; a description shrinks well, weights hardly.
_MOST_COMPRESSED = 100


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a zip with Keras's two descriptions."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return {_CONFIG, _METADATA} <= set(file.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read(path: Path, weights: Path | None) -> Archive:
    """Return the network in a .keras file."""
    try:
        with zipfile.ZipFile(path) as file:
            description = parse(_content(file, _CONFIG), _CONFIG)
            metadata = parse(_content(file, _METADATA), _METADATA)
            content = BytesIO(_content(file, _WEIGHTS))
    except FormatError:
        raise
    # NotImplementedError, of unknown versions and compressions, is a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"keras: the file must be a whole .keras file (file={path}, reason={error})"
        ) from error
    with hdf5.opened(path, content) as weights_file:
        tensors, _ = _tensors(weights_file)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    attach = partial(by_class, tensors=tensors)
    return archive("keras v3", path, tensors, {}, str(version or "3"), None, description, attach)


def weights_archive(path: Path, file: Any) -> Archive:
    """Return what an open .weights.h5 holds; FormatError if it is none."""
    tensors, layers = _tensors(file)
    if not tensors:
        raise FormatError(
            f"keras: the HDF5 file must be of Keras: layer_names, or groups of vars (file={path})"
        )
    return archive("keras v3", path, tensors, layers, "3", None)


def _content(file: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = file.getinfo(name)
    except KeyError:
        others = ", ".join(n for n in file.namelist() if "weights" in n)
        raise FormatError(
            f"keras: a .keras file must hold {name}; weights in .npz, which are pickles, and in "
            f"several files are not read (file={file.filename}, weights={others})"
        ) from None
    if info.file_size > _MOST_COMPRESSED * info.compress_size:
        raise FormatError(
            f"keras: a part of a .keras file must not be compressed beyond {_MOST_COMPRESSED} to 1 "
            f"(part={name}, compressed={info.compress_size}, size={info.file_size})"
        )
    return file.read(info)


def _tensors(file: Any) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]]:
    """Return all variables by path, and those of each layer whose name the file tells."""
    tensors: dict[str, NDArray[Any]] = {}
    layers: dict[str, list[str]] = {}
    waiting = [""]
    seen: set[int] = set()
    while waiting:
        path = waiting.pop()
        group = hdf5.group(file, path)
        address = hdf5.address(group)
        if address in seen:
            raise FormatError(
                f"keras: groups must not hold each other in a circle (group={path!r})"
            )
        seen.add(address)
        own = []
        for name in hdf5.members(group):
            below = f"{path}/{name}" if path else name
            if path.rsplit("/", 1)[-1] == "vars":
                tensors[below] = hdf5.array(file, below)
                own.append(below)
            elif below != "optimizer" and hdf5.is_group(file, below):
                waiting.append(below)
        layer = hdf5.text(group, "name")
        if own and layer is not None:
            # Networks inside may have layers of the same name.
            layers[path if layer in layers else layer] = sorted(
                own, key=lambda key: (len(key), key)
            )
    return tensors, layers
