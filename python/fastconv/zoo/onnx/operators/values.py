"""Constants, and sizes as values."""

from __future__ import annotations

import numpy as np

from ....nn import Module
from ..functions import values
from ..layers import Operator
from ..node import Node
from ..registry import converts


@converts("Constant")
def constant(node: Node) -> Module:
    if node.has("value_float"):
        value = np.array(node.number("value_float"), np.float32)
    elif node.has("value_floats"):
        value = np.array(node.numbers("value_floats"), np.float32)
    elif node.has("value_int"):
        value = np.array(node.integer("value_int"), np.int64)
    elif node.has("value_ints"):
        value = np.array(node.integers("value_ints"), np.int64)
    else:
        value = node.tensor("value")
    return Operator(values.constant, value=value)


@converts("ConstantOfShape")
def constant_of_shape(node: Node) -> Module:
    value = node.tensor("value") if node.has("value") else np.zeros(1, np.float32)
    if value.size != 1:
        raise node.error("value must have one element", elements=value.size)
    return Operator(values.filled, value=value.reshape(-1)[0])


@converts("Range")
def range_(node: Node) -> Module:
    return Operator(values.range_)


@converts("Shape")
def shape(node: Node) -> Module:
    end = node.integer("end") if node.has("end") else None
    return Operator(values.shape, start=node.integer("start", 0), end=end)


@converts("Size")
def size(node: Node) -> Module:
    return Operator(values.size)
