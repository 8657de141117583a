"""Keras's .h5 files: weights, or whole networks, of Keras 1, 2 and 3.

The weights are in the root or in the group "model_weights": the attribute "layer_names" lists
groups, and "weight_names" of each group its arrays. The root's "model_config" describes the
network as JSON. Keras 3's .weights.h5 is another format in the same container.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..archive import Archive, FormatError
from ..keras import hdf5
from ..keras.attach import by_name
from ..keras.config import parse
from ..keras.network import archive
from .keras_v3 import weights_archive

__all__ = ["read", "recognises"]

# Files of Keras 1 did not always say.
_FIRST_VERSION = "1"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5."""
    return head.startswith(hdf5.MAGIC)


def read(path: Path, weights: Path | None) -> Archive:
    """Return the weights, and the network where the file describes it."""
    with hdf5.opened(path) as file:
        root = hdf5.group(file, "model_weights") if hdf5.has(file, "model_weights") else file
        if not {"layer_names", "layer_names0"} & set(root.attrs):
            return weights_archive(path, file)
        return _legacy(path, file, root)


def _legacy(path: Path, file: Any, root: Any) -> Archive:
    tensors: dict[str, NDArray[Any]] = {}
    layers: dict[str, list[str]] = {}
    for layer in hdf5.texts(root, "layer_names"):
        group = hdf5.group(root, layer)
        if layer in layers:
            raise FormatError(f"keras: layers must have names of their own (layer={layer!r})")
        layers[layer] = []
        for name in hdf5.texts(group, "weight_names"):
            tensors[f"{layer}/{name}"] = hdf5.array(group, name)
            layers[layer].append(f"{layer}/{name}")
    version = hdf5.text(root, "keras_version") or hdf5.text(file, "keras_version", _FIRST_VERSION)
    backend = hdf5.text(root, "backend") or hdf5.text(file, "backend")
    config = hdf5.text(file, "model_config")
    description = None if config is None else parse(config, "model_config")
    attach = partial(by_name, groups=layers)
    return archive("keras h5", path, tensors, layers, version or "", backend, description, attach)
