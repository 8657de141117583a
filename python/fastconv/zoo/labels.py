"""The names of ImageNet's classes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..nn import Module

__all__ = ["imagenet_classes", "labels"]

_FILE = Path(__file__).with_name("imagenet_classes.tsv")


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ILSVRC 2012, in the order of their WordNet ids."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[1].replace("_", " ") for line in lines)


def labels(net: Module) -> tuple[str, ...] | None:
    """Return ImageNet's names if the last layer with weights has 1,000 outputs; or 1,001, of which
    TensorFlow's networks have the first for the background."""
    outputs = [p.shape[0] for name, p in net.named_parameters() if p.ndim >= 2]
    names = imagenet_classes()
    known = {len(names): names, len(names) + 1: ("background", *names)}
    return known.get(outputs[-1]) if outputs else None
