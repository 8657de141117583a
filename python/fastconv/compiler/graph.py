"""The compiler's graph: nodes in an order that can run, and the values between them.

Everything here is immutable. A pass takes a graph and returns another; what it leaves alone, the
two share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Graph", "Node", "Value", "fuse", "is_step", "substitute"]


@dataclass(frozen=True, eq=False)
class Value:
    """The result of a node, or the input: an identity and a shape. Four sizes are (N, C, H, W)."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: what it reads, what it makes, and its options and weights.

    `layer` is the dotted name of the layer it came from, for people.
    """

    op: str
    inputs: tuple[Value, ...]
    output: Value
    layer: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    def get(self, name: str) -> Any:
        """Return an attribute, or None."""
        return self.attributes.get(name)

    def but(
        self,
        *,
        inputs: tuple[Value, ...] | None = None,
        output: Value | None = None,
        op: str | None = None,
        **attributes: Any,
    ) -> Node:
        """Return this node with something changed."""
        return replace(
            self,
            op=self.op if op is None else op,
            inputs=self.inputs if inputs is None else inputs,
            output=self.output if output is None else output,
            attributes={**self.attributes, **attributes},
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes, each after all that it reads, from one input to one output.

    `any_batch` says that the same nodes compute any number of pictures.
    """

    input: Value
    output: Value
    nodes: tuple[Node, ...]
    any_batch: bool = True

    def uses(self) -> Counter[Value]:
        """Return how often each value is read; the caller reads the output."""
        counts = Counter(value for node in self.nodes for value in node.inputs)
        counts[self.output] += 1
        return counts

    def producers(self) -> dict[Value, Node]:
        """Return the node that makes each value."""
        return {node.output: node for node in self.nodes}

    def readers(self) -> dict[Value, list[Node]]:
        """Return the nodes that read each value."""
        readers: dict[Value, list[Node]] = {value: [] for value in self.values()}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers[value].append(node)
        return readers

    def values(self) -> list[Value]:
        """Return the input and all results, in order."""
        return [self.input, *(node.output for node in self.nodes)]

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """Return a graph of other nodes, with the same input and output."""
        return replace(self, nodes=tuple(nodes))

    def with_batch(self, batch: int) -> Graph:
        """Return the same graph for another number of pictures."""
        new = {value: Value((batch, *value.shape[1:])) for value in self.values()}
        nodes = (
            replace(node, inputs=tuple(new[x] for x in node.inputs), output=new[node.output])
            for node in self.nodes
        )
        return Graph(new[self.input], new[self.output], tuple(nodes))


def is_step(node: Node) -> bool:
    """Whether a node does something when the network runs."""
    return node.op not in ("alias", "join", "slice")


def substitute(graph: Graph, replacements: Mapping[Value, Value]) -> Graph:
    """Read another value wherever a replaced one was read; replacements may chain."""

    def final(value: Value) -> Value:
        while value in replacements:
            value = replacements[value]
        return value

    nodes = (node.but(inputs=tuple(map(final, node.inputs))) for node in graph.nodes)
    return replace(graph, output=final(graph.output), nodes=tuple(nodes))


def fuse(graph: Graph, absorb: Callable[[Node, Node], Node | None]) -> Graph:
    """Let nodes take in the node they read: `absorb(producer, node)` returns one for both, or None.

    Offered are producers whose result nobody else reads, the one that runs last first. The new
    node stands where `node` stood.
    """
    uses = graph.uses()
    made: dict[Value, Node] = {}
    for node in graph.nodes:
        fused = node
        places = {value: place for place, value in enumerate(made)} if len(node.inputs) > 1 else {}
        for value in sorted(node.inputs, key=lambda v: places.get(v, -1), reverse=True):
            if value in made and uses[value] == 1:
                both = absorb(made[value], node)
                if both is not None:
                    del made[value]
                    fused = both
                    break
        made[node.output] = fused
    return graph.with_nodes(made.values())
