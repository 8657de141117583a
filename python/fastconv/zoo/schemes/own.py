"""This library's networks under its own names, where the file does not say which network it is.

Of variants with the same names and shapes the default one is built, as `models.get` does.
"""

from __future__ import annotations

from ..archive import Archive
from .native import native

__all__ = ["SCHEMES"]

_RESNETS = {n: n + 2 if n < 50 else n + 3 for n in (18, 34, 50, 101, 152)}
_CIFAR = (20, 32, 44, 56, 110)
_FORMATS = ("npz", "fastconv", "pytorch", "safetensors")


def _accepts(archive: Archive) -> bool:
    # What `zoo.save` wrote without an architecture has none.
    return archive.format in _FORMATS and "fastconv.version" not in archive.metadata


SCHEMES = (
    native("fastconv", "lenet5", 3, _accepts, head="fc2"),
    native("fastconv", "alexnet", 5, _accepts, head="fc8"),
    native("fastconv", "alexnet", 5, _accepts, {"variant": "torchvision"}, head="classifier.6"),
    *(
        native("fastconv", f"vgg{n}{norm}", n - 3, _accepts, head="classifier.6")
        for n in (11, 13, 16, 19)
        for norm in ("", "_bn")
    ),
    native("fastconv", "googlenet", 57, _accepts),
    native("fastconv", "googlenet", 57, _accepts, {"variant": "torchvision"}),
    *(native("fastconv", f"resnet{n}", count, _accepts) for n, count in _RESNETS.items()),
    # Caffe's ResNet-50, whose first convolution has a bias.
    native("fastconv", "resnet50", 53, _accepts, {"variant": "caffe", "conv1_bias": True}),
    *(native("fastconv", f"resnet{n}", n - 1, _accepts) for n in _CIFAR),
)
