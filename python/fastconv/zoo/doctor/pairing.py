"""Which tensor of one network belongs to which of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .relations import invariants, relation
from .report import Pair

__all__ = ["pair_up"]

Tensors = Mapping[str, NDArray[Any]]

_COUNTER = "num_batches_tracked"
_TOLERANCE = 1e-4  # of sums over all elements, after rounding to half precision


def pair_up(ours: Tensors, theirs: Tensors) -> list[Pair]:
    """Return every tensor of the first, and what is left of the second, in their order.

    By names where most are common. Else those come together whose elements are the same but for
    their order and signs, and what then is left by size, in the order in which it comes.
    """
    ours, theirs = (
        {name: array for name, array in side.items() if not name.endswith(_COUNTER)}
        for side in (ours, theirs)
    )
    common = [name for name in ours if name in theirs]
    named = 2 * len(common) > min(len(ours), len(theirs))
    partners = {name: name for name in common} if named else _by_content(ours, theirs)
    pairs = [
        Pair(name, partners[name], relation(array, theirs[partners[name]]))
        if name in partners
        else Pair(name, None, None)
        for name, array in ours.items()
    ]
    taken = set(partners.values())
    return pairs + [Pair(None, name, None) for name in theirs if name not in taken]


def _by_content(ours: Tensors, theirs: Tensors) -> dict[str, str]:
    free = {name: (array.size, invariants(array)) for name, array in theirs.items()}
    partners: dict[str, str] = {}
    for name, array in ours.items():
        sums = invariants(array)
        for other, (size, other_sums) in free.items():
            if size == array.size and np.allclose(sums, other_sums, rtol=_TOLERANCE, atol=0):
                partners[name] = other
                del free[other]
                break
    for name, array in ours.items():
        if name not in partners:
            other = next((n for n, (size, _) in free.items() if size == array.size), "")
            if other:
                partners[name] = other
                del free[other]
    return {name: partners[name] for name in ours if name in partners}
