"""Networks as ONNX files: https://onnx.ai/onnx/operators."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..._arguments import flag, integer
from ..._core import __version__
from ...compiler.entry import full_shape
from ...compiler.passes import drop_identities, remove_dead
from ...compiler.trace import trace
from ...nn import Module
from ..archive import missing_extra
from ..metadata import metadata_of
from .architecture import architecture_of
from .onnx_file import write_model
from .onnx_nodes import GraphWriter

__all__ = ["export_onnx"]

_FIRST_OPSET = 13  # the first whose Softmax is this library's


def export_onnx(
    net: Module,
    path: str | os.PathLike[str],
    input_shape: Sequence[int] | None = None,
    *,
    opset: int = 17,
    dynamic_batch: bool = True,
    input_name: str = "input",
    output_name: str = "output",
    license: str | None = None,
) -> None:
    """Write a network, as it works in inference, as an ONNX file (the extra `zoo`).

    input_shape: (N, C, H, W), or (C, H, W) for one picture; by default the network's own. Heights
        and widths are fixed; with `dynamic_batch` any number of pictures will do.
    opset: the version of ONNX's operators, from 13 on.
    license: of the weights, by default `net.license`; written into the file's metadata beside
        `net.preset`, `net.classes`, and the architecture of networks that `models` built.

    Weights have the names of the state dict. The network runs once without values, as for
    `fastconv.compile`, and every operation that it takes is written: all of this library's layers,
    and what `forward` does in between, but for operations across the pictures of a batch. Whatever
    happens on the way, `path` holds the old file or the whole new one.

    Raises ValueError and TypeError that name the layer that ONNX has no operators for, or whose
    result depends on the batch; ImportError that names the extra.

    >>> from fastconv import models, zoo                       # doctest: +SKIP
    >>> zoo.export_onnx(models.lenet5(), "lenet5.onnx")        # doctest: +SKIP
    """
    onnx = _import_onnx()
    path = Path(path)
    _check_arguments(net, path, input_name, output_name)
    newest = onnx.defs.onnx_opset_version()
    if not _FIRST_OPSET <= integer("export_onnx", "opset", opset, 1) <= newest:
        raise ValueError(
            f"export_onnx: opset must be from {_FIRST_OPSET} to {newest}, the newest that the "
            f"package onnx knows (opset={opset})"
        )
    shape = full_shape("export_onnx", net, input_shape)
    graph = drop_identities(remove_dead(trace(net, shape, "export_onnx")))
    if flag("export_onnx", "dynamic_batch", dynamic_batch) and not graph.any_batch:
        raise ValueError(
            "export_onnx: a layer depends on the number of pictures; dynamic_batch=False writes "
            f"the network for that number alone (network={type(net).__name__}, batch={shape[0]})"
        )
    writer = GraphWriter(onnx, net, graph, opset, input_name, output_name)
    batch = "N" if dynamic_batch else shape[0]
    model = onnx.helper.make_model(
        writer.graph(type(net).__name__, batch),
        producer_name="fastconv",
        producer_version=__version__,
        opset_imports=(opsets := [onnx.helper.make_opsetid("", opset)]),
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
    )
    architecture = architecture_of(net) if _has_all_weights(writer, net) else None
    known = metadata_of(net, architecture=architecture, license=license)
    onnx.helper.set_model_props(model, known)
    write_model(path, model, writer.tensors)


def _has_all_weights(writer: GraphWriter, net: Module) -> bool:
    """Whether the state dict is among the initializers: heads that serve training alone are not."""
    written = {name: array.shape for name, array in writer.tensors.items()}
    return all(
        written.get(name) == array.shape
        for name, array in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("writing ONNX files", "onnx") from error
    return onnx


def _check_arguments(net: Any, path: Path, input_name: Any, output_name: Any) -> None:
    if not isinstance(net, Module):
        raise TypeError(f"export_onnx: net must be a Module (type={type(net).__name__})")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"export_onnx: the file must lie in an existing folder (file={path})")
    names = (input_name, output_name)
    if not all(isinstance(name, str) and name for name in names) or input_name == output_name:
        raise ValueError(
            f"export_onnx: input_name and output_name must be two different texts (names={names})"
        )
    if not net.state_dict().keys().isdisjoint(names):
        raise ValueError(
            "export_onnx: input_name and output_name must not be names of the state dict "
            f"(names={names})"
        )
