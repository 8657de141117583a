"""Dropout against its twin, bit by bit, and against the published generator."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare import check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

SEEDS = [0, 1, 2**32, 0x299F31D0A4093822, 2**64 - 1]
SHAPES = [
    *[(size,) for size in (0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 127, 1000)],
    (3, 7),
    (2, 3, 5),
    (2, 3, 5, 7),
    (1, 16, 7, 7),
    (2, 17, 15, 17),
    (1, 33, 20, 20),
    (0, 3, 2, 2),
    (2, 3, 0, 2),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def philox(counter, key):
    """Philox4x32-10 as its paper has it, on Python integers."""
    for _ in range(10):
        high0, low0 = divmod(counter[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(counter[2] * 0xCD9E8D57, 2**32)
        counter = (high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0)
        key = ((key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32)
    return counter


def test_known_answers():
    """Of the authors' Random123 library (kat_vectors)."""
    zeros = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox((0, 0, 0, 0), (0, 0)) == zeros
    ones = (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    assert philox((2**32 - 1,) * 4, (2**32 - 1,) * 2) == ones


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mask_is_that_of_philox(seed, every_isa):
    key = (seed % 2**32, seed // 2**32)
    u = [(word >> 8) / 2**24 for block in range(25) for word in philox((block, 0, 0, 0), key)]
    for p in (0.1, 0.5, 0.9, u[3], math.nextafter(u[4], 1), math.nextafter(u[5], 0)):
        y = functional.dropout(np.ones(100, np.float32), p, seed)
        np.testing.assert_array_equal(y != 0, [v >= p for v in u])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_same_bits_as_the_twin(shape, p, every_isa, thread_counts):
    x = normal(*shape)
    y = reference.dropout(x, p, 7)
    np.testing.assert_array_equal(functional.dropout(x, p, 7), y)
    np.testing.assert_array_equal(functional.dropout_backward(x, p, 7), y)
    if x.ndim == 4:
        ours = functional.dropout(functional.to_channels_last(x), p, 7)
        np.testing.assert_array_equal(ours, y)


def test_layouts():
    x = normal(2, 19, 3, 9)
    y = reference.dropout(x, 0.4, 5)
    for layout, other in layouts(x):
        np.testing.assert_array_equal(functional.dropout(other, 0.4, 5), y, err_msg=layout)


def test_gradient(every_isa):
    check("dropout", normal(3, 50), 0.3, 11)


def test_dropped_values_are_zero_whatever_they_were(every_isa):
    x = np.tile(np.array([np.nan, np.inf, -np.inf], np.float32), 30)
    y = functional.dropout(x, 0.5, 1)
    kept = reference.dropout(np.ones_like(x), 0.5, 1) != 0
    np.testing.assert_array_equal(y, np.where(kept, x, 0))


def test_share_of_kept_elements(every_isa):
    for p in (0.1, 0.5, 0.8):
        kept = (functional.dropout(np.ones(100_000, np.float32), p, 3) != 0).mean()
        assert abs(kept - (1 - p)) < 5 * math.sqrt(p * (1 - p) / 100_000)


def test_same_bits_at_any_thread_count(every_isa):
    x = normal(3, 67, 31, 33)
    for layout in (x, functional.to_channels_last(x)):
        assert_same_bits(lambda a=layout: functional.dropout(a, 0.5, 9))


X = normal(2, 3)
ERRORS = [
    (
        lambda: functional.dropout(X, 1.5),
        ValueError,
        "dropout: p must lie in [0, 1] (p=1.5)",
    ),
    (
        lambda: functional.dropout_backward(X, float("nan")),
        ValueError,
        "dropout_backward: p must lie in [0, 1] (p=nan)",
    ),
    (
        lambda: functional.dropout(X, "0.5"),
        TypeError,
        "dropout: p must be a number (p='0.5')",
    ),
    (
        lambda: functional.dropout(X, 0.5, -1),
        ValueError,
        "dropout: seed must lie in [0, 2**64) (seed=-1)",
    ),
    (
        lambda: functional.dropout(X, 0.5, 2**64),
        ValueError,
        "dropout: seed must lie in [0, 2**64) (seed=18446744073709551616)",
    ),
    (
        lambda: functional.dropout(X, 0.5, 0.5),
        TypeError,
        "dropout: seed must be an integer (seed=0.5)",
    ),
    (
        lambda: functional.dropout_backward(X.astype(np.float64)),
        TypeError,
        "dropout_backward: grad_output must be float32; convert it with astype (dtype=float64)",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
