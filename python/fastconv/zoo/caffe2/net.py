"""Caffe2's networks: which of their operators are weights, what enters and what leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...nn import GraphModule, Parameter, init
from ..archive import FormatError
from ..wiring import Value, Wiring
from .operator import Array, Operator
from .operators import BUILDERS

__all__ = ["build", "inputs_of"]

Shape = tuple[int, ...]


def inputs_of(
    operators: Sequence[Any], constants: Mapping[str, Array], dummies: Collection[str]
) -> list[str]:
    """Return what an operator reads first and neither operators before it nor the files give.

    Files give pictures, too, to be overwritten: as one number, or as one of `dummies`, constants
    that repeat a number.
    """
    found: dict[str, None] = {}
    written: set[str] = set()
    for op in operators:
        for name in op.input[:1]:
            given = name in constants and name not in dummies and constants[name].size > 1
            if name not in written and not given:
                found[name] = None
        written.update(op.output)
    return list(found)


def build(
    net: Any,
    operators: Sequence[Any],
    constants: Mapping[str, Array],
    inputs: Mapping[str, Shape | None],
) -> GraphModule:
    """Return the network of a NetDef: `operators` are those that are not constants.

    inputs: their shapes without the batch, as far as they are known.
    """
    wiring = Wiring("caffe2")
    shared: dict[tuple[str, tuple[int, ...]], Parameter] = {}
    for name, shape in inputs.items():
        wiring.input(name, shape)
    weights = {name: array for name, array in constants.items() if name not in inputs}
    with init.skip_init():
        for op in operators:
            at = Operator(op, weights, wiring, shared)
            if op.type not in BUILDERS:
                raise at.error("an operator must be of a type that this library has")
            BUILDERS[op.type](at)
    return wiring.network(_outputs(net, operators, wiring))


def _outputs(net: Any, operators: Sequence[Any], wiring: Wiring) -> list[Value]:
    names = list(net.external_output) or [name for op in operators[-1:] for name in op.output[:1]]
    values = dict.fromkeys(wiring.value("external_output", name) for name in names)
    if not values:
        raise FormatError("caffe2: a network must have an output (operators=0)")
    return list(values)
