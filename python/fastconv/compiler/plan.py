"""The memory plan: where every value lies while the network runs.

Regions that are never needed at the same time share one arena. The largest get their place first,
each in the smallest gap that holds it among those that live when it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from .graph import Graph, Value
from .groups import Group
from .regions import LINE, Region, Regions, channels

__all__ = ["Place", "Plan", "plan_memory"]

# Steps that may write over what they read.
_IN_PLACE = (
    "activation",
    "add",
    "affine",
    "local_response_norm",
    "log_softmax",
    "prelu",
    "sigmoid",
    "softmax",
    "tanh",
)


@dataclass(frozen=True)
class Place:
    """A view: "arena", "input", "output" or "turn" (the memory of one turn of a group), floats
    before the first pixel, and between pixels."""

    memory: str
    offset: int
    pixel: int


@dataclass(frozen=True)
class Plan:
    """The place of every value, the arena's size, and where in it a converted input lies.

    A value of `inner` lives inside a group, and has room for that group's pictures only.
    """

    places: dict[Value, Place]
    arena_floats: int
    input_offset: int
    groups: tuple[Group, ...] = ()
    inner: frozenset[Value] = frozenset()
    turn_floats: int = 0


def plan_memory(graph: Graph, groups: tuple[Group, ...] = (), *, converts_input: bool) -> Plan:
    """Return where all lies; `converts_input` gives the input a place in the arena too."""
    regions = _regions(graph)
    inside = _inside(graph, regions, groups)
    blocks = _blocks(graph, regions, inside)
    _keep_through(graph, groups, blocks, inside)
    distinct = list(dict.fromkeys(blocks.values()))
    wanted = [
        b for b in distinct if b.memory == "arena" or (b.memory == "input" and converts_input)
    ]
    arena = _arrange(wanted)
    turn = _arrange(b for b in distinct if b.memory == "turn")
    places = {}
    for value, region in regions.of.items():
        block = blocks[value]
        start = region.starts[value] + (block.offset if block.memory in ("arena", "turn") else 0)
        places[value] = Place(block.memory, start, region.pixel)
    offset = blocks[graph.input].offset if converts_input else 0
    return Plan(places, arena, offset, groups, frozenset(inside), turn)


@dataclass(eq=False)
class _Block:
    """Memory for one region, or several that follow each other in the same floats."""

    floats: int
    first: int  # the first step that writes it, and the last that reads it
    last: int
    memory: str = "arena"
    offset: int = 0
    values: list[Value] = field(default_factory=list)

    def meets(self, other: _Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def _regions(graph: Graph) -> Regions:
    regions = Regions(graph)
    for node in graph.nodes:
        start = node.get("start") or 0
        for x in node.inputs if node.op in ("join", "slice") else ():
            inner, outer = (node.output, x) if node.op == "slice" else (x, node.output)
            fits = regions.nest(inner, outer, start)
            assert fits, f"{node.layer}: the pass promised that this fits"
            start += channels(x)
    regions.space(graph)
    return regions


def _inside(graph: Graph, regions: Regions, groups: tuple[Group, ...]) -> dict[Value, Group]:
    """Return the group of each value that no step outside of that group touches."""
    touched: dict[Value, set[int]] = {value: set() for value in graph.values()}
    for step, node in enumerate(graph.nodes):
        for value in (*node.inputs, node.output):
            touched[value].add(step)
    found = {
        value: group
        for value, steps in touched.items()
        for group in groups
        if value not in (graph.input, graph.output) and all(step in group for step in steps)
    }
    # Values that share memory are all inside, or none is.
    together = [list(region.starts) for region in regions.of.values()]
    together += [[node.inputs[0], node.output] for node in graph.nodes if node.op == "alias"]
    while parted := [v for vs in together for v in vs if v in found and not found.keys() >= {*vs}]:
        for value in parted:
            found.pop(value, None)
    return found


def _keep_through(
    graph: Graph,
    groups: tuple[Group, ...],
    blocks: dict[Value, _Block],
    inside: dict[Value, Group],
) -> None:
    """Let what a group shares with other steps live as long as the group runs: its first step runs
    again after its last."""
    for group in groups:
        for node in graph.nodes[group.first : group.end]:
            for value in (*node.inputs, node.output):
                if value not in inside:
                    block = blocks[value]
                    block.first = min(block.first, group.first)
                    block.last = max(block.last, group.end - 1)


def _blocks(graph: Graph, regions: Regions, inside: dict[Value, Group]) -> dict[Value, _Block]:
    by_region: dict[Region, _Block] = {}
    for value, region in regions.of.items():
        pixels = prod(value.shape) // channels(value)
        if value in inside:
            pixels = pixels // value.shape[0] * inside[value].pictures
        block = by_region.setdefault(region, _Block(pixels * region.pixel, len(graph.nodes), -1))
        block.values.append(value)
    blocks = {value: by_region[region] for value, region in regions.of.items()}
    blocks[graph.input].memory = "input"
    blocks[graph.input].first = -1
    for step, node in enumerate(graph.nodes):
        blocks[node.output].first = min(blocks[node.output].first, step)
        for value in (*node.inputs, node.output):
            blocks[value].last = max(blocks[value].last, step)
    blocks[graph.output].last = len(graph.nodes)

    for step, node in enumerate(graph.nodes):
        if node.op == "alias":
            _share(blocks, node.inputs[0], node.output)
        elif node.op in _IN_PLACE or node.op == "conv2d":
            # A convolution reads pixels around the one it writes, but its residual only there; so
            # what is both must stay.
            for x in node.inputs[1:] if node.op == "conv2d" else node.inputs:
                before, after = blocks[x], blocks[node.output]
                one, other = regions.of[x], regions.of[node.output]
                alike = one.fills(x) and other.fills(node.output) and one.pixel == other.pixel
                free = before.memory == "arena" and before.last == step and after.first == step
                around = node.op == "conv2d" and blocks[node.inputs[0]] is before
                alike = alike and inside.get(x) == inside.get(node.output)
                if alike and free and before is not after and not around:
                    _share(blocks, x, node.output)
    for value, group in inside.items():
        if group.side_by_side:
            blocks[value].memory = "turn"
    output = blocks[graph.output]
    assert output.memory == "arena", "copy_input sees to this"
    output.memory = "output"
    return blocks


def _share(blocks: dict[Value, _Block], x: Value, y: Value) -> None:
    """Put y's block into x's."""
    into, gone = blocks[x], blocks[y]
    into.first, into.last = min(into.first, gone.first), max(into.last, gone.last)
    for value in gone.values:
        blocks[value] = into
    into.values += gone.values


def _arrange(blocks: Iterable[_Block]) -> int:
    """Give every block an offset; return the floats of the arena."""
    placed: list[_Block] = []
    size = 0
    for block in sorted(blocks, key=lambda b: (-b.floats, b.first)):
        floats = _whole_lines(block.floats)
        best: tuple[int, int] | None = None  # gap, offset
        end = 0
        for other in sorted((p for p in placed if p.meets(block)), key=lambda p: p.offset):
            gap = other.offset - end
            if gap >= floats and (best is None or gap < best[0]):
                best = gap, end
            end = max(end, other.offset + _whole_lines(other.floats))
        block.offset = end if best is None else best[1]
        size = max(size, block.offset + floats)
        placed.append(block)
    return size


def _whole_lines(floats: int) -> int:
    return -(-floats // LINE) * LINE
