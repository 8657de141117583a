"""Files as Keras 1, 2 and 3 write them, written here from the descriptions of their formats."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Weights = dict[str, list[tuple[str, Any]]]  # layer: (name, array) of its weights, in order


def write_h5(
    path: Path,
    weights: Weights,
    config: Any = None,
    *,
    version: str | None = "2.2.4",
    backend: str | None = "tensorflow",
    chunks: int = 0,
) -> Path:
    """Write a legacy file: weights alone in the root, or beside a description.

    chunks: split layer_names into that many attributes, as Keras does with long ones.
    """
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            root = file.create_group("model_weights")
        for name, value in (("keras_version", version), ("backend", backend)):
            if value is not None:
                root.attrs[name] = value.encode()
        names = np.array([layer.encode() for layer in weights])
        if chunks:
            for i, part in enumerate(np.array_split(names, chunks)):
                root.attrs[f"layer_names{i}"] = part
        else:
            root.attrs["layer_names"] = names
        for layer, arrays in weights.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name, _ in arrays]
            for name, array in arrays:
                group[name] = array
    return path


def h5_of_variables(variables: dict[str, Any], path: Path | None = None) -> bytes:
    """Return a .weights.h5 with datasets of these paths."""
    content = BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in variables.items():
            file[name] = array
    if path is not None:
        path.write_bytes(content.getvalue())
    return content.getvalue()


def write_keras(path: Path, config: Any, variables: dict[str, Any] | bytes) -> Path:
    """Write a .keras file; `variables` may be the bytes of model.weights.h5."""
    content = variables if isinstance(variables, bytes) else h5_of_variables(variables)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", content)
    return path


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    """Return a layer of a sequential network."""
    return {"class_name": kind, "config": {"name": name, **config}}


def node(kind: str, name: str, reads: Any = (), **config: Any) -> dict[str, Any]:
    """Return a layer of a functional network of Keras 1 and 2.

    reads: for each call the names of layers, or (name, call) pairs.
    """
    calls = [
        [[*((name, 0) if isinstance(name, str) else name), 0, {}] for name in call]
        for call in reads
    ]
    return {**layer(kind, name, **config), "name": name, "inbound_nodes": calls}


def functional(*nodes: Any, inputs: list[str], outputs: list[str], name: str = "net") -> Any:
    """Return the description of a functional network."""
    return {
        "class_name": "Model",
        "config": {
            "name": name,
            "layers": list(nodes),
            "input_layers": [[name, 0, 0] for name in inputs],
            "output_layers": [[name, 0, 0] for name in outputs],
        },
    }
