"""Regions: values that share memory, each a stretch of the channels of one wide picture.

A concatenation is no work if its inputs are written where they belong in its result; a slice of
channels is none if it is read where it lies. Both are "nested" values here.
"""

from __future__ import annotations

from itertools import pairwise

from .graph import Graph, Node, Value

__all__ = ["LINE", "Region", "Regions", "channels", "joins_channels"]

_SET_STRIDE = 1024  # floats; lines so far apart share a set of the first-level cache
LINE = 16  # floats in a cache line

_POOLS = ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d")
_VIEWS = ("slice", "join")  # no steps: they say what is nested in what
_SPACED = ("conv2d", *_POOLS)
_READ_STRIDED = ("copy", *_POOLS, *_VIEWS)
_WRITE_STRIDED = ("copy", *_POOLS, *_VIEWS)


def channels(value: Value) -> int:
    """Return the size of the axis that lies last in memory."""
    return value.shape[1] if len(value.shape) == 4 else value.shape[-1]


def joins_channels(node: Node) -> bool:
    """Whether a node is a concatenation along the axis that lies last in memory."""
    rank = len(node.output.shape)
    return node.op == "concat" and node["dim"] == (1 if rank == 4 else rank - 1)


class Region:
    """Values by the channel that they start at; the first of all is 0.

    One pixel lies `pixel` floats after the other: `width`, the channels, unless space() says more.
    """

    def __init__(self, starts: dict[Value, int]) -> None:
        first = min(starts.values())
        self.starts = {value: start - first for value, start in starts.items()}
        self.width = max(start + channels(value) for value, start in self.starts.items())
        self.pixel = self.width

    def fills(self, value: Value) -> bool:
        """Whether a value is all of the region."""
        return channels(value) == self.width


class Regions:
    """The regions of a graph; at first every value has its own."""

    def __init__(self, graph: Graph) -> None:
        self.of: dict[Value, Region] = {value: Region({value: 0}) for value in graph.values()}
        producers, readers = graph.producers(), graph.readers()
        outside = {graph.input, graph.output}
        self._flexible = {
            value
            for value, node in producers.items()
            if value not in outside
            and _writes_strided(node)
            and all(_reads_strided(reader, value) for reader in readers[value])
        }
        self._input = graph.input
        self._written = {v for v, node in producers.items() if node.op not in (*_VIEWS, "concat")}

    def is_flexible(self, value: Value) -> bool:
        """Whether a value may have room between its pixels, as far as its steps go."""
        return value in self._flexible

    def is_input(self, value: Value) -> bool:
        """Whether a value is a part of the caller's array, which no step may write to."""
        return self.of[value] is self.of[self._input]

    def add(self, value: Value, *, written: bool) -> None:
        """Add a value that only copies and views will use."""
        self.of[value] = Region({value: 0})
        self._flexible.add(value)
        if written:
            self._written.add(value)

    def nest(self, inner: Value, outer: Value, start: int) -> bool:
        """Make `inner` the channels of `outer` from `start` on; return whether memory can be so."""
        one, other = self.of[inner], self.of[outer]
        offset = other.starts[outer] + start - one.starts[inner]
        if one is other:
            return offset == 0
        moved = {value: place + offset for value, place in one.starts.items()}
        both = Region({**other.starts, **moved})
        if not all(both.fills(v) or v in self._flexible for v in both.starts):
            return False
        if self._overlaps(both):
            return False
        for value in both.starts:
            self.of[value] = both
        return True

    def space(self, graph: Graph) -> None:
        """Leave a line between pixels that would share cache sets, where all steps allow it.

        The rows of a convolution's tile, a pixel each, would push each other out otherwise.
        """
        residuals = [
            (node.inputs[1], node.output)
            for node in graph.nodes
            if node.op == "conv2d" and len(node.inputs) > 1
        ]
        producers, readers = graph.producers(), graph.readers()
        spaced = {
            value
            for value, node in producers.items()
            if value is not graph.output
            and self.of[value].width % _SET_STRIDE == 0
            and len(self.of[value].starts) == 1
            and all(step.op in _SPACED for step in (node, *readers[value]))
        }
        # A residual is laid out as the result.
        while apart := [pair for pair in residuals if (pair[0] in spaced) != (pair[1] in spaced)]:
            spaced.difference_update(*apart)
        for value in spaced:
            self.of[value].pixel += LINE

    def _overlaps(self, region: Region) -> bool:
        """Whether two steps would write the same channels."""
        written = sorted(
            (start, start + channels(value))
            for value, start in region.starts.items()
            if value in self._written
        )
        return any(end > start for (_, end), (start, _) in pairwise(written))


def _reads_strided(node: Node, value: Value) -> bool:
    if node.op == "conv2d":
        return value not in node.inputs[1:]  # a residual is laid out as the result
    return node.op in _READ_STRIDED or joins_channels(node)


def _writes_strided(node: Node) -> bool:
    if node.op == "conv2d":
        return len(node.inputs) == 1
    return node.op in _WRITE_STRIDED or joins_channels(node)
