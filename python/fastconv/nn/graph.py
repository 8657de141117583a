"""GraphModule: layers joined by the names of what they read and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .module import Module

__all__ = ["GraphModule"]


class _Node(NamedTuple):
    layer: str  # the attribute that holds it
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class GraphModule(Module):
    """A network given as a list of layers over named values, as files of other frameworks describe
    it.

    `inputs` and `outputs` name the values that `forward` takes and returns (a tuple where there
    are several); between them every layer reads values that the inputs or earlier layers wrote.
    The layers are attributes like those of any network, under names of which "." has become "_":

    >>> import fastconv.nn as nn
    >>> net = nn.GraphModule(["x"], ["y"])
    >>> net.append("conv", nn.Conv2d(3, 8, 1), "x", "a").append("add", nn.Add(), ["a", "a"], "y")
    GraphModule(
      x -> y
      (conv): Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1))
      (add): Add()
    )
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._nodes: list[_Node] = []

    def append(
        self, name: str, layer: Module, reads: str | Sequence[str], writes: str | Sequence[str]
    ) -> GraphModule:
        """Add a layer that reads and writes the values of these names; return the network.

        A value may be written again; later layers read the newer one (Caffe's layers in place).
        Raises ValueError for values that nobody wrote before.
        """
        reads = (reads,) if isinstance(reads, str) else tuple(reads)
        writes = (writes,) if isinstance(writes, str) else tuple(writes)
        known = {*self.inputs, *(value for node in self._nodes for value in node.writes)}
        unknown = [value for value in reads if value not in known]
        if unknown:
            raise ValueError(
                f"GraphModule: {name!r} must read values that the inputs or layers before it wrote "
                f"(unknown={', '.join(map(repr, unknown))})"
            )
        attribute = self._free(name)
        self.add_module(attribute, layer)
        self._nodes.append(_Node(attribute, reads, writes))
        return self

    def forward(self, *values: Any) -> Any:
        if len(values) != len(self.inputs):
            raise ValueError(
                f"GraphModule: the network takes {len(self.inputs)} inputs: "
                f"{', '.join(self.inputs)} (received={len(values)})"
            )
        at = dict(zip(self.inputs, values, strict=True))
        for node, dead in zip(self._nodes, self._last_reads(), strict=True):
            out = getattr(self, node.layer)(*(at[value] for value in node.reads))
            at.update(zip(node.writes, (out,) if len(node.writes) == 1 else out, strict=True))
            for value in dead:
                del at[value]
        results = tuple(at[value] for value in self.outputs)
        return results[0] if len(results) == 1 else results

    def extra_repr(self) -> str:
        return f"{', '.join(self.inputs)} -> {', '.join(self.outputs)}"

    def _free(self, name: str) -> str:
        """Return an attribute's name that is still free, near `name`."""
        name = name.replace(".", "_") or "layer"
        taken = set(self.__dict__)
        attribute, number = name, 1
        while attribute in taken or hasattr(type(self), attribute):
            number += 1
            attribute = f"{name}_{number}"
        return attribute

    def _last_reads(self) -> list[list[str]]:
        """Return, for every node, the values that nobody needs after it."""
        needed = set(self.outputs)
        dead: list[list[str]] = []
        for node in reversed(self._nodes):
            touched = dict.fromkeys((*node.reads, *node.writes))
            dead.append([value for value in touched if value not in needed])
            needed.difference_update(node.writes)
            needed.update(node.reads)
        return dead[::-1]
