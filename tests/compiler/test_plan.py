"""The memory plan: nothing is overwritten before its last reader, and little memory is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.networks import Apply, check, graph_of
from fastconv import models, nn
from fastconv.autograd import ops
from fastconv.compiler.graph import Graph, Node, Value
from fastconv.compiler.plan import Plan, is_step, plan_memory
from fastconv.compiler.regions import channels


def assert_sound(graph: Graph, converts_input: bool = True) -> Plan:
    """Run the graph on memory that remembers who wrote it."""
    plan = plan_memory(graph, converts_input=converts_input)
    size = int(np.prod(graph.input.shape))
    memories = {
        "arena": np.zeros(plan.arena_floats, np.int64),
        "input": np.zeros(size, np.int64),
        "output": np.zeros(int(np.prod(graph.output.shape)), np.int64),
    }
    # What each value's floats must hold: (pixels, channels) numbers of who wrote them.
    contents: dict[Value, np.ndarray] = {}

    def view(value: Value) -> np.ndarray:
        place = plan.places[value]
        pixels = int(np.prod(value.shape)) // channels(value)
        memory = memories[place.memory][place.offset :]
        assert (pixels - 1) * place.pixel + channels(value) <= len(memory)
        strides = (place.pixel * memory.itemsize, memory.itemsize)
        return np.lib.stride_tricks.as_strided(memory, (pixels, channels(value)), strides)

    if converts_input:
        memories["arena"][plan.input_offset : plan.input_offset + size] = -1
        memories["input"] = memories["arena"][plan.input_offset : plan.input_offset + size]
    else:
        memories["input"][:] = -1
    contents[graph.input] = view(graph.input).copy()
    for number, node in enumerate(graph.nodes, 1):
        for x in node.inputs:
            np.testing.assert_array_equal(view(x), contents[x], err_msg=f"{node.op} {node.layer}")
        if is_step(node):
            assert plan.places[node.output].memory != "input"
            view(node.output)[...] = number
        contents[node.output] = view(node.output).copy()
    np.testing.assert_array_equal(view(graph.output), contents[graph.output])
    assert plan.places[graph.output].memory == "output"
    return plan


def live_floats(graph: Graph) -> int:
    """The floats of all values that some step needs at the same time: no arena can be smaller."""
    last = {value: i for i, node in enumerate(graph.nodes) for value in node.inputs}
    steps = [(i, node) for i, node in enumerate(graph.nodes) if is_step(node)]
    made = {node.output: i for i, node in steps}
    return max(
        sum(int(np.prod(v.shape)) for v, at in made.items() if at <= i <= last.get(v, i))
        for i, _ in steps
    )


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg11", "googlenet", "resnet50"])
def test_networks(name: str) -> None:
    with nn.init.skip_init():
        net = models.get(name)
    graph = graph_of(net, (2, *net.input_shape))
    plan = assert_sound(graph)
    assert_sound(graph, converts_input=False)
    results = sum(int(np.prod(node.output.shape)) for node in graph.nodes if is_step(node))
    assert plan.arena_floats <= results
    assert plan.arena_floats <= 1.5 * live_floats(graph)


def test_elementwise_steps_run_in_place() -> None:
    net = nn.Sequential(nn.Sigmoid(), nn.Tanh(), nn.LocalResponseNorm(3), nn.Softmax())
    graph = graph_of(net, (1, 3, 8, 8))
    plan = assert_sound(graph, converts_input=False)
    # The input is the caller's; what comes after it is all in the caller's output.
    assert plan.arena_floats == 0
    assert {plan.places[node.output].memory for node in graph.nodes} == {"output"}


def test_what_is_read_later_is_not_overwritten() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = self.conv(x)
        return ops.sigmoid(y) + ops.tanh(y) + y

    net = Apply(forward, conv=nn.Conv2d(3, 3, 1))
    assert_sound(graph_of(net, (1, 3, 8, 8)))
    check(net, (1, 3, 8, 8))


# Random networks: each layer reads earlier results. All maps are 5x7; channels vary.


def layer_of(kind: str, a: int, b: int, width: int) -> tuple[nn.Module | None, Any, int]:
    """The module, the function (module, x, y), and the channels of the result."""
    if kind == "conv":
        return nn.Conv2d(a, width, 1), lambda m, x, y: m(x), width
    if kind == "conv3":
        return nn.Conv2d(a, width, 3, padding=1), lambda m, x, y: ops.relu(m(x)), width
    if kind == "norm":
        return nn.BatchNorm2d(a), lambda m, x, y: m(x), a
    if kind == "concat":
        return None, lambda m, x, y: ops.concat([x, y]), a + b
    if kind == "slice":
        return None, lambda m, x, y: x[:, : (a + 1) // 2], (a + 1) // 2
    if kind == "add":
        module = nn.Conv2d(a, b, 1)
        return module, lambda m, x, y: ops.add(m(x), y, activation="relu"), b
    functions = {
        "max": lambda m, x, y: ops.max_pool2d(x, 3, 1, 1),
        "mean": lambda m, x, y: ops.avg_pool2d(x, 3, 1, 1),
        "lrn": lambda m, x, y: ops.local_response_norm(x, 3),
        "sigmoid": lambda m, x, y: ops.sigmoid(x),
        "relu": lambda m, x, y: ops.relu(x),
        "plus": lambda m, x, y: x + 0.25,
    }
    return None, functions[kind], a


KINDS = ["norm", "slice", "max", "mean", "lrn", "sigmoid", "relu", "plus"]
KINDS += ["conv", "conv3", "concat", "add"] * 2
LAYERS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60)
@given(LAYERS)
def test_random_networks(layers: list[tuple[str, int, int, int]]) -> None:
    widths = [3]
    parts: dict[str, nn.Module] = {}
    program = []
    for i, (kind, first, second, width) in enumerate(layers):
        x, y = len(widths) - 1 - first % len(widths), second % len(widths)
        module, function, out = layer_of(kind, widths[x], widths[y], width)
        if out > 40:
            continue
        if module is not None:
            parts[f"layer{i}"] = module
        program.append((f"layer{i}", function, x, y))
        widths.append(out)

    def forward(self: Any, x: Any) -> Any:
        values = [x]
        for name, function, a, b in program:
            values.append(function(getattr(self, name, None), values[a], values[b]))
        # Everything is used, so that nothing is dropped.
        return ops.concat(values[-6:])

    net = Apply(forward, **parts)
    assert_sound(graph_of(net, (2, 3, 5, 7)))
    check(net, (2, 3, 5, 7))


def test_nodes_are_described() -> None:
    x, y = Value((1, 2)), Value((1, 2))
    node = Node("relu", (x,), y, "layer", {"a": 1})
    assert node["a"] == 1 and node.get("b") is None
    assert node.but(a=2)["a"] == 2 and node.but(a=2).output is y
