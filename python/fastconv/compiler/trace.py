"""Tracing: a network is run once on arrays without values, and every kernel call is a node."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import CodeType, TracebackType
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad, use_backend
from ..nn import Module
from .graph import Graph, Node, Value
from .recorder import Recorder
from .traced import Traced, Untraceable

__all__ = ["layer_of", "trace"]

_CALL: CodeType = Module.__call__.__code__


def trace(net: Module, shape: tuple[int, ...], op: str = "compile") -> Graph:
    """Return the graph of a network in inference mode, for an input of a shape.

    The network is left as it was. It runs twice, on different numbers: where that makes a
    difference, a layer computes with values, which no graph can say. The second run has one picture
    more; where only that makes a difference, the graph is for its own batch alone. Raises, in the
    name of `op`, ValueError or TypeError that names the layer where one does not fit its input or
    cannot be traced.
    """
    paths = {module: path for path, module in net.named_modules()}
    with _inference(net):
        graph = _run(op, net, shape, paths, 0.0)
        try:
            other = _run(op, net, (shape[0] + 1, *shape[1:]), paths, 1.0)
            if _difference(graph, other) is None:
                return graph
        except Exception:  # whatever a layer raises when another batch comes
            pass
        difference = _difference(graph, _run(op, net, shape, paths, 1.0))
    if difference is not None:
        layer = next((m for m, path in paths.items() if path == difference), net)
        raise ValueError(
            f"{op}: {_describe(layer, paths)} computes with values outside fastconv's "
            f"operations, so it cannot be traced"
        )
    return replace(graph, any_batch=False)


def _run(
    op: str, net: Module, shape: tuple[int, ...], paths: dict[Module, str], number: float
) -> Graph:
    x = Value(shape)
    recorder = Recorder(number, lambda: paths.get(_running(), "") or type(net).__name__)
    try:
        with no_grad(), use_backend(recorder):
            out = net(Traced.make(recorder, x, number))
    except Untraceable as error:
        raise ValueError(f"{op}: {_failed(error.__traceback__, paths)} {error}") from None
    except (TypeError, ValueError) as error:
        layer = _failed(error.__traceback__, paths)
        if isinstance(error, TypeError):
            raise TypeError(f"{op}: {layer} cannot be traced: {error}") from error
        raise ValueError(f"{op}: {layer} does not fit its input: {error}") from error
    name = type(net).__name__
    if not isinstance(out, Tensor):
        raise TypeError(f"{op}: {name} must return one tensor (type={type(out).__name__})")
    if not isinstance(out.data, Traced):
        raise ValueError(f"{op}: the output of {name} does not depend on its input")
    return Graph(x, out.data.value, tuple(recorder.nodes))


@contextmanager
def _inference(net: Module) -> Iterator[None]:
    """Set a network to inference, and every module back to its own mode."""
    modes = [(module, module.__dict__.get("training")) for module in net.modules()]
    try:
        net.eval()
        yield
    finally:
        for module, training in modes:
            if training is None:
                del module.training
            else:
                module.training = training


def _running() -> Any:
    """Return the module that is being called now, the innermost one."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _CALL:
            return frame.f_locals["self"]
        frame = frame.f_back
    return None


def _failed(trace: TracebackType | None, paths: dict[Module, str]) -> str:
    """Return the name of the innermost module that an exception came through."""
    module = None
    while trace is not None:
        if trace.tb_frame.f_code is _CALL:
            module = trace.tb_frame.f_locals["self"]
        trace = trace.tb_next
    return _describe(module, paths)


def _describe(module: Module | None, paths: dict[Module, str]) -> str:
    if module is None:
        return "the network"
    path = paths.get(module, "")
    kind = type(module).__name__
    return f"{path} ({kind})" if path else kind


def layer_of(net: Module, node: Node) -> str:
    """Return the layer that a node came from, as messages name it."""
    module = dict(net.named_modules()).get(node.layer)
    return f"{node.layer} ({type(module).__name__})" if node.layer and module else node.layer


def _difference(one: Graph, other: Graph) -> str | None:
    """Return the layer of the first node that differs, but for the batch, or None."""
    numbers = [{value: i for i, value in enumerate(graph.values())} for graph in (one, other)]

    def described(graph: int, node: Node) -> Any:
        return node.op, [numbers[graph][x] for x in node.inputs], node.output.shape[1:]

    for a, b in zip(one.nodes, other.nodes, strict=False):
        if described(0, a) != described(1, b) or not _same(a.attributes, b.attributes):
            return a.layer
    if len(one.nodes) != len(other.nodes):
        return ""
    return None if numbers[0][one.output] == numbers[1][other.output] else ""


def _same(a: Any, b: Any) -> bool:
    from .weight import Weight

    if isinstance(a, Weight):
        return isinstance(b, Weight) and _same(a.parts, b.parts)
    if isinstance(a, np.ndarray):
        return a is b or (isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=True))
    if isinstance(a, dict):
        return isinstance(b, dict) and _same(tuple(a.values()), tuple(b.values()))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)
