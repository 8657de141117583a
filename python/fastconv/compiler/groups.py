"""Groups: stretches of a network that run on a few pictures at a time.

Early layers make much more than they weigh: 16 pictures' worth of a first layer goes to memory and
comes back. A group of steps runs on as many pictures as fit the caches, then on the next ones, and
what lives inside the group takes no more memory than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from .costs import parameters
from .graph import Graph, Node

__all__ = ["Group", "find_groups", "schedule"]

_CACHE_BYTES = 4 << 20  # what a core holds near it: its level-2 cache and some of the next

# Steps that treat every picture alike and take their sizes from their views alone.
_PICTURE_BY_PICTURE = (
    "activation",
    "adaptive_avg_pool2d",
    "add",
    "affine",
    "alias",
    "avg_pool2d",
    "conv2d",
    "conv2d_max_pool2d",
    "copy",
    "join",
    "local_response_norm",
    "max_pool2d",
    "pad",
    "sigmoid",
    "slice",
    "tanh",
)


@dataclass(frozen=True)
class Group:
    """The nodes from `first` up to `end`, run on `pictures` at a time."""

    first: int
    end: int
    pictures: int

    def __contains__(self, step: int) -> bool:
        return self.first <= step < self.end


def schedule(graph: Graph, groups: tuple[Group, ...]) -> Iterator[tuple[Node, int, int]]:
    """Yield (node, first picture, number of pictures) in the order in which they run."""
    batch = graph.input.shape[0]
    at = {group.first: group for group in groups}
    step = 0
    while step < len(graph.nodes):
        group = at.get(step, Group(step, step + 1, max(batch, 1)))
        for start in range(0, max(batch, 1), group.pictures):
            for node in graph.nodes[group.first : group.end]:
                yield node, start, min(group.pictures, batch - start)
        step = group.end


def find_groups(graph: Graph, threads: int) -> tuple[Group, ...]:
    """Return the stretch at the beginning that is worth running on a few pictures at a time.

    It ends where a layer's weights, which every turn reads again, outweigh what the layer reads
    and writes of one picture. No bit of the result depends on it, nor on the number of threads.
    """
    batch = graph.input.shape[0]
    end, widest = 0, 1
    for node in graph.nodes if graph.any_batch else ():
        moved = 4 * sum(prod(value.shape[1:]) for value in (*node.inputs, node.output))
        if node.op not in _PICTURE_BY_PICTURE or 4 * parameters(node) > moved:
            break
        widest = max(widest, moved)
        end += 1
    turns = min(batch, -(-batch * widest // (threads * _CACHE_BYTES)))
    return (Group(0, end, -(-batch // turns)),) if turns > 1 and end > 1 else ()
