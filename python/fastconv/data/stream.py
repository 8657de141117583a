"""Batches of a pair of arrays by epoch and step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loader"]


class Loader:
    """Batches of a pair (images, labels), a function of seed, epoch and step."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        transform: Any = None,
        seed: int = 0,
        workers: int = 2,
        drop_last: bool = False,
        on_error: str = "raise",
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.labels = dataset[1]
        self._shuffle = shuffle
        self._seed = seed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        order = np.arange(len(self.labels))
        if self._shuffle:
            sequence = np.random.SeedSequence(self._seed, spawn_key=(0, number))
            order = np.random.default_rng(sequence).permutation(order)
        for step in range(start, len(self)):
            part = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self.dataset[0][part], self.labels[part]
