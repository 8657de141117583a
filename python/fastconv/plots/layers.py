"""Finding the layer that a picture is asked of."""

from __future__ import annotations

from ..nn import Module

__all__ = ["find_layer"]


def find_layer(op: str, net: Module, layer: str | Module) -> tuple[str, Module]:
    """Return name and module of a layer of `net` given by either; ValueError lists the names."""
    for name, module in net.named_modules():
        if layer is module or (isinstance(layer, str) and name == layer):
            return name or type(module).__name__, module
    names = ", ".join(name for name, _ in net.named_modules() if name)
    shown = repr(layer) if isinstance(layer, str) else type(layer).__name__
    raise ValueError(f"{op}: layer must be one of {names} (layer={shown})")
