"""Activations, and other functions of every element by itself."""

from __future__ import annotations

import numpy as np

from ....nn import Clip, LeakyReLU, LogSoftmax, Module, PReLU, ReLU, Sigmoid, Softmax, Tanh
from ..functions import elementwise
from ..layers import FlatLogSoftmax, FlatSoftmax, Operator
from ..model import is_plain, package
from ..node import Node
from ..registry import converts

_LAYERS: dict[str, type[Module]] = {"Relu": ReLU, "Sigmoid": Sigmoid, "Tanh": Tanh}
# Attributes and defaults.
_OPTIONS: dict[str, dict[str, float]] = {
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "Shrink": {"bias": 0.0, "lambd": 0.5},
    "Swish": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
}
_COMPARISONS = {
    "And": "logical_and",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Or": "logical_or",
    "Xor": "logical_xor",
}


@converts(*_LAYERS)
def layer(node: Node) -> Module:
    node.ignore("consumed_inputs")
    return _LAYERS[node.op]()


@converts(*elementwise.UNARY)
def unary(node: Node) -> Module:
    node.ignore("consumed_inputs")
    options = {
        name: node.number(name, default) for name, default in _OPTIONS.get(node.op, {}).items()
    }
    return Operator(elementwise.unary, name=node.op, **options)


@converts("LeakyRelu")
def leaky_relu(node: Node) -> Module:
    node.ignore("consumed_inputs")
    return LeakyReLU(node.number("alpha", 0.01))


@converts("PRelu")
def prelu(node: Node) -> Module:
    node.ignore("consumed_inputs")
    slope, shape = node.constant(1), node.info().shape
    node.names = {1: "weight"}
    if slope is None or shape is None or slope.dtype.kind != "f":
        return Operator(elementwise.prelu)
    channels = shape[1] if len(shape) > 1 else None
    # One slope, or one a channel: (C, 1, 1); before opset 7, (C,).
    per_channel = (channels, *(1,) * (len(shape) - 2))
    fits = slope.shape in (per_channel, (1, *per_channel)) or slope.size == 1
    if node.version < 7 and slope.shape == (channels,):
        fits = True
    if not fits or slope.ndim > len(shape):
        return Operator(elementwise.prelu)
    node.take(1)
    layer = PReLU(slope.size)
    layer.weight.data = np.array(slope, np.float32).reshape(-1)
    return layer


@converts("Clip")
def clip(node: Node) -> Module:
    node.ignore("consumed_inputs")
    if node.version < 11:
        # The defaults are the largest numbers there are: no limits.
        low, high = (node.number(name, sign * np.inf) for name, sign in (("min", -1), ("max", 1)))
        return Clip(*(None if abs(b) > 3.4e38 else b for b in (low, high)))
    if not node.known(1, 2) or not node.info().is_float:
        return Operator(elementwise.clip)
    bounds = [float(node.constant(i)) if node.given(i) else None for i in (1, 2)]  # type: ignore[arg-type]
    below, above = bounds
    finite = all(b is None or np.isfinite(b) for b in bounds)
    if not finite or (below is not None and above is not None and below > above):
        return Operator(elementwise.clip)
    for i in (1, 2):
        if node.given(i):
            node.take(i)
    return Clip(below, above)


@converts("Softmax", "LogSoftmax")
def softmax(node: Node) -> Module:
    logarithm = node.op == "LogSoftmax"
    rank = node.info().rank
    if node.version >= 13:
        axis = node.integer("axis", -1)
        return LogSoftmax(axis) if logarithm else Softmax(axis)
    axis = node.integer("axis", 1)
    if rank is not None and axis in (-1, rank - 1):
        return LogSoftmax(axis) if logarithm else Softmax(axis)
    return FlatLogSoftmax(axis) if logarithm else FlatSoftmax(axis)


@converts("Cast")
def cast(node: Node) -> Module:
    node.ignore("saturate", "round_mode")
    to = node.text("to") if node.version < 6 else node.integer("to")
    return Operator(elementwise.cast, dtype=_dtype(node, to))


@converts("CastLike")
def cast_like(node: Node) -> Module:
    node.ignore("saturate", "round_mode")
    return Operator(elementwise.cast_like)


def _dtype(node: Node, to: int | str) -> str:
    onnx = package()
    numbers = dict(onnx.TensorProto.DataType.items())
    number = numbers.get(to, 0) if isinstance(to, str) else to
    if not is_plain(number):
        raise node.error("the type must be a plain number's", to=to)
    return str(onnx.helper.tensor_dtype_to_np_dtype(number).name)


@converts(*_COMPARISONS)
def compare(node: Node) -> Module:
    return Operator(elementwise.compare, name=_COMPARISONS[node.op])


@converts("Where")
def where(node: Node) -> Module:
    return Operator(elementwise.where)
