"""Keras's layers with weights but without windows, and constant scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from .activations import activated
from .build import Builder, set_weights
from .config import Layer
from .values import Value, features

__all__ = ["affine", "batch_normalization", "dense", "normalization", "rescaling"]

Floats = NDArray[np.float64]


def dense(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Dense, which on feature maps is a 1x1 convolution."""
    (x,) = reads
    has_bias = layer.flag("use_bias", "bias", default=True)
    kernel, *rest = builder.weights(layer, 1 + has_bias)
    bias = rest[0] if rest else None
    size = x.shape[-1]
    if size is None or kernel.ndim != 2 or kernel.shape[0] != size:
        raise layer.refused("the weights must fit the input", kernel=kernel.shape, input=x.shape)
    outputs = kernel.shape[1]
    if layer.get("units", "output_dim", default=outputs) != outputs:
        raise layer.refused(
            "the weights must have the declared size",
            units=layer.get("units", "output_dim"),
            kernel=kernel.shape,
        )
    weight = kernel.T if x.order is None else kernel[features(x.order)].T
    shape = (*x.shape[:-1], outputs)
    module: nn.Module
    if x.is_maps:
        if not builder.channels_last:
            raise layer.refused("the input must not be channels-first maps", input=x.shape)
        module = nn.Conv2d(size, outputs, 1, bias=has_bias)
        weight = weight[:, :, None, None]
    else:
        module = nn.Linear(size, outputs, bias=has_bias)
    set_weights(layer, module, weight, bias)
    return activated(builder, layer, builder.add(layer, module, x, shape))


def batch_normalization(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """BatchNormalization; over rows, it becomes the factors and summands it amounts to."""
    (x,) = reads
    if layer.get("mode", default=0) != 0:
        raise layer.refused("mode must be 0 (by feature)", mode=layer.get("mode"))
    dim = builder.axis(layer, x, layer.get("axis", default=-1))
    if dim != 1:
        raise layer.refused(
            "axis must be that of the channels", axis=layer.get("axis"), input=x.shape
        )
    channels = builder.channels(layer, x)
    eps = layer.number("epsilon", default=1e-3)
    scales = layer.flag("scale", default=True)
    centres = layer.flag("center", default=True)
    arrays = list(builder.weights(layer, 2 + scales + centres))
    if any(array.shape != (channels,) for array in arrays):
        raise layer.refused(
            "the weights must fit the input",
            weights=[array.shape for array in arrays],
            channels=channels,
        )
    gamma = arrays.pop(0) if scales else np.ones(channels)
    beta = arrays.pop(0) if centres else np.zeros(channels)
    mean, variance = arrays
    if not x.is_maps:
        factor = gamma / np.sqrt(np.asarray(variance, np.float64) + eps)
        return affine(builder, layer, x, factor, beta - mean * factor, learns=True)
    # Keras's momentum is the share that is kept.
    momentum = 1 - layer.number("momentum", default=0.99)
    module = nn.BatchNorm2d(channels, eps, momentum)
    set_weights(layer, module, gamma, beta)
    assert module.running_mean is not None and module.running_var is not None
    module.running_mean[...] = mean
    module.running_var[...] = variance
    return builder.add(layer, module, x, x.shape)


def rescaling(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Rescaling."""
    (x,) = reads
    scale = _constant(layer, "scale", None)
    offset = _constant(layer, "offset", 0.0)
    return affine(builder, layer, x, scale, offset)


def normalization(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Normalization by a mean and a variance that the layer has seen or was told."""
    (x,) = reads
    axis = layer.config.get("axis", -1)
    if axis not in (None, []) and builder.axis(layer, x, axis) != 1:
        raise layer.refused("axis must be that of the channels", axis=axis, input=x.shape)
    if layer.get("mean") is not None:
        mean, variance = (_constant(layer, key, None) for key in ("mean", "variance"))
    else:
        mean, variance = (
            np.asarray(array, np.float64) for array in builder.weights(layer, 2, 3)[:2]
        )
    # Keras's least deviation, 1e-7.
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if layer.flag("invert", default=False):
        return affine(builder, layer, x, deviation, mean)
    return affine(builder, layer, x, 1 / deviation, -mean / deviation)


def affine(
    builder: Builder,
    layer: Layer,
    x: Value,
    scale: Any,
    offset: Any,
    *,
    learns: bool = False,
    part: str = "",
) -> Value:
    """Return x * scale + offset: numbers, or one a channel."""
    scale, offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
    channels = builder.channels(layer, x)
    if any(v.size not in (1, channels) for v in (scale, offset)):
        raise layer.refused(
            "there must be one value, or one a channel",
            sizes=(scale.size, offset.size),
            input=x.shape,
        )
    scale, offset = (np.broadcast_to(v.ravel(), channels) for v in (scale, offset))
    if x.order is not None:
        order = features(x.order)
        scale, offset = scale[order], offset[order]
    module = nn.Affine(channels)
    set_weights(layer, module, scale, offset)
    if not learns:
        module.freeze()
    return builder.add(layer, module, x, x.shape, x.order, part)


def _constant(layer: Layer, name: str, default: float | None) -> Floats:
    """Return a setting that is a number or nested lists of them."""
    value = layer.get(name, default=default)
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("value")  # Keras 3 wraps arrays
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if not np.isfinite(array).all():
        raise layer.refused("a setting must be numbers", **{name: value})
    return array
