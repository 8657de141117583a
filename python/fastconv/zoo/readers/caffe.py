"""Caffe: a network in a .prototxt, its weights in a .caffemodel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...nn import Module
from ..archive import Archive, FormatError, head_of
from ..proto.messages import messages
from ..proto.messages import read as read_message
from ..proto.wire import BYTES, VARINT, fields, is_text

__all__ = ["PAIRS", "read", "recognises"]

PAIRS = True

_LAYER = re.compile(rb"(?:^|[\s}])layers?\s*:?\s*\{")
_TYPES_V0 = frozenset(
    b"accuracy concat conv data dropout flatten hdf5_data images innerproduct lrn padding pool "
    b"relu sigmoid softmax softmax_loss split tanh window_data".split()
)
_NAME, _LAYERS, _LAYER_NUMBER = 1, 2, 100


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a NetParameter, as text or in wire format."""
    if is_text(head):
        return _LAYER.search(re.sub(rb"#[^\n]*", b"", head)) is not None
    return _is_net(head)


def _is_net(head: bytes) -> bool:
    """Whether these bytes begin a NetParameter that has layers.

    Names and numbers of the first fields are those of Caffe2's NetDef and near those of others:
    the first layer decides.
    """
    try:
        for number, wire, value in fields(head):
            if number in (_LAYERS, _LAYER_NUMBER) and isinstance(value, bytes):
                return _is_layer(value) if number == _LAYER_NUMBER else _is_v1_layer(value)
            if number > 8 or (number == _NAME and wire != BYTES):
                return False
    except ValueError:
        pass
    return False


def _is_layer(data: bytes) -> bool:
    """Whether a field 100 is a LayerParameter: with a type, which is text."""
    return any(number == 2 and wire == BYTES for number, wire, _ in fields(data))


def _is_v1_layer(data: bytes) -> bool:
    """Whether a field 2 is a V1LayerParameter: its type is a number, or it holds a V0 layer."""
    for number, wire, value in fields(data):
        if number == 5:  # in Caffe2's operators this is a message
            return wire == VARINT
        if number == 1 and isinstance(value, bytes):  # in Caffe2's operators this is a name
            try:
                return any(n == 2 and v in _TYPES_V0 for n, _, v in fields(value))
            except ValueError:
                return False
    return False


def read(path: Path, weights: Path | None) -> Archive:
    """Read a network and its weights, whichever is named first; see `zoo.load`.

    Without `weights` the other file is the one beside with the same stem, or the only one of its
    kind. Weights without a network build the network that was trained, as it is when tested.
    """
    kind = messages("caffe", "a Caffe model").NetParameter
    from ..caffe.blobs import array_of
    from ..caffe.upgrade import layers_of

    network, trained = _two_files(path, weights)
    holder = read_message("caffe", kind, trained)
    blobs: dict[str, list[Any]] = {}
    for layer in (
        *holder.layer,
        *(v1.layer if v1.HasField("layer") else v1 for v1 in holder.layers),
    ):
        arrays = [array_of(f"{layer.name}.{i}", blob) for i, blob in enumerate(layer.blobs)]
        if arrays and layer.name in blobs:
            raise FormatError(
                f"caffe: layers with weights must have names of their own (file={trained}, "
                f"layer={layer.name!r})"
            )
        if arrays:
            blobs[layer.name] = arrays
        layer.ClearField("blobs")
    # A copy without the blobs, whose memory belongs to the message as a whole.
    net = kind()
    net.CopyFrom(holder)
    del holder
    if network is not None:
        net = read_message("caffe", kind, network)
    layers = layers_of(net)
    if network is None:
        for layer in layers:
            # What was trained on a batch's statistics is deployed with those it kept.
            layer.batch_norm_param.ClearField("use_global_stats")
    return _archive(path, network or trained, trained, net, layers, blobs)


def _archive(
    path: Path, network: Path, trained: Path, net: Any, layers: list[Any], blobs: dict[str, Any]
) -> Archive:
    from ..caffe.net import build, inputs_of
    from ..caffe.picture import picture_size, preset_of

    inputs = inputs_of(net, layers, blobs, picture_size(net.name, layers))

    def construct() -> Module:
        try:
            return build(layers, blobs, inputs)
        except FormatError as error:
            raise FormatError(f"{error} (network={network}, weights={trained})") from error

    return Archive(
        "caffe",
        path,
        {f"{layer}.{i}": blob for layer, parts in blobs.items() for i, blob in enumerate(parts)},
        construct,
        {"framework": "caffe", "name": net.name},
        preset_of(net.name, layers, next(iter(inputs.values()), None), network.parent),
    )


def _two_files(path: Path, weights: Path | None) -> tuple[Path | None, Path]:
    """Return the file of the network, if there is one, and that of the weights."""
    if weights is not None:
        texts = [file for file in (path, weights) if is_text(head_of(file))]
        if len(texts) == 2:
            raise FormatError(
                f"caffe: one of two files must hold weights (files={path}, {weights})"
            )
        return (weights, path) if texts == [weights] else (path, weights)
    if is_text(head_of(path)):
        beside = sorted(path.parent.glob("*.caffemodel"))
        beside = [file for file in beside if file.stem == path.stem] or beside
        if len(beside) != 1:
            raise FormatError(
                "caffe: the weights must be the one .caffemodel beside the network, have its name, "
                f"or be given as weights= (file={path}, found={[file.name for file in beside]})"
            )
        return path, beside[0]
    beside = [
        file for file in sorted(path.parent.glob("*.prototxt")) if recognises(file, head_of(file))
    ]
    deployed = [file for file in beside if "deploy" in file.name.lower()]
    named = [file for file in beside if file.stem == path.stem]
    for candidates in (named, beside, deployed):
        if len(candidates) == 1:
            return candidates[0], path
    return None, path
