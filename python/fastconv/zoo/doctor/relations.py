"""How two arrays of weights are related: equal, or equal up to what formats do to weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Relation", "invariants", "relation", "relative_error"]

Array = NDArray[Any]

_CLOSE = 1e-3  # of the largest element: half precision and other orders of summing stay below


class Relation(NamedTuple):
    """kind: "equal", "close", "shape" (of no shapes that fit), "differ", or joined by " and " what
    the first array is to the second: "flipped" (height and width), "channels reversed" (of the
    input), "flattened otherwise" (a linear layer after maps, CHW and HWC), "axes permuted", "rows
    permuted" (of the output), "scaled".
    factor: first / second where scaled, else 1. error: what is left, of the largest element.
    """

    kind: str
    factor: float = 1.0
    error: float = 0.0

    def __str__(self) -> str:
        if self.kind in ("equal", "shape"):
            return self.kind
        scaled = f" by {self.factor:.6g}" if "scaled" in self.kind else ""
        return f"{self.kind}{scaled} (relative error {self.error:.1e})"


def relation(a: Array, b: Array) -> Relation:
    """Return what array `a` is to `b`."""
    if a.size != b.size or sorted(_long_axes(a)) != sorted(_long_axes(b)):
        return Relation("shape")
    if a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return Relation("equal")
    a, b = (x.astype(np.float32) if x.dtype != np.float64 else x for x in (a, b))
    error = relative_error(a, b) if a.shape == b.shape else float("inf")
    if error <= _CLOSE:
        return Relation("close", error=error)
    if a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Relation("differ", error=float("inf"))
    for name, candidate in _candidates(a, b):
        factor = _factor(a, candidate) or 1.0
        scaled = abs(factor - 1) > _CLOSE
        if name or scaled:
            left = relative_error(a, candidate * factor if scaled else candidate)
            if left <= _CLOSE:
                kind = " and ".join(filter(None, [name, "scaled" if scaled else ""]))
                return Relation(kind, factor if scaled else 1.0, left)
    return Relation("differ", error=error)


def relative_error(a: Array, b: Array) -> float:
    """Return the largest difference of two arrays of one shape, of the largest element of b."""
    if a.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        difference = float(np.abs(a - b).max())
        largest = float(np.abs(b).max())
    if not np.isfinite(difference):
        return float("inf")
    return difference / largest if largest else float(difference > 0)


def invariants(a: Array) -> tuple[float, float]:
    """Return numbers that flips, permutations and reshapes leave as they are, but for rounding."""
    wide = np.abs(a, dtype=np.float64)
    return float(wide.sum()), float((wide * wide).sum())


def _candidates(a: Array, b: Array) -> Iterator[tuple[str, Array]]:
    """Yield b as a format might have changed it, in the shape of a, the simplest changes first.

    Only what fits one row of a is yielded, which excludes almost all.
    """
    row = int(np.argmax(np.abs(a).reshape(len(a), -1).max(1)))
    for name, candidate in _changes(a, b):
        if _parallel(a[row], candidate[row]):
            yield name, candidate
    if a.ndim == b.ndim == 2 and a.shape == b.shape:
        for order in _flattenings(b.shape[1]):
            if _parallel(a[row], b[row, order]):
                yield "flattened otherwise", b[:, order]
    if a.shape == b.shape and len(a) > 1:
        yield "rows permuted", _rows(a, b)


def _changes(a: Array, b: Array) -> Iterator[tuple[str, Array]]:
    if a.shape == b.shape:
        yield "", b
        if b.ndim == 4:
            yield "flipped", b[:, :, ::-1, ::-1]
            yield "channels reversed", b[:, ::-1]
            yield "flipped and channels reversed", b[:, ::-1, ::-1, ::-1]
    for axes in permutations(range(b.ndim)) if 1 < b.ndim <= 4 else ():
        turned = b.transpose(axes)
        if axes == tuple(range(b.ndim)):
            continue
        if turned.shape == a.shape:
            yield "axes permuted", turned
            if b.ndim == 4:  # height and width are the last axes of one of the two
                yield "axes permuted and flipped", b[:, :, ::-1, ::-1].transpose(axes)
                yield "axes permuted and flipped", turned[:, :, ::-1, ::-1]
    if a.ndim != b.ndim:
        yield "reshaped", b.reshape(a.shape)


def _flattenings(columns: int) -> Iterator[NDArray[np.intp]]:
    """Yield the orders of columns that exchange CHW and HWC, for every number of channels."""
    small = {n for n in range(2, isqrt(columns) + 1) if columns % n == 0}
    for channels in sorted(small | {columns // n for n in small}):
        yield np.arange(columns).reshape(-1, channels).T.reshape(-1)


def _rows(a: Array, b: Array) -> Array:
    """Return b with its rows where a has the like, if a has them all in another order."""
    weights = np.random.default_rng(0).standard_normal(a[0].size)
    keys = [x.reshape(len(x), -1) @ weights for x in (a, b)]
    order = np.empty(len(a), int)
    order[np.argsort(keys[0])] = np.argsort(keys[1])
    ordered: Array = b[order]
    return ordered


def _factor(a: Array, b: Array) -> float | None:
    """Return the number that b times comes nearest to a."""
    power = float(np.vdot(b, b))
    factor = float(np.vdot(a, b)) / power if power else 0.0
    return factor if factor > 0 else None


def _parallel(a: Array, b: Array) -> bool:
    factor = _factor(a, b)
    return factor is not None and relative_error(a, b * factor) <= _CLOSE


def _long_axes(a: Array) -> list[int]:
    return [n for n in a.shape if n != 1]
