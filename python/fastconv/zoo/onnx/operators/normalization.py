"""BatchNormalization, LRN, Dropout."""

from __future__ import annotations

import numpy as np

from ....nn import BatchNorm2d, Dropout, LocalResponseNorm, Module
from ..functions import elementwise, normalization
from ..layers import Operator
from ..node import Node
from ..registry import converts


@converts("BatchNormalization")
def batch_normalization(node: Node) -> Module:
    node.ignore("consumed_inputs")
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    if node.integer("spatial", 1) != 1:
        raise node.error("statistics must be a channel's", spatial=0)
    inference = node.flag("is_test")
    training = node.flag("training_mode")
    if node.version < 14:
        training = not inference and len(node.outputs) > 1
    if training:
        if node.version < 14:
            raise node.error("outputs for training are known from opset 14", version=node.version)
        node.results = len(node.outputs)
        if node.results != 3:
            raise node.error("training has three outputs", outputs=node.outputs)
        return Operator(normalization.batch_norm_training, epsilon=epsilon, momentum=momentum)
    node.names = {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"}
    if node.info().rank != 4 or not node.known(1, 2, 3, 4):
        return Operator(normalization.batch_norm, epsilon=epsilon)
    shapes = [node.info(i).shape for i in (1, 2, 3, 4)]
    if len(set(shapes)) != 1 or len(shapes[0] or ()) != 1:
        raise node.error("scale, B, mean and var must be (C,)", shapes=shapes)
    layer = BatchNorm2d(len(node.take(3)), epsilon, 1 - momentum)
    layer.weight, layer.bias = node.parameter(1), node.parameter(2)
    layer.running_mean = np.array(node.take(3), np.float32)
    layer.running_var = np.array(node.take(4), np.float32)
    return layer


@converts("LRN")
def lrn(node: Node) -> Module:
    size = node.integer("size")
    if size < 1 or size % 2 == 0:
        # Even windows lie to one side here, and to the other there.
        raise node.error("size must be odd", size=size)
    return LocalResponseNorm(
        size, node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    )


@converts("Dropout")
def dropout(node: Node) -> Module:
    node.ignore("consumed_inputs", "seed")
    rate = node.number("ratio", 0.5)
    node.flag("is_test")
    if node.given(1):
        rate = float(node.take(1)) if node.constant(1) is not None else _ignored(node, 1)
    if node.given(2) and bool(node.take(2)) and rate != 0:
        raise node.error("dropout must be in inference mode", training_mode=True)
    if node.wanted(1):
        node.results = 2
        return Operator(elementwise.mask)
    return Dropout(rate)


def _ignored(node: Node, i: int) -> float:
    """Leave out an input that only training needs."""
    node.taken.add(i)
    return 0.5
