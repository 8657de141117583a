"""Networks of this library as safetensors files that any reader of that format understands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...nn import Module
from ...train.storage import replace_file
from ..metadata import metadata_of
from ..readers.safetensors import TYPES, VERSION
from .architecture import architecture_of

__all__ = ["save"]

_NAMES = {np.dtype(code): name for name, code in TYPES.items() if name != "BF16"}


def save(net: Module, path: str | os.PathLike[str], *, license: str | None = None) -> None:
    """Write a network to a .safetensors file from which `zoo.load` restores it.

    The file holds the state dict under its own names, which are PyTorch's, and in the metadata what
    else belongs to it: the architecture where the network was built by `models`, its preset, its
    classes, and the `license` of the weights, by default `net.license`. Networks that were built
    otherwise come back by `load_state_dict(zoo.read(path).tensors)`. The file is replaced whole or
    not at all. Raises ValueError if the network was changed since `models` built it, but for its
    head: set `net.architecture = None` to write weights that no architecture stands for.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"zoo.save: the file's name must end in .safetensors (path={path})")
    if not isinstance(net, Module):
        raise TypeError(f"zoo.save: net must be an nn.Module (type={type(net).__name__})")
    architecture = architecture_of(net)
    if architecture is None and net.architecture is not None:
        name, options = net.architecture
        raise ValueError(
            "zoo.save: the network must be as models.get builds it, but for its head; set "
            f"net.architecture = None to write its weights alone (architecture={name}, "
            f"options={options})"
        )
    known = metadata_of(net, architecture=architecture, license=license)
    metadata = {"format": "pt", "fastconv.version": VERSION, **known}
    arrays = {
        # The format is little-endian.
        name: np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        for name, array in net.state_dict().items()
    }
    header = _header(arrays, metadata)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for array in arrays.values():
                file.write(array.reshape(-1).view(np.uint8).data)

    replace_file(path, write)


def _header(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": (begin, end),
        }
    header = json.dumps(entries).encode()
    # So that the tensors of networks, whose elements have 4 or 8 bytes, are aligned.
    return header.ljust(-(-len(header) // 8) * 8)
