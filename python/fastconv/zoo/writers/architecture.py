"""What of `models` a network is, so that whoever reads a file can build it again."""

from __future__ import annotations

from typing import Any

from ... import models
from ...nn import Module, init
from ...nn.heads import heads

__all__ = ["architecture_of"]


def architecture_of(net: Module) -> tuple[str, dict[str, Any]] | None:
    """Return what `models.get` must be told to build a network again, (name, options).

    None for networks that `models` did not build, or that were changed since, but for their head.
    """
    if net.architecture is None:
        return None
    try:
        classes = {head.out_features for head in heads(net).values()}
    except ValueError:  # it has lost its head
        return None
    if len(classes) != 1:
        return None
    name, options = net.architecture
    options = {**options, "num_classes": classes.pop()}  # replace_head may have changed it
    with init.skip_init():
        twin = models.get(name, **options)
    return (name, options) if repr(twin) == repr(net) else None
