"""Heads: the linear layers whose outputs are a network's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._arguments import integer

if TYPE_CHECKING:
    from .linear import Linear
    from .module import Module

__all__ = ["heads", "replace_head"]


def heads(net: Module) -> dict[str, Linear]:
    """Return the classifiers of a network by dotted name: those in `head_names`, or else the
    last Linear in order of definition.

    Raises ValueError for a network without Linear layers.
    """
    from .linear import Linear

    linears = {name: layer for name, layer in net.named_modules() if isinstance(layer, Linear)}
    named = [name for name in net.head_names if name in linears]  # auxiliary ones may be absent
    names = named or list(linears)[-1:]
    if not names or names == [""]:
        raise ValueError(
            f"replace_head: the network must hold a Linear layer (net={type(net).__name__})"
        )
    return {name: linears[name] for name in names}


def replace_head(net: Module, num_classes: int) -> None:
    """See Module.replace_head."""
    from .linear import Linear

    classes = integer("replace_head", "num_classes", num_classes, 1)
    for name, old in heads(net).items():
        new = Linear(old.in_features, classes, bias=old.bias is not None)
        new.astype(old.weight.dtype)
        new.training = old.training
        *path, attribute = name.split(".")
        holder = net
        holder.frozen = False
        for step in path:
            holder = holder.__dict__[step]
            holder.frozen = False
        setattr(holder, attribute, new)
