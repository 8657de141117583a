"""Hand-over to the C++ core: every node becomes a step of a `_core.Network`."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .graph import Graph, Node, Value, is_step
from .groups import schedule
from .packing import Packer
from .plan import Plan

__all__ = ["build", "by_node"]

_ROUNDING: Final = {False: "down", True: "up", "caffe": "caffe"}


def build(graph: Graph, plan: Plan, packer: Packer, threads: int) -> _core.Network:
    """Return the network that runs an optimised graph; `threads` 0 follows the global count."""
    size = _size(graph.input)
    network = _core.Network(
        _core.View("arena", plan.input_offset, size[3], size),
        graph.input.shape,
        graph.output.shape,
        plan.arena_floats,
        threads,
        plan.turn_floats,
    )
    builder = _Builder(network, plan, packer)
    turns = [group for group in plan.groups if group.side_by_side]
    first = {graph.nodes[group.first] for group in turns}
    after = {graph.nodes[group.end] for group in turns if group.end < len(graph.nodes)}
    for node, start, count in schedule(graph, plan.groups):
        if node in first:
            network.begin_turn()
        elif node in after:
            network.end_turns()
        if is_step(node):
            views = (builder.view(value, start, count) for value in (*node.inputs, node.output))
            try:
                getattr(builder, node.op)(node, *views)
            except MemoryError as error:
                raise MemoryError(
                    f"compile: there must be memory for a layer's packed weights "
                    f"(layer={node.layer}, step={node.op})"
                ) from error
    return network


def by_node(graph: Graph, plan: Plan, steps: NDArray[Any]) -> dict[Node, float]:
    """Add up what was measured at each step of a network (..., steps), node by node.

    A node takes a step for each group of pictures, and one for each input that it copies.
    """
    sums: dict[Node, float] = {}
    at = 0
    for node, _, _ in schedule(graph, plan.groups):
        count = len(node.inputs) if node.op == "concat" else int(is_step(node))
        if count:
            sums[node] = sums.get(node, 0.0) + float(steps[at : at + count].sum())
            at += count
    return sums


class _Builder:
    """One method for each kind of step, named like it."""

    def __init__(self, network: _core.Network, plan: Plan, packer: Packer) -> None:
        self._network = network
        self._places = plan.places
        self._inner = plan.inner
        self._packer = packer

    def view(self, value: Value, start: int, count: int) -> _core.View:
        """Return `count` pictures of a value, from `start` on."""
        place = self._places[value]
        n, h, w, c = _size(value)
        first = 0 if value in self._inner else start * h * w * place.pixel
        size = n if n != value.shape[0] else count
        return _core.View(place.memory, place.offset + first, place.pixel, (size, h, w, c))

    def conv2d(self, node: Node, x: _core.View, *rest: _core.View) -> None:
        residual = rest[0] if len(rest) > 1 else None
        pools = bool(node.get("pools"))
        self._network.add_conv2d(self._packer.conv2d(node), x, residual, rest[-1], pools)

    def conv2d_max_pool2d(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_conv2d_max_pool2d(self._packer.pooled_conv2d(node), x, y)

    def linear(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_linear(self._packer.linear(node), x, y)

    def max_pool2d(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_max_pool2d(_window(node), x, y)

    def avg_pool2d(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_avg_pool2d(_window(node), x, y)

    def adaptive_avg_pool2d(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_adaptive_avg_pool2d(x, y)

    def local_response_norm(self, node: Node, x: _core.View, y: _core.View) -> None:
        constants = (node["size"], node["alpha"], node["beta"], node["k"])
        self._network.add_local_response_norm(*constants, x, y)

    def affine(self, node: Node, x: _core.View, y: _core.View) -> None:
        scale, shift = (node[name].astype(np.float32) for name in ("scale", "shift"))
        self._network.add_affine(scale, shift, node["activation"], x, y)

    def activation(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_activation(node["activation"], x, y)

    def sigmoid(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_sigmoid(x, y)

    def tanh(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_tanh(x, y)

    def prelu(self, node: Node, x: _core.View, y: _core.View) -> None:
        slopes = node["weight"].astype(np.float32)
        shape = node.output.shape
        around = _around(shape, 1) if len(slopes) > 1 else (1, 1, prod(shape))
        self._network.add_prelu(around, slopes, x, y)

    def add(self, node: Node, a: _core.View, b: _core.View, y: _core.View) -> None:
        self._network.add_addition(node["activation"], a, b, y)

    def arithmetic(self, node: Node, *views: _core.View) -> None:
        *operands, y = views
        shape, constant = node.output.shape, node["constant"]
        views_of: list[_core.View | None] = [*operands]
        steps = [_broadcast(value.shape, _steps(value.shape)) for value in node.inputs]
        if constant is not None:
            padded = (1,) * (len(shape) - constant.ndim) + constant.shape
            views_of.append(None)
            steps.append(_broadcast(padded, _c_steps(padded)))
        if node["reverse"]:
            views_of, steps = views_of[::-1], steps[::-1]
        (a, b), (step_a, step_b) = views_of, steps
        axes = [(n, step_a[i], step_b[i]) for i, n in _in_memory(shape)]
        self._network.add_arithmetic(node["function"], axes, a, b, constant, y)

    def permute(self, node: Node, x: _core.View, y: _core.View) -> None:
        steps = _steps(node.inputs[0].shape)
        axes = [(n, steps[node["dims"][i]], 0) for i, n in _in_memory(node.output.shape)]
        self._network.add_gather(axes, 0, x, y)

    def index(self, node: Node, x: _core.View, y: _core.View) -> None:
        steps = _steps(node.inputs[0].shape)
        ranges = [(0, 0, 1), *node["ranges"]]
        first = sum(start * step for (start, _, _), step in zip(ranges, steps, strict=True))
        axes = [(n, ranges[i][2] * steps[i], 0) for i, n in _in_memory(node.output.shape)]
        self._network.add_gather(axes, first, x, y)

    def take(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_take(node["channels"].tolist(), x, y)

    def softmax(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_softmax(_around(node.output.shape, node["dim"]), False, x, y)

    def log_softmax(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_softmax(_around(node.output.shape, node["dim"]), True, x, y)

    def copy(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_copy(x, y)

    def concat(self, node: Node, *_: _core.View) -> None:
        """Copy every input's share of each row; a row is all from the joined axis on."""
        rows, joined, behind = _around(node.output.shape, node["dim"])
        to = self._places[node.output]
        column = 0
        for value in node.inputs:
            place = self._places[value]
            columns = _around(value.shape, node["dim"])[1] * behind
            size = (rows, 1, 1, columns)
            self._network.add_copy(
                _core.View(place.memory, place.offset, columns, size),
                _core.View(to.memory, to.offset + column, joined * behind, size),
            )
            column += columns

    def pad(self, node: Node, x: _core.View, y: _core.View) -> None:
        (top, bottom), (left, right) = node["padding"]
        self._network.add_pad((top, bottom, left, right), node["value"], x, y)

    def to_nchw(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_to_nchw(x, y)

    def to_nhwc(self, node: Node, x: _core.View, y: _core.View) -> None:
        self._network.add_to_nhwc(x, y)


def _size(value: Value) -> tuple[int, int, int, int]:
    """Return a shape as (n, h, w, c); all but feature maps are one line of rows."""
    shape = value.shape
    if len(shape) == 4:
        n, c, h, w = shape
        return n, h, w, c
    return shape[0], 1, prod(shape[1:-1]), shape[-1]


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Return how many elements lie before, along and behind an axis in memory."""
    if len(shape) == 4:
        n, c, h, w = shape
        shape, axis = (n, h, w, c), (0, 3, 1, 2)[axis]
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _in_memory(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return axes and their sizes in the order in which they lie in memory."""
    order = (0, 2, 3, 1) if len(shape) == 4 else range(len(shape))
    return [(axis, shape[axis]) for axis in order]


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many floats apart neighbours on each axis lie in memory."""
    if len(shape) != 4:
        return _c_steps(shape)
    _, c, h, w = shape
    return h * w * c, 1, w * c, c


def _c_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _broadcast(shape: tuple[int, ...], steps: tuple[int, ...]) -> list[int]:
    """Return the steps with which axes of one element repeat it."""
    return [0 if n == 1 else step for n, step in zip(shape, steps, strict=True)]


def _window(node: Node) -> _core.PoolWindow:
    (top, bottom), (left, right) = node["padding"]
    return _core.PoolWindow(
        node["kernel"],
        node["stride"],
        (top, bottom, left, right),
        node["dilation"],
        _ROUNDING[node["ceil_mode"]],
        node["count_include_pad"] if node.op == "avg_pool2d" else True,
    )
