"""The arrays that a layer works on, drawn alike in every process.

A batch is made of at most two different pictures, repeated: what a kernel computes for one
picture is then known for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layers import Conv, ConvGradient, Gemm, Layer, Linear

__all__ = ["DISTINCT", "Array", "layer_inputs"]

Array = NDArray[np.float32]

DISTINCT = 2


def layer_inputs(layer: Layer, batch: int, seed: int = 0) -> dict[str, Array]:
    """The arrays a layer works on, the same in every process: C-ordered, NCHW and OIHW."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        array = rng.standard_normal(shape, np.float32)
        array *= np.float32(scale)
        return array

    def pictures(shape: tuple[int, ...]) -> Array:
        return normal(min(batch, DISTINCT), *shape)[np.arange(batch) % DISTINCT]

    if isinstance(layer, Gemm):
        m, k, n = layer.rows, layer.inner, layer.columns
        return {
            "a": normal(*((k, m) if layer.trans_a else (m, k))),
            "b": normal(*((n, k) if layer.trans_b else (k, n)), scale=k**-0.5),
        }
    if isinstance(layer, Linear):
        arrays = {"x": normal(batch, layer.inputs)}
        arrays["weight"] = normal(layer.outputs, layer.inputs, scale=layer.inputs**-0.5)
        return arrays | ({"bias": normal(layer.outputs)} if layer.bias else {})
    if isinstance(layer, ConvGradient):
        conv = layer.conv
        arrays = {"grad": pictures(conv.out_shape)}
        if layer.wrt == "weight":
            return arrays | {"x": pictures((conv.channels, conv.height, conv.width))}
        return arrays | {"weight": normal(*conv.weight_shape, scale=conv.length**-0.5)}
    arrays = {"x": pictures((layer.channels, layer.height, layer.width))}
    if isinstance(layer, Conv):
        arrays["weight"] = normal(*layer.weight_shape, scale=layer.length**-0.5)
        if layer.bias:
            arrays["bias"] = normal(layer.filters)
    return arrays
