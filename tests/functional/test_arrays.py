"""Arrays at the door: the memory of results, and arrays that come from elsewhere."""

from __future__ import annotations

import pickle

import numpy as np

from fastconv import functional as F


def test_results_share_no_memory_with_results_that_live() -> None:
    x = np.arange(5000, dtype=np.float32)
    kept = {}
    for i in range(200):
        y = F.relu(x + np.float32(i))
        if i % 3 == 0:
            kept[i] = y  # the others' memory is used again
    for i, y in kept.items():
        np.testing.assert_array_equal(y, x + np.float32(i))


def test_more_memory_than_is_kept() -> None:
    x = np.ones(20_000_000, np.float32)
    results = [F.relu(x) for _ in range(5)]  # 400 MB
    del results
    np.testing.assert_array_equal(F.relu(x[:2000]), x[:2000])


def test_unpickled_arrays_are_taken() -> None:
    x = np.ones((1, 3, 6, 6), np.float32)
    weight = np.ones((4, 3, 3, 3), np.float32)
    again, other = pickle.loads(pickle.dumps((x, weight)))
    np.testing.assert_array_equal(F.conv2d(again, other), F.conv2d(x, weight))


def test_an_algorithm_is_chosen_for_an_empty_batch_too() -> None:
    weight = np.ones((4, 3, 3, 3), np.float32)
    packed = F.pack_conv2d(weight, algorithm="fastest", input_shape=(0, 3, 8, 8))
    assert packed(np.ones((0, 3, 8, 8), np.float32)).shape == (0, 4, 6, 6)
