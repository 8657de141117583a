"""Groups: stretches of a network that run on a few pictures at a time.

Early layers make much more than they weigh: 16 pictures' worth of a first layer goes to memory and
comes back. A group of steps runs on as many pictures as fit the caches, then on the next ones, and
what lives inside the group takes no more memory than that.

Steps of a small network last as long as it takes threads to meet after each. There every thread
runs the whole group on pictures of its own, and they meet once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from .costs import parameters
from .graph import Graph, Node

__all__ = ["Group", "find_groups", "schedule"]

_CACHE_BYTES = 4 << 20  # what a core holds near it: its level-2 cache and some of the next
_NEAR_BYTES = 1 << 20  # what a core holds in half of its level-2 cache

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
    """The nodes from `first` up to `end`, run on at most `pictures` at a time.

    side_by_side: each time is a turn that one thread takes, beside others.
    """

    first: int
    end: int
    pictures: int
    side_by_side: bool = False

    def __contains__(self, step: int) -> bool:
        return self.first <= step < self.end


def schedule(graph: Graph, groups: tuple[Group, ...]) -> Iterator[tuple[Node, int, int]]:
    """Yield (node, first picture, number of pictures) in the order in which they run."""
    batch = max(graph.input.shape[0], 1)
    at = {group.first: group for group in groups}
    step = 0
    while step < len(graph.nodes):
        group = at.get(step, Group(step, step + 1, batch))
        start = 0
        for turns in range(-(-batch // group.pictures), 0, -1):
            count = -(-(batch - start) // turns)
            for node in graph.nodes[group.first : group.end]:
                yield node, start, min(count, graph.input.shape[0])
            start += count
        step = group.end


def find_groups(graph: Graph, threads: int) -> tuple[Group, ...]:
    """Return the stretch at the beginning that is worth running on a few pictures at a time.

    No bit of the result depends on it, nor on the number of threads.
    """
    if not graph.any_batch:
        return ()
    group = _side_by_side(graph, threads) or _early(graph, threads)
    return () if group is None else (group,)


def _early(graph: Graph, threads: int) -> Group | None:
    """Return what comes before the first layer whose weights, which every turn reads again,
    outweigh what it reads and writes of one picture."""
    batch = graph.input.shape[0]
    end, widest = 0, 1
    for node in graph.nodes:
        moved = _moved(node)
        if node.op not in _PICTURE_BY_PICTURE or 4 * parameters(node) > moved:
            break
        widest = max(widest, moved)
        end += 1
    turns = min(batch, -(-batch * widest // (threads * _CACHE_BYTES)))
    return Group(0, end, -(-batch // turns)) if turns > 1 and end > 1 else None


def _side_by_side(graph: Graph, threads: int) -> Group | None:
    """Return the stretch whose weights and some pictures fit near a core, if threads share the
    pictures evenly.

    Turns have two pictures or more: a product with one row may be summed up in another order.
    """
    batch = graph.input.shape[0]
    end, widest, weights = 0, 1, 0
    for node in graph.nodes:
        weights += 4 * parameters(node)
        if node.op not in (*_PICTURE_BY_PICTURE, "linear") or weights > _NEAR_BYTES:
            break
        widest = max(widest, _moved(node))
        end += 1
    if threads == 1 or end < 2:
        return None

    def longest(pictures: int) -> int:
        """What the busiest thread computes."""
        return -(-batch // pictures // threads) * pictures

    rounds = max(1, -(-batch * widest // (threads * _NEAR_BYTES)))
    most = -(-batch // (rounds * threads))
    sizes = [n for n in range(most, most // 2, -1) if batch // -(-batch // n) >= 2]
    pictures = min(sizes, key=longest, default=0)
    even = sizes and 8 * threads * longest(pictures) <= 9 * batch
    return Group(0, end, pictures, True) if even else None


def _moved(node: Node) -> int:
    """Return the bytes that a step reads and writes of one picture."""
    return 4 * sum(prod(value.shape[1:]) for value in (*node.inputs, node.output))
