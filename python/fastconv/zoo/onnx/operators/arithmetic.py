"""Sums, products, and reductions."""

from __future__ import annotations

from ....nn import AdaptiveAvgPool2d, Add, Div, Module, Mul, Sub
from ..functions import arithmetic
from ..layers import Operator
from ..node import Node
from ..registry import converts

_LAYERS: dict[str, type[Module]] = {"Add": Add, "Div": Div, "Mul": Mul, "Sub": Sub}
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")
# From this opset on, the axes are an input.
_AXES_ARE_INPUT = {"ReduceSum": 13}


@converts(*_LAYERS)
def binary(node: Node) -> Module:
    node.ignore("consumed_inputs")
    if node.version < 7:
        broadcast = node.flag("broadcast")
        axis = node.integer("axis") if node.has("axis") else None
        if broadcast and axis is not None:
            return Operator(arithmetic.aligned, name=node.op, axis=axis)
    if node.info(0).is_float and node.info(1).is_float:
        return _LAYERS[node.op]()
    return Operator(arithmetic.arithmetic, name=node.op)


@converts("Sum")
def sum_(node: Node) -> Module:
    node.ignore("consumed_inputs")
    return Add()


@converts("Mean")
def mean(node: Node) -> Module:
    node.ignore("consumed_inputs")
    return Operator(arithmetic.mean)


@converts("Max", "Min")
def extremes(node: Node) -> Module:
    node.ignore("consumed_inputs")
    return Operator(arithmetic.extremes, largest=node.op == "Max")


@converts("Pow")
def power(node: Node) -> Module:
    if node.version < 7 and node.flag("broadcast") and node.has("axis"):
        raise node.error("an exponent along an axis is not supported", axis=node.integer("axis"))
    return Operator(arithmetic.power)


@converts(*_REDUCTIONS)
def reduce(node: Node) -> Module:
    keepdims = node.flag("keepdims", True)
    empty_is_all = not node.flag("noop_with_empty_axes")
    axes: tuple[int, ...] | None = None
    if node.version < _AXES_ARE_INPUT.get(node.op, 18):
        axes = node.integers("axes", ()) or None
    elif node.given(1) and node.constant(1) is not None:
        axes = tuple(int(axis) for axis in node.take(1).reshape(-1))
    planes = axes is not None and sorted(axis % 4 for axis in axes) == [2, 3]
    if node.op == "ReduceMean" and planes and keepdims and node.info().rank == 4:
        return AdaptiveAvgPool2d(1)
    options = {"name": node.op, "keepdims": keepdims, "empty_is_all": empty_is_all}
    return Operator(arithmetic.reduce, **options, **({} if axes is None else {"axes": axes}))
