"""Dropout, with a counter-based random generator.

Each element's random number is a function of the seed and of the element's place alone, so the
backward pass makes the same mask again instead of keeping it, and threads and layout do not
matter. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011).
"""

from __future__ import annotations

import math

import numpy as np

from ._arguments import Array, invalid, require_float

__all__ = ["dropout", "dropout_backward", "philox4x32", "uniform24"]

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # golden ratio, sqrt(3) - 1
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: Array, key: tuple[int, int]) -> Array:
    """Philox4x32-10: counters (..., 4) of 32-bit words and a key of two -> (..., 4), uint32.

    A counter is four words c0..c3. In each round c0 and c2 are multiplied by constants to 64
    bits; the high halves are xored with the neighbours and the key, and the words change places.
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter).astype(np.uint64), -1, 0)
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniform24(shape: tuple[int, ...], seed: int) -> Array:
    """Random integers below 2**24, one per element; u = integer * 2**-24 is uniform in [0, 1).

    Element i (C order) takes word i % 4 of block i // 4; the block's number is the counter.
    """
    size = math.prod(shape)
    blocks = np.arange(-(-size // 4), dtype=np.uint64)
    zero = np.zeros_like(blocks)
    counter = np.stack([blocks & _LOW, blocks >> _HALF, zero, zero], axis=-1)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)[:size]
    high: Array = words >> np.uint32(8)
    return high.reshape(shape)


def _masked(op: str, x: Array, p: float, seed: int) -> Array:
    if not 0 <= p <= 1:
        raise invalid(op, "p must lie in [0, 1]", p=p)
    if not 0 <= seed < 2**64:
        raise invalid(op, "seed must lie in [0, 2**64)", seed=seed)
    if p == 1:
        return np.zeros_like(x)
    keep = uniform24(x.shape, seed) >= p * 2.0**24  # u >= p, both sides exact
    return np.where(keep, x * (1 / (1 - p)), 0)


def dropout(x: Array, p: float = 0.5, seed: int = 0) -> Array:
    """Zero each element with probability p and scale the others by 1/(1-p).

    Element i in C order over the logical shape is kept where u_i >= p.
    """
    require_float("dropout", x=x)
    return _masked("dropout", x, p, seed)


def dropout_backward(grad_output: Array, p: float = 0.5, seed: int = 0) -> Array:
    """Gradient of dropout with the same p and seed: the same mask and scale."""
    require_float("dropout_backward", grad_output=grad_output)
    return _masked("dropout_backward", grad_output, p, seed)
