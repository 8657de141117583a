"""The weights of keras-applications: VGG-16 and -19, ResNet-50, -101 and -152.

Layers are known by their names, and their arrays by order: kernel, bias; gamma, beta, mean,
variance. TensorFlow's kernels are (height, width, in, out), those of Keras 1 for channels-first
(out, in, height, width); Theano's are turned round besides. Sources: keras-team/keras-applications,
fchollet/deep-learning-models.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data import Preset
from ..archive import Archive, FormatError
from ..scheme import Scheme, State, in_order, oihw
from .depths import RESNET, VGG, vgg_convolutions

__all__ = ["SCHEMES"]

_POOLED = 7  # height and width of the maps that VGG's first full layer sees
# Batch normalisation's epsilon here, in keras-applications' ResNets, and in the file of 2015, whose
# code leaves it at Keras's default.
_EPS, _KERAS_EPS, _OLD_EPS = 1e-5, 1.001e-5, 1e-3


class _Unit(NamedTuple):
    """A convolution and the batch normalisation after it, in their names and ours."""

    conv: str
    norm: str
    our_conv: str
    our_norm: str


def _arrays(archive: Archive, layer: str) -> list[NDArray[Any]]:
    return [archive.tensors[name] for name in archive.metadata["layers"][layer]]


def _kernel(archive: Archive, array: NDArray[Any], channels_last: bool) -> NDArray[Any]:
    """Return a kernel as ours are: (out, in, height, width), for a cross-correlation."""
    kernel = oihw(array) if channels_last else array
    return in_order(kernel[:, :, ::-1, ::-1]) if archive.metadata["theano"] else kernel


def _is_channels_last(archive: Archive, first: str) -> bool:
    """Whether kernels are (height, width, in, out), told from the first, of square windows."""
    shape = _arrays(archive, first)[0].shape
    return bool(shape[0] == shape[1])


def _is(archive: Archive, ranks: dict[str, int]) -> bool:
    """Whether a file of Keras's has weights for just these layers, whose first arrays are of these
    ranks.

    Those of rank 1 are batch normalisations, with four arrays; others may do without a bias.
    """
    if archive.format not in ("keras h5", "keras v3"):
        return False
    layers = {name: arrays for name, arrays in archive.metadata["layers"].items() if arrays}
    return layers.keys() == ranks.keys() and all(
        len(layers[name]) in ((4,) if rank == 1 else (1, 2))
        and _arrays(archive, name)[0].ndim == rank
        for name, rank in ranks.items()
    )


def _rows(weight: NDArray[Any], bias: list[NDArray[Any]], ours: str) -> State:
    """Return a full layer, whose weight Keras has as (in, out)."""
    state = {f"{ours}.weight": in_order(weight.T)}
    return state | {f"{ours}.bias": bias[0] if bias else np.zeros(weight.shape[1], np.float32)}


# VGG.


def _vgg_convolutions(depths: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    for stage, number, ours in vgg_convolutions(depths):
        yield f"block{stage}_conv{number}", ours


def _matches_vgg(archive: Archive, depths: tuple[int, ...]) -> bool:
    ranks = {name: 4 for name, _ in _vgg_convolutions(depths)}
    ranks |= {"fc1": 2, "fc2": 2, "predictions": 2}
    return _is(archive, ranks) and len(_arrays(archive, "fc1")[0]) == 512 * _POOLED**2


def _vgg(archive: Archive, depths: tuple[int, ...]) -> State:
    channels_last = _is_channels_last(archive, "block1_conv1")
    state: State = {}
    for name, ours in _vgg_convolutions(depths):
        kernel, *bias = _arrays(archive, name)
        state[f"{ours}.weight"] = _kernel(archive, kernel, channels_last)
        state[f"{ours}.bias"] = bias[0] if bias else np.zeros(kernel.shape[-1], np.float32)
    for name, place in (("fc1", 0), ("fc2", 3), ("predictions", 6)):
        weight, *bias = _arrays(archive, name)
        if name == "fc1" and channels_last:
            # Keras flattened (height, width, channels).
            maps = weight.reshape(_POOLED, _POOLED, 512, -1)
            weight = maps.transpose(2, 0, 1, 3).reshape(weight.shape)
        state |= _rows(weight, bias, f"classifier.{place}")
    return state


# ResNet.


def _units(depths: tuple[int, ...]) -> Iterator[_Unit]:
    """Yield the convolutions under today's names."""
    yield _Unit("conv1_conv", "conv1_bn", "conv1", "bn1")
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            theirs = f"conv{stage + 1}_block{block + 1}"
            ours = f"layer{stage}.{block}"
            for k in (1, 2, 3):
                yield _Unit(
                    f"{theirs}_{k}_conv", f"{theirs}_{k}_bn", f"{ours}.conv{k}", f"{ours}.bn{k}"
                )
            if block == 0:
                down = f"{ours}.downsample"
                yield _Unit(f"{theirs}_0_conv", f"{theirs}_0_bn", f"{down}.0", f"{down}.1")


def _old_units(depths: tuple[int, ...]) -> Iterator[_Unit]:
    """Yield the convolutions under the names of 2015, which are Caffe's."""
    yield _Unit("conv1", "bn_conv1", "conv1", "bn1")
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            theirs = f"{stage + 1}{'abcdef'[block]}_branch"
            ours = f"layer{stage}.{block}"
            for k, letter in enumerate("abc", 1):
                name = f"{theirs}2{letter}"
                yield _Unit(f"res{name}", f"bn{name}", f"{ours}.conv{k}", f"{ours}.bn{k}")
            if block == 0:
                down = f"{ours}.downsample"
                yield _Unit(f"res{theirs}1", f"bn{theirs}1", f"{down}.0", f"{down}.1")


def _matches_resnet(archive: Archive, units: tuple[_Unit, ...], head: str) -> bool:
    ranks = {unit.conv: 4 for unit in units} | {unit.norm: 1 for unit in units} | {head: 2}
    return _is(archive, ranks)


def _resnet(archive: Archive, units: tuple[_Unit, ...], head: str, eps: float) -> State:
    channels_last = _is_channels_last(archive, units[0].conv)
    state: State = {}
    for unit in units:
        kernel, *bias = _arrays(archive, unit.conv)
        norm = _arrays(archive, unit.norm)
        if len({array.shape for array in (*norm, *bias)}) > 1:
            raise FormatError(
                "zoo.load: a convolution and its batch normalisation must have as many channels "
                f"(layer={unit.norm}, shapes={[array.shape for array in (*norm, *bias)]})"
            )
        gamma, beta, mean, variance = (array.astype(np.float64) for array in norm)
        # Normalisation takes the mean away again, so the bias of the convolution, which ours has
        # not, comes off the mean; and it sees the variance only together with epsilon.
        if bias:
            mean -= bias[0]
        variance += eps - _EPS
        values = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
        state[f"{unit.our_conv}.weight"] = _kernel(archive, kernel, channels_last)
        state |= {f"{unit.our_norm}.{name}": array for name, array in values.items()}
    weight, *bias = _arrays(archive, head)
    return state | _rows(weight, bias, "fc")


def _schemes() -> Iterator[Scheme]:
    preset = Preset.caffe()
    for layers, depths in VGG.items():
        name = f"vgg{layers}"
        yield Scheme(
            f"keras-applications {name}",
            name,
            partial(_matches_vgg, depths=depths),
            partial(_vgg, depths=depths),
            preset=preset,
            head="classifier.6",
        )
    for layers, blocks in RESNET.items():
        name = f"resnet{layers}"
        units = tuple(_units(blocks))
        # Its zeros around the first pooling, after a ReLU, are as good as -inf.
        yield Scheme(
            f"keras-applications {name}",
            name,
            partial(_matches_resnet, units=units, head="predictions"),
            partial(_resnet, units=units, head="predictions", eps=_KERAS_EPS),
            options={"variant": "keras"},
            preset=preset,
        )
    units = tuple(_old_units(RESNET[50]))
    yield Scheme(
        "keras-applications resnet50 of 2015",
        "resnet50",
        partial(_matches_resnet, units=units, head="fc1000"),
        partial(_resnet, units=units, head="fc1000", eps=_OLD_EPS),
        options={"variant": "keras-2015"},
        preset=preset,
    )


SCHEMES = tuple(_schemes())
