"""Caffe2: a network in predict_net.pb, its weights in init_net.pb."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from ..archive import Archive, FormatError
from ..proto.messages import messages
from ..proto.messages import read as read_message
from ..proto.wire import BYTES, fields, is_text

__all__ = ["PAIRS", "read", "recognises"]

PAIRS = True

_OP = re.compile(rb"(?:^|[\s}])op\s*:?\s*\{")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a NetDef, as text or in wire format: the first operator decides."""
    if is_text(head):
        return _OP.search(head) is not None
    try:
        for number, wire, value in fields(head):
            if number == 2 and isinstance(value, bytes):
                return _is_operator(value)
            if number != 1 or wire != BYTES:
                return False
    except ValueError:
        pass
    return False


def _is_operator(data: bytes) -> bool:
    """Whether these bytes begin an OperatorDef: names, and a type that is one, too."""
    typed = False
    for number, wire, value in fields(data):
        if number > 9 or (number <= 5 and wire != BYTES):
            return False
        if number == 4 and isinstance(value, bytes):
            typed = value.isascii() and value.decode("ascii").isidentifier()
        if number == 5:
            break
    return typed


def read(path: Path, weights: Path | None) -> Archive:
    """Read both files, whichever is named first; see `zoo.load`.

    Without `weights` the other file lies beside, with "init" for "predict" in its name or the other
    way round. value_info.json beside, if it is there, gives the shape of the pictures.
    """
    kind = messages("caffe2", "a Caffe2 model").NetDef
    from ..caffe.picture import preset_of
    from ..caffe2.fills import array_of, is_fill
    from ..caffe2.net import build, inputs_of

    files = [path, *([weights] if weights else _beside(path))]
    nets = [read_message("caffe2", kind, file) for file in files]
    networks = [net for net in nets if any(not is_fill(op) for op in net.op)]
    if len(networks) != 1:
        raise FormatError(
            "caffe2: one file must hold the network, the other, named as weights= or beside it, "
            f"the weights (files={', '.join(map(str, files))}, networks={len(networks)})"
        )
    fills = {op.output[0]: op for net in nets for op in net.op if is_fill(op) and op.output}
    constants = {name: array_of(op) for name, op in fills.items()}
    dummies = {name for name, op in fills.items() if op.type == "ConstantFill"}
    (network,) = networks
    operators = [op for op in network.op if not is_fill(op)]
    names = inputs_of(operators, constants, dummies)
    inputs: dict[str, Any] = {
        name: constants[name].shape[1:] if name in constants and constants[name].ndim == 4 else None
        for name in names
    }
    inputs.update(_shapes(path.parent, names))
    # What Caffe's networks are called they are called here, too.
    preset = preset_of(network.name, (), next(iter(inputs.values()), None), path.parent)
    metadata = {"framework": "caffe2", "name": network.name}
    construct = partial(build, network, operators, constants, inputs)
    return Archive("caffe2", path, constants, construct, metadata, preset)


def _beside(path: Path) -> list[Path]:
    for one, other in (("predict", "init"), ("init", "predict")):
        if one in path.stem:
            stem = path.stem.replace(one, other)
            for suffix in (path.suffix, ".pb", ".pbtxt"):
                file = path.with_name(stem + suffix)
                if file.is_file():
                    return [file]
    return []


def _shapes(folder: Path, inputs: list[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of inputs without the batch, from Caffe2's models' value_info.json:
    {"data": [type, [N, C, H, W]]}."""
    file = folder / "value_info.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_bytes())
        shapes = {name: [int(size) for size in content[name][1]] for name in inputs}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise FormatError(
            f"caffe2: value_info.json must give every input's type and shape (file={file}, "
            f"inputs={inputs}, reason={error!r})"
        ) from error
    return {name: tuple(shape[1:]) for name, shape in shapes.items()}
