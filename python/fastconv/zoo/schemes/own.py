"""This library's networks under its own names, where the file does not say which network it is.

Of variants with the same names and shapes the default one is built, as `models.get` does.
"""

from __future__ import annotations

from ..archive import Archive
from .native import native

__all__ = ["SCHEMES"]

_RESNETS = (18, 34, 50, 101, 152)
_CIFAR = (20, 32, 44, 56, 110)
_FORMATS = ("npz", "fastconv", "pytorch", "safetensors")


def _accepts(archive: Archive) -> bool:
    # What `zoo.save` wrote without an architecture has none.
    return archive.format in _FORMATS and "fastconv.version" not in archive.metadata


SCHEMES = (
    native("fastconv", "lenet5", _accepts, head="fc2"),
    native("fastconv", "alexnet", _accepts, head="fc8"),
    native("fastconv", "alexnet", _accepts, {"variant": "torchvision"}, head="classifier.6"),
    *(
        native("fastconv", f"vgg{n}{norm}", _accepts, head="classifier.6")
        for n in (11, 13, 16, 19)
        for norm in ("", "_bn")
    ),
    native("fastconv", "googlenet", _accepts),
    native("fastconv", "googlenet", _accepts, {"variant": "torchvision"}),
    *(native("fastconv", f"resnet{n}", _accepts) for n in _RESNETS),
    # Caffe's ResNet-50, whose first convolution has a bias.
    native("fastconv", "resnet50", _accepts, {"variant": "caffe", "conv1_bias": True}),
    *(native("fastconv", f"resnet{n}", _accepts) for n in _CIFAR),
)
