"""A loader of features: arrays that are no pictures."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv.data import ArrayDataset, Loader


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4, 5)])
def test_features_of_any_number_of_axes(shape: tuple[int, ...]) -> None:
    features = np.random.default_rng(0).random((5, *shape), np.float32)
    loader = Loader((features, np.arange(5)), 2, shuffle=True, seed=1)
    seen = list(loader.epoch(0))
    assert [len(x) for x, _ in seen] == [2, 2, 1]
    order = np.concatenate([y for _, y in seen])
    assert sorted(order) == list(range(5))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in seen]), features[order])


def test_bytes_are_pictures() -> None:
    for array in (np.zeros((2, 3), np.uint8), np.zeros(2, np.float32)):
        with pytest.raises(ValueError, match=r"ArrayDataset: images must have 4 dimensions"):
            ArrayDataset(array, np.arange(2))
