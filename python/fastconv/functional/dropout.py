"""Dropout from a counter-based random generator: the same mask forwards and backwards."""

from __future__ import annotations

from typing import Any

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._scalars import integer, number

__all__ = ["dropout", "dropout_backward"]


def dropout(x: Array, p: float = 0.5, seed: int = 0) -> Array:
    """Zero each element of x (any shape) with probability p, and scale the others by 1/(1-p).

    The mask depends on the seed (0 <= seed < 2**64), p and the shape alone: element i, in C order,
    draws its 24 bits from Philox4x32-10 (Salmon et al. 2011) at counter i // 4, word i % 4.
    Raises TypeError for anything but a float32 array, ValueError for p or seed out of range.
    """
    return _drop("dropout", "x", x, p, seed)


def dropout_backward(grad_output: Array, p: float = 0.5, seed: int = 0) -> Array:
    """Gradient of `dropout` with the same p and seed: the same mask and scale on grad_output."""
    return _drop("dropout_backward", "grad_output", grad_output, p, seed)


def _drop(operation: str, name: str, x: Any, p: Any, seed: Any) -> Array:
    x = _arrays.dense(operation, name, x)
    probability = number(operation, "p", p)
    if not 0 <= probability <= 1:
        raise ValueError(f"{operation}: p must lie in [0, 1] (p={p})")
    seed = integer(operation, "seed", seed)
    if not 0 <= seed < 2**64:
        raise ValueError(f"{operation}: seed must lie in [0, 2**64) (seed={seed})")
    out = _arrays.empty_like(x)
    if x.flags.c_contiguous:
        _core.dropout(_arrays.flat(x), probability, seed, _arrays.flat(out))
    else:
        nhwc = (0, 2, 3, 1)
        _core.dropout_channels_last(x.transpose(nhwc), probability, seed, out.transpose(nhwc))
    return out
