"""Which tensor of one network belongs to which of another."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

from numpy.typing import NDArray

from ..weights import without_counters
from .relations import invariants, relation
from .report import Pair

__all__ = ["pair_up"]

Tensors = Mapping[str, NDArray[Any]]

_TOLERANCE = 1e-4  # of sums over all elements, after rounding to half precision


def pair_up(ours: Tensors, theirs: Tensors) -> list[Pair]:
    """Return every tensor of the first, and what is left of the second, in their order.

    By names where most are common. Then those come together whose elements are the same but for
    their order and signs, and what is left by size, in the order in which it comes.
    """
    ours, theirs = without_counters(ours), without_counters(theirs)
    common = [name for name in ours if name in theirs]
    named = 2 * len(common) > min(len(ours), len(theirs))
    partners = {name: name for name in common} if named else {}
    partners |= _by_content(
        {name: array for name, array in ours.items() if name not in partners},
        {name: array for name, array in theirs.items() if name not in partners},
    )
    pairs = [
        Pair(name, partners[name], relation(array, theirs[partners[name]]))
        if name in partners
        else Pair(name, None, None)
        for name, array in ours.items()
    ]
    taken = set(partners.values())
    return pairs + [Pair(None, name, None) for name in theirs if name not in taken]


def _by_content(ours: Tensors, theirs: Tensors) -> dict[str, str]:
    free: dict[int, dict[str, tuple[float, float]]] = {}  # by size
    for name, array in theirs.items():
        free.setdefault(array.size, {})[name] = invariants(array)
    partners: dict[str, str] = {}
    for name, array in ours.items():
        sums = invariants(array)
        candidates = free.get(array.size, {})
        for other, other_sums in candidates.items():
            if all(map(_alike, sums, other_sums)):
                partners[name] = other
                del candidates[other]
                break
    for name, array in ours.items():
        left = free.get(array.size)
        if name not in partners and left:
            partners[name] = next(iter(left))
            del left[partners[name]]
    return partners


def _alike(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=_TOLERANCE)
