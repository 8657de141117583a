"""Starting from weights that another training left."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Module
from ..nn.heads import heads
from .checkpoint import load_checkpoint
from .storage import FORMAT, import_safetensors

__all__ = ["load_pretrained", "read_npz", "read_weights"]


def read_weights(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the state dict in a .npz or .safetensors file (the extra `train`), or in a checkpoint
    of `fit`.

    Raises FileNotFoundError, and ValueError for files that are damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_weights: the file must exist (file={path})")
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    raise ValueError(f"read_weights: the file must be .npz or .safetensors (file={path})")


def load_pretrained(net: Module, state_dict: Mapping[str, Any]) -> list[str]:
    """Load weights, but for heads of another number of classes; return the names of those heads,
    which stay as they are.

    Raises ValueError if anything else does not fit, as `load_state_dict` does.
    """
    own = net.state_dict()
    others = [
        name
        for name in heads(net)
        if f"{name}.weight" in state_dict
        and np.shape(state_dict[f"{name}.weight"]) != own[f"{name}.weight"].shape
    ]
    prefixes = tuple(f"{name}." for name in others)
    kept = {key: array for key, array in own.items() if key.startswith(prefixes)}
    rest = {key: array for key, array in state_dict.items() if not key.startswith(prefixes)}
    net.load_state_dict({**rest, **kept})
    return others


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays in a .npz file; ValueError if it is damaged or of another kind."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # NumPy would look at headers before the checksums
        if damaged is not None:
            raise ValueError(f"{damaged} is damaged")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (
        *(zipfile.BadZipFile, zlib.error, ValueError, EOFError, SyntaxError),
        # Places before the file, encryption, compression unknown here, sizes that cannot be.
        *(OSError, RuntimeError, MemoryError),
    ) as error:
        raise ValueError(
            f"read_weights: the file must be a whole .npz of arrays (file={path}, reason={error})"
        ) from error


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    safetensors = import_safetensors("read_weights", ".safetensors files")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            is_checkpoint = (file.metadata() or {}).get("format") == FORMAT
        if is_checkpoint:
            return load_checkpoint(path).weights
        arrays: dict[str, NDArray[Any]] = safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"read_weights: the file must be a whole safetensors file (file={path}, reason={error})"
        ) from error
    return arrays
