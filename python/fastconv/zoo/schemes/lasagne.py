"""The networks of Lasagne's model zoo: https://github.com/Lasagne/Recipes/tree/master/modelzoo.

Files hold arrays in the order of the layers, without names: the shapes tell the network. All were
converted from Caffe. Kernels are as Caffe's for layers with `flip_filters=False`, as those of VGG,
GoogLeNet and ResNet are; CaffeNet's are turned by 180 degrees, and its groups are layers of their
own. Full layers are (in, out). A batch norm is beta, gamma, mean and 1 / sqrt(var + eps).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import models
from ...data import Preset
from ...nn import BatchNorm2d, Conv2d, Linear, Module, init
from ..archive import Archive, FormatError
from ..scheme import Scheme, State, in_order

__all__ = ["SCHEMES"]

_ANY = -1  # in a shape: the number of classes


class _Step(NamedTuple):
    """One array of the file: what it becomes, and its shape there."""

    name: str
    shape: tuple[int, ...]
    convert: Callable[[NDArray[Any]], NDArray[Any]]
    part: bool = False  # of a parameter that is in several arrays


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _transposed(array: NDArray[Any]) -> NDArray[Any]:
    return in_order(array.T)


def _turned(array: NDArray[Any]) -> NDArray[Any]:
    return in_order(array[:, :, ::-1, ::-1])


@cache
def _steps(architecture: str, options: tuple[tuple[str, Any], ...], turned: bool) -> list[_Step]:
    """Return what the file of a network holds, in its order."""
    with init.skip_init():
        net = models.get(architecture, **dict(options))
    layers = {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, (Conv2d, BatchNorm2d, Linear))
    }
    classifier = list(layers)[-1]
    # Lasagne lists a block's shortcut before its other branch.
    blocks = list(dict.fromkeys(map(_block, layers)))
    ordered = sorted(
        layers, key=lambda name: (blocks.index(_block(name)), ".downsample." not in name)
    )
    return [
        step
        for name in ordered
        for step in _steps_of(name, layers[name], name == classifier, turned)
    ]


def _block(name: str) -> str:
    return ".".join(name.split(".")[:2]) if name.startswith("layer") else name


def _steps_of(name: str, layer: Module, classifier: bool, turned: bool) -> list[_Step]:
    if isinstance(layer, Conv2d):
        out, *rest = layer.weight.shape
        convert = _turned if turned else _same
        parts = layer.groups if turned else 1
        steps = [_Step(f"{name}.weight", (out // parts, *rest), convert, parts > 1)]
        if layer.bias is not None:
            steps.append(_Step(f"{name}.bias", (out // parts,), _same, parts > 1))
        return steps * parts
    if isinstance(layer, Linear):
        out = _ANY if classifier else layer.out_features
        return [
            _Step(f"{name}.weight", (layer.in_features, out), _transposed),
            _Step(f"{name}.bias", (out,), _same),
        ]
    assert isinstance(layer, BatchNorm2d)
    eps = layer.eps

    def variance(inverse: NDArray[Any]) -> NDArray[Any]:
        """Return the variance with which this library's eps gives the file's factor."""
        if not (np.isfinite(inverse).all() and (inverse > 0).all()):
            raise FormatError(
                "zoo.load: 1 / sqrt(var + eps) of a batch norm must be positive "
                f"(layer={name}, smallest={inverse.min()})"
            )
        found: NDArray[Any] = (1 / np.square(inverse, dtype=np.float64) - eps).astype(np.float32)
        return found

    shape = (layer.num_features,)
    return [
        _Step(f"{name}.bias", shape, _same),
        _Step(f"{name}.weight", shape, _same),
        _Step(f"{name}.running_mean", shape, _same),
        _Step(f"{name}.running_var", shape, variance),
    ]


def _scheme(
    architecture: str,
    head: str,
    preset: Preset,
    arrays: int,
    options: dict[str, Any] | None = None,
    turned: bool = False,
) -> Scheme:
    """Return the scheme of a network whose file holds that many arrays."""
    options = options or {}

    def steps() -> list[_Step]:
        return _steps(architecture, tuple(options.items()), turned)

    def matches(archive: Archive) -> bool:
        if archive.format != "lasagne" or len(archive.tensors) != arrays:
            return False
        shapes = [array.shape for array in archive.tensors.values()]
        classes = shapes[-1][-1:] or (0,)
        expected = [
            tuple(classes[0] if size == _ANY else size for size in step.shape) for step in steps()
        ]
        return shapes == expected

    def state_dict(archive: Archive) -> State:
        state: State = {}
        for step, array in zip(steps(), archive.tensors.values(), strict=True):
            converted = step.convert(array)
            if step.part and step.name in state:
                converted = np.concatenate([state[step.name], converted])
            state[step.name] = converted
        return state

    return Scheme(
        name=f"lasagne {architecture}",
        architecture=architecture,
        matches=matches,
        state_dict=state_dict,
        options=options,
        preset=preset,
        head=head,
    )


_VGG = Preset.caffe()
# The mean colours of Caffe's GoogLeNet, of its mean picture, and of that of the ResNets.
_GOOGLENET = Preset.caffe(mean=(104.0, 117.0, 123.0))
_CAFFENET = Preset.caffe(227, mean=(104.00698793, 116.66876762, 122.67891434))
_RESNET_MEAN = Preset.caffe(mean=(103.0626238, 115.90288257, 123.15163084))
_RESNET = {"variant": "caffe", "conv1_bias": True}

SCHEMES = (
    _scheme("vgg16", "classifier.6", _VGG, 32),
    _scheme("vgg19", "classifier.6", _VGG, 38),
    _scheme("googlenet", "fc", _GOOGLENET, 116, {"variant": "caffe"}),
    _scheme("resnet50", "fc", _RESNET_MEAN, 53 + 1 + 53 * 4 + 2, _RESNET),
    _scheme("alexnet", "fc8", _CAFFENET, 22, {"variant": "caffenet"}, turned=True),
)
