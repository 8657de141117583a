"""A graph of operations, functions included, as a walk over it sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..archive import FormatError
from .tensors import array_of

__all__ = ["Graph", "Node", "Ref"]

_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_CONDITIONS = {"If", "StatelessIf"}
_PASSING = {"Identity", "PlaceholderWithDefault"}
# Functions name outputs where graphs number them: those of operations with several.
_OUTPUTS = {
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
        ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    ),
    "Merge": ("output", "value_index"),
    "Switch": ("output_false", "output_true"),
}
_DEEPEST = 64  # calls within calls
_LONGEST = 10_000  # ways through calls
_MOST_NODES = 100_000


@dataclass(frozen=True)
class Node:
    """An operation: `name` is unique in the whole graph, functions' being under their calls';
    `label` is the name in the function."""

    name: str
    label: str
    op: str
    attr: Any
    inputs: tuple[Ref, ...]

    def __str__(self) -> str:
        return f"{self.op} {self.name!r}"


@dataclass(frozen=True)
class Ref:
    """Output `index` of a node."""

    scope: _Scope
    name: str
    index: int

    @property
    def key(self) -> tuple[str, int]:
        return self.scope.prefix + self.name, self.index


@dataclass(eq=False)
class _Scope:
    """The graph itself, or a function where it is called."""

    prefix: str
    nodes: dict[str, Any]
    arguments: dict[str, int] = field(default_factory=dict)  # their places in `inputs`
    caller: _Scope | None = None
    inputs: list[str] = field(default_factory=list)  # in the caller
    depth: int = 0
    called: dict[str, _Scope] = field(default_factory=dict)


class Graph:
    """What a GraphDef holds; raises FormatError for references to nothing and endless calls."""

    def __init__(self, message: Any, what: str) -> None:
        self.what = what
        self._library = {f.signature.name: f for f in message.library.function}
        self._main = _Scope("", {node.name: node for node in message.node})
        if len(self._main.nodes) != len(message.node):
            raise FormatError(f"{what}: names of nodes must be unique")

    def ends(self) -> list[str]:
        """Return the names of the nodes that no other node reads."""
        read = {text.split(":")[0] for node in self._main.nodes.values() for text in _data(node)}
        return [name for name in self._main.nodes if name not in read]

    def operation(self, name: str) -> str:
        """Return the operation of one of the graph's own nodes."""
        return str(self._main.nodes[name].op)

    def ref(self, text: str) -> Ref:
        """Return what "name" or "name:index" refers to."""
        return self._resolve(self._main, text)

    def node(self, ref: Ref) -> Node:
        """Return the node that a reference is to."""
        return self._node(ref.scope, ref.scope.nodes[ref.name])

    def walk(self, ops: Collection[str]) -> Iterator[Node]:
        """Yield every node of some operations, those in called functions included."""
        pending, count = [self._main], 0
        while pending:
            scope = pending.pop()
            for node in scope.nodes.values():
                count += 1
                if count > _MOST_NODES:
                    raise FormatError(f"{self.what}: the graph must be smaller (nodes={count})")
                if node.op in ops:
                    yield self._node(scope, node)
                elif self._function(scope, node) is not None:
                    pending.append(self._open(scope, node))

    def _node(self, scope: _Scope, node: Any) -> Node:
        inputs = tuple(self._resolve(scope, text) for text in _data(node))
        return Node(scope.prefix + node.name, node.name, node.op, node.attr, inputs)

    def _function(self, scope: _Scope, node: Any) -> Any:
        """Return the function that a node calls; None if it calls none."""
        called = node.op in _CALLS | _CONDITIONS
        key = "f"
        if node.op in _CONDITIONS:
            key = "then_branch" if self._condition(scope, node) else "else_branch"
        name = node.attr[key].func.name if called and key in node.attr else node.op
        function = self._library.get(name)
        if function is None and called:
            raise FormatError(
                f"{self.what}: a function that is called must be in the library "
                f"(node={node.name!r}, function={name!r})"
            )
        return function

    def _condition(self, scope: _Scope, node: Any) -> bool:
        """Return which branch is taken: what a graph is fed ("is it training?") is no."""
        inputs = _data(node)
        ref = self._resolve(scope, inputs[0] if inputs else "")
        for _ in range(_LONGEST):
            source = ref.scope.nodes[ref.name]
            if source.op == "Placeholder":
                return False
            if source.op == "Const" and "value" in source.attr:
                value = array_of(source.attr["value"].tensor, f"{self.what}: {source.name!r}")
                return bool(np.any(value))
            if source.op not in _PASSING or not _data(source):
                break
            ref = self._resolve(ref.scope, _data(source)[0])
        raise FormatError(
            f"{self.what}: a condition must be known "
            f"(node={node.name!r}, condition={ref.key[0]!r}, op={source.op!r})"
        )

    def _open(self, scope: _Scope, node: Any) -> _Scope:
        if node.name not in scope.called:
            function = self._function(scope, node)
            if scope.depth >= _DEEPEST:
                raise FormatError(
                    f"{self.what}: functions must not call themselves "
                    f"(function={function.signature.name!r}, depth={scope.depth})"
                )
            scope.called[node.name] = _Scope(
                f"{scope.prefix}{node.name}/",
                {inner.name: inner for inner in function.node_def},
                {arg.name: place for place, arg in enumerate(function.signature.input_arg)},
                scope,
                _data(node)[1 if node.op in _CONDITIONS else 0 :],
                scope.depth + 1,
            )
        return scope.called[node.name]

    def _resolve(self, scope: _Scope, text: str) -> Ref:
        """Follow a reference into functions and out of them, to the node that computes it."""
        for _ in range(_LONGEST):
            name, *place = text.split(":")
            if scope.caller is not None and name in scope.arguments:
                number = scope.arguments[name]
                if number >= len(scope.inputs):
                    break
                scope, text = scope.caller, scope.inputs[number]
                continue
            node = scope.nodes.get(name)
            if node is None:
                break
            function = self._function(scope, node)
            index = self._index(node, function, place)
            if function is None:
                return Ref(scope, name, index)
            outputs = [arg.name for arg in function.signature.output_arg]
            if index >= len(outputs) or outputs[index] not in function.ret:
                break
            scope, text = self._open(scope, node), function.ret[outputs[index]]
        raise FormatError(
            f"{self.what}: an input must be the output of a node "
            f"(input={text!r}, in={scope.prefix!r})"
        )

    def _index(self, node: Any, function: Any, place: list[str]) -> int:
        """Return the number of an output, given as such or, in functions, by name and number."""
        number = place[-1] if place else "0"
        if len(place) > 2 or not number.isdecimal() or len(number) > 9:
            raise FormatError(
                f"{self.what}: an output must have a number "
                f"(node={node.name!r}, output={':'.join(place)!r})"
            )
        if len(place) == 2:
            names = _OUTPUTS.get(node.op)
            if function is not None:
                names = tuple(arg.name for arg in function.signature.output_arg)
            if names is not None and place[0] in names:
                return names.index(place[0]) + int(number)
        return int(number)


def _data(node: Any) -> list[str]:
    """Return the inputs of a node but for those that only say what runs first."""
    return [text for text in node.input if not text.startswith("^")]
