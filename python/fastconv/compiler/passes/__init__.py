"""What the compiler does to a graph, in order. Every pass is a function from graph to graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..graph import Graph
from .clean import drop_identities, remove_dead
from .concat import copy_input, slice_concats
from .epilogue import fuse_activations, fuse_additions
from .fold import fold_affine, fold_padding
from .lower import lower
from .pooling import fuse_pooling, pool_tiles
from .reshape import flatten_in_memory_order, lower_reshapes
from .siblings import merge_siblings

__all__ = ["PASSES", "drop_identities", "optimise", "pool_tiles", "remove_dead"]

PASSES: Final[tuple[Callable[[Graph], Graph], ...]] = (
    remove_dead,
    lower,
    drop_identities,
    fold_padding,
    fold_affine,
    fuse_activations,
    fuse_additions,
    fuse_pooling,
    flatten_in_memory_order,
    lower_reshapes,
    merge_siblings,
    slice_concats,
    copy_input,
)


def optimise(graph: Graph) -> Graph:
    """Return the graph after all passes."""
    for run in PASSES:
        graph = run(graph)
    return graph
