"""Matrix products."""

from __future__ import annotations

import numpy as np

from ....nn import Linear, Module, Parameter
from ..functions import arithmetic
from ..layers import Operator
from ..node import Node
from ..registry import converts


@converts("Gemm")
def gemm(node: Node) -> Module:
    node.ignore("broadcast")
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    trans_a, trans_b = node.flag("transA"), node.flag("transB")
    node.names = {1: "weight", 2: "bias"}
    weight, bias = node.constant(1), node.constant(2)
    rows = weight is not None and weight.ndim == 2 and not trans_a
    outputs = (weight.shape[0 if trans_b else 1] if rows else 0) if weight is not None else 0
    fits = bias is None or bias.size == 1 or bias.shape in ((outputs,), (1, outputs))
    if weight is None or not rows or not fits or not node.known(1, 2):
        return Operator(arithmetic.gemm, alpha=alpha, beta=beta, trans_a=trans_a, trans_b=trans_b)
    inputs = weight.shape[1 if trans_b else 0]
    layer = Linear(inputs, outputs, bias=bias is not None)
    if trans_b and alpha == 1:
        layer.weight = node.parameter(1)
    else:
        node.take(1)
        layer.weight = _weight(weight if trans_b else weight.T, alpha)
    if bias is not None:
        if bias.shape == (outputs,) and beta == 1:
            layer.bias = node.parameter(2)
        else:
            node.take(2)
            layer.bias = _weight(np.broadcast_to(bias.reshape(-1), (outputs,)), beta)
    return layer


@converts("MatMul")
def matmul(node: Node) -> Module:
    weight = node.constant(1)
    if weight is None or weight.ndim != 2 or weight.dtype.kind != "f" or node.known(0):
        return Operator(arithmetic.matmul)
    node.take(1)
    layer = Linear(len(weight), weight.shape[1], bias=False)
    layer.weight = _weight(weight.T, 1.0)
    return layer


def _weight(array: np.ndarray, factor: float) -> Parameter:
    # Parameters are in C order; ones that come transposed are copied into it here.
    return Parameter(np.array(array * np.float32(factor) if factor != 1 else array, np.float32))
