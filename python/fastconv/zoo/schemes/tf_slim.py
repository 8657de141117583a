"""TF-slim's networks (tensorflow/models, research/slim), by the names in their checkpoints.

Weights are HWIO, full layers are convolutions, and photos are RGB. ResNets take strides at the end
of a block, and subsample its shortcut by as much: what the next block reads is the same as with
the strides at its beginning, in the first 1x1 and in the projection, where this library's variant
"caffe" has them, as its authors did.
"""

from __future__ import annotations

import numpy as np

from ...data import Preset
from ..archive import Archive, FormatError
from ..scheme import Scheme, State, oihw
from .depths import RESNET, VGG, vgg_convolutions

__all__ = ["SCHEMES"]

_VGG_PRESET = Preset(mean=(123.68, 116.78, 103.94))  # shorter side 256, centre 224
# Seven eighths of a photo, byte / 127.5 - 1.
_INCEPTION_PRESET = Preset(mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)

# Our layers of an Inception module by TF-slim's; "5x5" has been 3x3 ever since
# (https://github.com/tensorflow/tensorflow/issues/7130).
_BRANCHES = {
    "branch1": "Branch_0/Conv2d_0a_1x1",
    "branch2.0": "Branch_1/Conv2d_0a_1x1",
    "branch2.1": "Branch_1/Conv2d_0b_3x3",
    "branch3.0": "Branch_2/Conv2d_0a_1x1",
    "branch3.1": "Branch_2/Conv2d_0b_3x3",
    "branch4.1": "Branch_3/Conv2d_0b_1x1",
}
_INCEPTIONS = {
    **{f"inception3{ours}": f"Mixed_3{theirs}" for ours, theirs in zip("ab", "bc", strict=True)},
    **{f"inception4{a}": f"Mixed_4{b}" for a, b in zip("abcde", "bcdef", strict=True)},
    **{f"inception5{ours}": f"Mixed_5{theirs}" for ours, theirs in zip("ab", "bc", strict=True)},
}


class _Weights:
    """Takes layers out of an archive, under other names."""

    def __init__(self, archive: Archive) -> None:
        self.tensors = archive.tensors
        self.state: State = {}

    def conv(self, ours: str, theirs: str, bias: bool) -> None:
        self.state[f"{ours}.weight"] = oihw(self._get(f"{theirs}/weights", 4))
        if bias:
            self.state[f"{ours}.bias"] = self._get(f"{theirs}/biases", 1)

    def linear(self, ours: str, theirs: str) -> None:
        """A full layer that is a convolution of all of its input, in (C, H, W) order here."""
        kernel = oihw(self._get(f"{theirs}/weights", 4))
        self.state[f"{ours}.weight"] = kernel.reshape(len(kernel), -1)
        self.state[f"{ours}.bias"] = self._get(f"{theirs}/biases", 1)

    def norm(self, ours: str, theirs: str) -> None:
        """Batch normalisation; gamma is left out where it is 1."""
        mean = self._get(f"{theirs}/BatchNorm/moving_mean", 1)
        gamma = f"{theirs}/BatchNorm/gamma"
        self.state[f"{ours}.weight"] = (
            self._get(gamma, 1) if gamma in self.tensors else np.ones_like(mean)
        )
        self.state[f"{ours}.bias"] = self._get(f"{theirs}/BatchNorm/beta", 1)
        self.state[f"{ours}.running_mean"] = mean
        self.state[f"{ours}.running_var"] = self._get(f"{theirs}/BatchNorm/moving_variance", 1)

    def _get(self, name: str, rank: int) -> np.ndarray:
        found = self.tensors.get(name)
        if found is None or found.ndim != rank:
            shape = None if found is None else found.shape
            raise FormatError(
                f"zoo.load: TF-slim's checkpoint must hold all layers "
                f"(name={name}, axes={rank}, shape={shape})"
            )
        return found


def _vgg(layers: int) -> Scheme:
    scope, depths = f"vgg_{layers}", VGG[layers]

    def matches(archive: Archive) -> bool:
        return f"{scope}/conv1/conv1_1/weights" in archive.tensors

    def state_dict(archive: Archive) -> State:
        weights = _Weights(archive)
        for stage, number, ours in vgg_convolutions(depths):
            weights.conv(ours, f"{scope}/conv{stage}/conv{stage}_{number}", True)
        for place, theirs in zip((0, 3, 6), ("fc6", "fc7", "fc8"), strict=True):
            weights.linear(f"classifier.{place}", f"{scope}/{theirs}")
        return weights.state

    return Scheme(
        f"tf-slim {scope}",
        f"vgg{layers}",
        matches,
        state_dict,
        preset=_VGG_PRESET,
        head="classifier.6",
    )


def _resnet(layers: int) -> Scheme:
    scope, depths = f"resnet_v1_{layers}", RESNET[layers]

    def matches(archive: Archive) -> bool:
        return f"{scope}/block1/unit_1/bottleneck_v1/conv1/weights" in archive.tensors

    def state_dict(archive: Archive) -> State:
        weights = _Weights(archive)
        weights.conv("conv1", f"{scope}/conv1", False)
        weights.norm("bn1", f"{scope}/conv1")
        for stage, depth in enumerate(depths, 1):
            for unit in range(depth):
                ours = f"layer{stage}.{unit}"
                theirs = f"{scope}/block{stage}/unit_{unit + 1}/bottleneck_v1"
                for number in (1, 2, 3):
                    weights.conv(f"{ours}.conv{number}", f"{theirs}/conv{number}", False)
                    weights.norm(f"{ours}.bn{number}", f"{theirs}/conv{number}")
                if unit == 0:
                    weights.conv(f"{ours}.downsample.0", f"{theirs}/shortcut", False)
                    weights.norm(f"{ours}.downsample.1", f"{theirs}/shortcut")
        weights.linear("fc", f"{scope}/logits")
        return weights.state

    return Scheme(
        f"tf-slim {scope}",
        f"resnet{layers}",
        matches,
        state_dict,
        options={"variant": "caffe"},
        preset=_VGG_PRESET,
    )


def _inception_v1() -> Scheme:
    scope = "InceptionV1"

    def matches(archive: Archive) -> bool:
        return f"{scope}/Conv2d_1a_7x7/weights" in archive.tensors and (
            f"{scope}/Mixed_5c/Branch_0/Conv2d_0a_1x1/weights" in archive.tensors
        )

    def state_dict(archive: Archive) -> State:
        layers = {
            "conv1": "Conv2d_1a_7x7",
            "conv2": "Conv2d_2b_1x1",
            "conv3": "Conv2d_2c_3x3",
        }
        for ours, theirs in _INCEPTIONS.items():
            for branch, name in _BRANCHES.items():
                layers[f"{ours}.{branch}"] = f"{theirs}/{name}"
        # The one that TF-slim names differently.
        layers["inception5a.branch3.1"] = "Mixed_5b/Branch_2/Conv2d_0a_3x3"
        weights = _Weights(archive)
        for ours, theirs in layers.items():
            weights.conv(f"{ours}.conv", f"{scope}/{theirs}", False)
            weights.norm(f"{ours}.bn", f"{scope}/{theirs}")
        weights.linear("fc", f"{scope}/Logits/Conv2d_0c_1x1")
        return weights.state

    return Scheme(
        "tf-slim inception_v1",
        "googlenet",
        matches,
        state_dict,
        options={"variant": "slim"},
        preset=_INCEPTION_PRESET,
    )


SCHEMES: tuple[Scheme, ...] = (
    *(_vgg(layers) for layers in VGG),
    *(_resnet(layers) for layers in RESNET),
    _inception_v1(),
)
