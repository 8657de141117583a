"""Caffe's networks: which layers there are in the phase TEST, what enters and what leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...nn import GraphModule, Parameter, init
from ..archive import FormatError
from ..wiring import Value, Wiring
from .blobs import Blob
from .layers import BUILDERS
from .site import Site

__all__ = ["DATA", "build", "inputs_of", "is_tested"]

DATA = frozenset(
    {"AnnotatedData", "Data", "DummyData", "HDF5Data", "ImageData", "MemoryData", "WindowData"}
)
# What a deployed network has in place of a loss.
_LOSSES = {
    "ContrastiveLoss": None,
    "EuclideanLoss": None,
    "HingeLoss": None,
    "InfogainLoss": None,
    "MultinomialLogisticLoss": None,
    "SigmoidCrossEntropyLoss": "Sigmoid",
    "SoftmaxWithLoss": "Softmax",
}
_DROPPED = frozenset({"Accuracy", "HDF5Output", "Silence"})

Blobs = Mapping[str, Sequence[Blob]]
Shape = tuple[int, ...]


def is_tested(layer: Any) -> bool:
    """Whether a layer is part of the network in the phase TEST, level 0, without stages."""
    if layer.include:
        return any(map(_meets, layer.include))
    return not any(map(_meets, layer.exclude))


def _meets(rule: Any) -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == 1)
        and rule.min_level <= 0
        and rule.max_level >= 0
        and not rule.stage
    )


def inputs_of(
    net: Any, layers: Sequence[Any], blobs: Blobs, size: tuple[int, int] | None
) -> dict[str, Shape | None]:
    """Return the inputs of a network, the pictures first, and their shapes without the batch.

    Where there is no more than a data layer, the first convolution tells the channels, and `size`
    is that of pictures. Layers that only training has count, too: weights alone come from there.
    """
    tested = [layer for layer in layers if is_tested(layer)]
    found = _declared(net, tested)
    for layer in (*tested, *layers):
        if layer.type not in DATA or not layer.top or layer.top[0] in found:
            continue
        channels = _channels(layers, blobs)
        memory = layer.memory_data_param
        if memory.channels:
            found[layer.top[0]] = (memory.channels, memory.height, memory.width)
        else:
            found[layer.top[0]] = (channels, *size) if channels and size else None
        for label in layer.top[1:]:
            found.setdefault(label, None)
    return found


def _channels(layers: Sequence[Any], blobs: Blobs) -> int | None:
    for layer in layers:
        if layer.type == "Convolution":
            weights = [blob.shape for blob in blobs.get(layer.name, ())[:1] if blob.ndim == 4]
            return weights[0][1] * layer.convolution_param.group if weights else None
    return None


def build(layers: Sequence[Any], blobs: Blobs, inputs: Mapping[str, Shape | None]) -> GraphModule:
    """Return the network of layers in today's terms; blobs: by the layers' names."""
    with init.skip_init():
        return _Builder(layers, blobs).run(inputs)


class _Builder:
    def __init__(self, layers: Sequence[Any], blobs: Blobs) -> None:
        self._layers = [layer for layer in layers if is_tested(layer)]
        self._blobs = blobs
        self._wiring = Wiring("caffe")
        self._shared: dict[str, Parameter] = {}
        self._uses = Counter(name for layer in self._layers for name in layer.bottom)
        self._written: dict[str, None] = {}
        self._read: set[Value] = set()  # by layers that are dropped
        self._heads: list[tuple[float, Value]] = []
        self._measured: list[Value] = []  # what accuracies read

    def run(self, inputs: Mapping[str, Shape | None]) -> GraphModule:
        for name, shape in inputs.items():
            self._wiring.input(name, shape)
        for layer in self._layers:
            if layer.type in DATA or layer.type == "Input":
                continue
            if layer.type in _DROPPED:
                values = [self._wiring.value(layer.name, name) for name in layer.bottom]
                self._read.update(values)
                self._measured += values[:1] if layer.type == "Accuracy" else []
            elif layer.type in _LOSSES:
                self._add_head(layer)
            else:
                self._add(layer)
        return self._wiring.network(self._outputs())

    def _site(self, layer: Any, blobs: Sequence[Blob]) -> Site:
        return Site(layer, blobs, self._wiring, self._shared, self._uses)

    def _add(self, layer: Any) -> None:
        site = self._site(layer, self._blobs.get(layer.name, ()))
        if layer.type not in BUILDERS:
            raise site.error("a layer must be of a type that this library has")
        if not layer.bottom:
            raise site.error("a layer must read something")
        for top in layer.top:
            if self._wiring.known(top) and top not in layer.bottom:
                raise site.error("a value must be written by one layer", value=repr(top))
        BUILDERS[layer.type](site)
        self._written.update(dict.fromkeys(layer.top))

    def _add_head(self, loss: Any) -> None:
        site = self._site(loss, ())
        if not loss.bottom:
            raise site.error("a layer must read something")
        values = [self._wiring.value(loss.name, name) for name in loss.bottom]
        self._read.update(values)
        kind = _LOSSES[loss.type]
        if kind is not None:
            head = type(loss)()
            head.CopyFrom(loss)
            head.type = kind
            head.bottom[:] = loss.bottom[:1]
            head.top[:] = [loss.name]
            BUILDERS[kind](self._site(head, ()))
            values = [self._wiring.value(loss.name, loss.name)]
        weight = loss.loss_weight[0] if loss.loss_weight else 1.0
        self._heads.append((weight, values[0]))

    def _outputs(self) -> list[Value]:
        """Return what leaves: what no layer reads, and the losses that weigh most.

        Lighter losses are those of auxiliary classifiers, which serve training only.
        """
        most = max((weight for weight, _ in self._heads), default=0.0)
        outputs = dict.fromkeys(value for weight, value in self._heads if weight == most)
        for name in self._written:
            value = self._wiring.value("", name)
            if not value.readers and value not in self._read:
                outputs[value] = None
        return list(outputs) or self._measured[:1]


def _declared(net: Any, layers: Sequence[Any]) -> dict[str, Shape | None]:
    """Return the inputs that a file names, with their shapes without the batch."""
    count = len(net.input)
    if net.input_shape:
        shapes = [list(shape.dim) for shape in net.input_shape]
    else:
        dims = list(net.input_dim)
        shapes = [dims[i : i + 4] for i in range(0, len(dims), 4)]
    if shapes and len(shapes) != count:
        raise FormatError(
            "caffe: a network must say one shape for every input, in dims of four "
            f"(inputs={count}, shapes={shapes})"
        )
    found = list(zip(net.input, shapes or [[]] * count, strict=True))
    for layer in layers:
        if layer.type == "Input":
            given = [list(shape.dim) for shape in layer.input_param.shape] or [[]]
            given = given * len(layer.top) if len(given) == 1 else given
            if len(given) != len(layer.top):
                raise FormatError(
                    "caffe: a layer must say one shape, or one for every input "
                    f"(layer={layer.name!r}, inputs={len(layer.top)}, shapes={given})"
                )
            found += zip(layer.top, given, strict=True)
    if len(dict(found)) < len(found):
        raise FormatError(
            f"caffe: inputs must have names of their own (inputs={[name for name, _ in found]})"
        )
    return {name: tuple(shape[1:]) or None for name, shape in found}
