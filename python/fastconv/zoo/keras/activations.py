"""Keras's activations, which are layers of their own or a setting of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from .build import Builder, set_weights
from .config import Layer, refuse
from .values import Value, features

__all__ = ["activated", "activation", "leaky_relu", "prelu", "relu", "softmax"]

_MODULES = {
    "log_softmax": nn.LogSoftmax,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "softmax": nn.Softmax,
    "tanh": nn.Tanh,
}
# What activations given by name have for settings, and layers by default.
_LEAKY = 0.2
_LEAKY_LAYER = 0.3


def activated(builder: Builder, layer: Layer, x: Value) -> Value:
    """Return a value after what a layer's setting "activation" does to it."""
    chosen = layer.get("activation", default="linear")
    if isinstance(chosen, dict):
        chosen = _by_description(layer, chosen)
    if isinstance(chosen, Layer):
        # An activation that is a layer, as a setting: its own name adds nothing.
        chosen.name = layer.name
        return _LAYERS[chosen.kind](builder, chosen, [x])
    part = "" if layer.kind == "Activation" else "activation"
    if chosen == "linear":
        return x
    if chosen == "leaky_relu":
        return builder.add(layer, nn.LeakyReLU(_LEAKY), x, x.shape, x.order, part)
    if chosen in ("swish", "silu"):
        gate = builder.add(layer, nn.Sigmoid(), x, x.shape, x.order, f"{part}gate")
        return builder.add(layer, nn.Mul(), [x, gate], x.shape, x.order, part)
    if not isinstance(chosen, str) or chosen not in _MODULES:
        raise layer.refused(
            "the activation must be one that this library has",
            activation=chosen,
            known=[*_MODULES, "leaky_relu", "linear", "silu"],
        )
    module = _MODULES[chosen]
    if module in (nn.Softmax, nn.LogSoftmax):
        dim = builder.axis(layer, x, -1)
        return builder.add(layer, module(dim), x, x.shape, x.order, part)
    return builder.add(layer, module(), x, x.shape, x.order, part)


def activation(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Activation."""
    (x,) = reads
    return activated(builder, layer, x)


def softmax(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Softmax."""
    (x,) = reads
    dim = builder.axis(layer, x, layer.get("axis", default=-1))
    return builder.add(layer, nn.Softmax(dim), x, x.shape, x.order)


def leaky_relu(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """LeakyReLU."""
    (x,) = reads
    slope = layer.number("negative_slope", "alpha", default=_LEAKY_LAYER)
    return builder.add(layer, nn.LeakyReLU(slope), x, x.shape, x.order)


def relu(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """ReLU, with a slope or a limit."""
    (x,) = reads
    slope = layer.number("negative_slope", "alpha", default=0.0)
    limit = None if layer.get("max_value") is None else layer.number("max_value", default=0.0)
    if layer.number("threshold", default=0.0) != 0 or (slope != 0 and limit is not None):
        raise layer.refused(
            "the layer must have no threshold, and not both a slope and a limit",
            threshold=layer.get("threshold"),
            negative_slope=slope,
            max_value=limit,
        )
    module: nn.Module = nn.ReLU()
    if limit is not None:
        module = nn.ReLU6() if limit == 6 else nn.Clip(0.0, limit)
    elif slope != 0:
        module = nn.LeakyReLU(slope)
    return builder.add(layer, module, x, x.shape, x.order)


def prelu(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """PReLU with one slope, or one a channel."""
    (x,) = reads
    (alpha,) = builder.weights(layer, 1)
    if alpha.ndim != len(x.shape):
        raise layer.refused("the weights must fit the input", alpha=alpha.shape, input=x.shape)
    if x.is_maps:
        slopes = alpha.transpose(2, 0, 1) if builder.channels_last else alpha
        if (slopes != slopes[:, :1, :1]).any():
            raise layer.refused("slopes must be the same all over a channel", alpha=alpha.shape)
        slopes = slopes[:, 0, 0]
    else:
        slopes = alpha.ravel()
    if len(slopes) not in (1, builder.channels(layer, x)):
        raise layer.refused("the weights must fit the input", alpha=alpha.shape, input=x.shape)
    if x.order is not None and len(slopes) > 1:
        slopes = slopes[features(x.order)]
    module = nn.PReLU(len(slopes))
    set_weights(layer, module, np.ascontiguousarray(slopes))
    return builder.add(layer, module, x, x.shape, x.order)


_LAYERS = {"LeakyReLU": leaky_relu, "ReLU": relu, "Softmax": softmax}


def _by_description(layer: Layer, chosen: dict[str, Any]) -> Any:
    """Return the name of an activation that Keras 3 describes, or the layer that one is."""
    kind, config = chosen.get("class_name"), chosen.get("config")
    builtin = chosen.get("module") in (None, "builtins", "keras.activations", "keras.layers")
    if kind == "function" and builtin and isinstance(config, str):
        name = chosen.get("registered_name")
        if name in (None, "function", config):
            return config
    elif kind in _LAYERS and builtin and isinstance(config, dict):
        return Layer(layer.name, str(kind), config)
    raise refuse(
        f"layer {layer.name!r} ({layer.kind}): the activation must be Keras's own",
        activation=kind,
        module=chosen.get("module"),
        registered_name=chosen.get("registered_name"),
    )
