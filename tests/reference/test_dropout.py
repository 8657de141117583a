"""Dropout, and its generator against the published vectors."""

from __future__ import annotations

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference
from fastconv.reference.dropout import philox4x32, uniform24

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    "counter, key, expected",
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counter, key, expected):
    """Random123's kat_vectors for philox4x32, 10 rounds."""
    np.testing.assert_array_equal(philox4x32(np.array(counter), key), expected)


def test_numbers_belong_to_places():
    seed = 0x299F31D0A4093822
    numbers = uniform24((3, 5), seed)
    for i, number in enumerate(numbers.ravel()):
        words = philox4x32(np.array([i // 4, 0, 0, 0]), (0xA4093822, 0x299F31D0))
        assert number == words[i % 4] >> 8
    np.testing.assert_array_equal(uniform24((15,), seed), numbers.ravel())


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout(p):
    x = np.random.default_rng(0).standard_normal((4, 5, 6, 7))
    y = reference.dropout(x, p, seed=7)
    u = uniform24(x.shape, 7) * 2.0**-24
    np.testing.assert_allclose(y, np.where(u >= p, x / (1 - p), 0), rtol=1e-15)
    kept = np.count_nonzero(y) / y.size
    assert abs(kept - (1 - p)) < 4 * (p * (1 - p) / y.size) ** 0.5 + 1e-12
    check_twin("dropout", x, p, 7)


def test_layout_does_not_matter():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(reference.dropout(np.asfortranarray(x)), reference.dropout(x))


def test_extremes():
    x = np.array([1.0, np.nan, np.inf])
    np.testing.assert_array_equal(reference.dropout(x, 1.0), 0)
    np.testing.assert_array_equal(reference.dropout(x, 0.0), x)
    assert reference.dropout(x[:0]).shape == (0,)
    assert reference.dropout(x.astype(np.float32), 0.3).dtype == np.float32
    assert not np.array_equal(uniform24((8,), 1), uniform24((8,), 2**32))


def test_errors():
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=rf"^dropout: p must lie in \[0, 1\] \(p={p}\)$"):
            reference.dropout(np.ones(3), p)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=r"^dropout_backward: seed must lie in \[0, 2\*\*64\)"):
            reference.dropout_backward(np.ones(3), 0.5, seed)
