"""Batches and augmentation."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv.random
from fastconv.data import batches, random_shift

IMAGES = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
LABELS = np.arange(10)


def order(**options: object) -> list[int]:
    found = []
    for x, y in batches(IMAGES, LABELS, **options):  # type: ignore[arg-type]
        np.testing.assert_array_equal(x[:, 0, 0, 0], y)
        found += y.tolist()
    return found


def test_in_order() -> None:
    parts = list(batches(IMAGES, LABELS, 4, shuffle=False))
    assert [y.tolist() for _, y in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [x.shape for x, _ in parts] == [(4, 1, 1, 1), (4, 1, 1, 1), (2, 1, 1, 1)]


def test_drop_last() -> None:
    sizes = [len(y) for _, y in batches(IMAGES, LABELS, 4, drop_last=True, seed=0)]
    assert sizes == [4, 4]
    assert not list(batches(IMAGES, LABELS, 11, drop_last=True))


def test_shuffled_by_seed() -> None:
    assert sorted(order(seed=1)) == list(range(10))
    assert order(seed=1) == order(seed=1) != order(seed=2)
    rng = np.random.default_rng(1)
    first = order(seed=rng)
    assert first == order(seed=1)
    assert first != order(seed=rng)


def test_no_seed_follows_manual_seed() -> None:
    fastconv.random.manual_seed(3)
    first = order()
    assert first != order()
    fastconv.random.manual_seed(3)
    assert first == order()


def test_empty() -> None:
    assert not list(batches(IMAGES[:0], LABELS[:0]))


def test_errors_come_at_the_call() -> None:
    with pytest.raises(ValueError, match=r"batches: .* \(images=10, labels=9\)"):
        batches(IMAGES, LABELS[:9])
    with pytest.raises(ValueError, match=r"batches: .* \(batch_size=0\)"):
        batches(IMAGES, LABELS, 0)


def test_random_shift_moves_and_fills_with_zeros() -> None:
    images = np.random.default_rng(0).random((50, 3, 6, 5), np.float32) + 1
    moved = random_shift(images, np.random.default_rng(1), 2)
    assert moved.shape == images.shape
    assert moved.dtype == np.float32
    seen = set()
    for before, after in zip(images, moved, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)))
        places = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(padded[:, i : i + 6, j : j + 5], after)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 15
    np.testing.assert_array_equal(random_shift(images, np.random.default_rng(1), 0), images)


def test_random_shift_errors() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"random_shift: .* \(shape=\(2, 3\)\)"):
        random_shift(np.zeros((2, 3)), rng)
    with pytest.raises(ValueError, match=r"random_shift: .* \(pixels=-1\)"):
        random_shift(np.zeros((1, 1, 2, 2)), rng, -1)
