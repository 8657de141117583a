"""torchvision's networks: https://github.com/pytorch/vision/tree/main/torchvision/models."""

from __future__ import annotations

from typing import Any

from ...data import Preset
from ..archive import Archive
from .native import native

__all__ = ["SCHEMES"]

# The name of the classifier by network.
_HEADS = {
    "alexnet": "classifier.6",
    **{f"vgg{n}{norm}": "classifier.6" for n in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet": "fc",
    **{f"resnet{n}": "fc" for n in (18, 34, 50, 101, 152)},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "alexnet": {"variant": "torchvision"},
    # The published weights come from TensorFlow, whose pictures are from -1 to 1.
    "googlenet": {"variant": "torchvision", "transform_input": True},
}


def _accepts(archive: Archive) -> bool:
    """Whether PyTorch may have written the file; safetensors need not say who did."""
    framework = archive.metadata.get("framework", "pytorch")
    return archive.format in ("pytorch", "safetensors") and framework == "pytorch"


SCHEMES = tuple(
    native("torchvision", name, _accepts, _OPTIONS.get(name), Preset.imagenet(), head)
    for name, head in _HEADS.items()
)
