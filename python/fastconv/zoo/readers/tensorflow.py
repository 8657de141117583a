"""TensorFlow's files: frozen graphs, SavedModels and checkpoints of both versions.

Only protobuf is needed. The formats are described in TensorFlow's .proto files (see
zoo/proto/tensorflow.proto), checkpoints in `table` and `checkpoint`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...nn import Module
from ..archive import Archive, head_of
from ..tensorflow.detect import is_graph, is_saved_model, is_table, prefix_of
from ..tensorflow.graph import Graph

__all__ = ["read", "recognises"]

_SAVED = "saved_model.pb"


def recognises(path: Path, head: bytes) -> bool:
    """See `zoo.archive.Reader`."""
    if path.is_dir():
        return (path / _SAVED).is_file()
    if prefix_of(path) is not None:
        return True
    return is_graph(head) or is_saved_model(head) or (path.is_file() and is_table(path))


def read(path: Path, weights: Path | None) -> Archive:
    """See `zoo.archive.Reader`. A SavedModel's tensors are those of its checkpoint; checkpoints
    have no network: their names must fit a scheme."""
    if path.is_dir():
        return _saved_model(path / _SAVED, path)
    prefix = prefix_of(path)
    if prefix is not None or is_table(path):
        return _checkpoint(path, prefix)
    data = path.read_bytes()
    if is_saved_model(head_of(path)):
        return _saved_model(path, path.parent)
    return _frozen(path, data)


def _checkpoint(path: Path, prefix: Path | None) -> Archive:
    from ..tensorflow.checkpoint import read_bundle, read_first_version

    metadata = {"framework": "tensorflow", "checkpoint": 1 if prefix is None else 2}
    tensors = read_first_version(path) if prefix is None else read_bundle(prefix)
    return Archive("tensorflow checkpoint", path, tensors, metadata=metadata)


def _saved_model(file: Path, folder: Path) -> Archive:
    from ..tensorflow.build import build
    from ..tensorflow.checkpoint import read_bundle
    from ..tensorflow.saved_model import served, signature, variables_of
    from ..tensorflow.tensors import parse

    meta = served(parse("SavedModel", file.read_bytes(), str(file)), file)
    graph = Graph(meta.graph_def, str(file))
    prefix = folder / "variables" / "variables"
    tensors = read_bundle(prefix) if Path(f"{prefix}.index").is_file() else {}

    def make() -> Module:
        inputs, outputs = signature(meta, file)
        return build(
            graph,
            {label: graph.ref(text) for label, text in inputs.items()},
            [graph.ref(text) for text in outputs.values()],
            variables_of(graph, tensors),
        )

    version = meta.meta_info_def.tensorflow_version
    metadata = {"framework": "tensorflow", **({"version": version} if version else {})}
    return Archive("tensorflow saved model", folder, tensors, make, metadata)


def _frozen(path: Path, data: bytes) -> Archive:
    from ..tensorflow.build import build, sinks, sources
    from ..tensorflow.tensors import parse

    graph = Graph(parse("Graph", data, str(path)), str(path))

    def make() -> Module:
        outputs = list(sinks(graph).values())
        return build(graph, sources(graph, outputs), outputs, {})

    metadata = {"framework": "tensorflow"}
    return Archive("tensorflow graph", path, _constants(graph), make, metadata)


def _constants(graph: Graph) -> dict[str, NDArray[Any]]:
    """Return the constants of a graph that may be weights: arrays of floats."""
    from ..tensorflow.tensors import array_of

    found = {}
    for node in graph.walk({"Const"}):
        if "value" in node.attr:
            tensor = node.attr["value"].tensor
            if tensor.dtype in (1, 2, 14, 19) and tensor.tensor_shape.dim:
                found[node.name] = np.asarray(array_of(tensor, str(node)))
    return found
