"""Cutting a set of pictures into batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..random import generator

__all__ = ["batches"]


def batches(
    images: NDArray[Any],
    labels: NDArray[Any],
    batch_size: int = 64,
    shuffle: bool = True,
    seed: int | np.random.Generator | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Go once through `images` (N, ...) and `labels` (N,), `batch_size` at a time.

    The order is a permutation drawn from `seed`, an integer or a generator; None (default) draws
    from `fastconv.random`. The last batch is smaller where N is not a multiple of `batch_size`,
    and left out with `drop_last`. Raises ValueError if the lengths differ or `batch_size` is
    below 1.

    >>> images, labels = mnist()
    >>> for x, y in batches(images, labels, batch_size=64): ...
    """
    count = len(images)
    if len(labels) != count:
        raise ValueError(
            "batches: there must be one label for each picture "
            f"(images={count}, labels={len(labels)})"
        )
    if batch_size < 1:
        raise ValueError(f"batches: batch_size must be at least 1 (batch_size={batch_size})")
    order = None
    if shuffle:
        rng = generator() if seed is None else np.random.default_rng(seed)
        order = rng.permutation(count)
    end = count - count % batch_size if drop_last else count
    return _cut(images, labels, batch_size, order, end)


def _cut(
    images: NDArray[Any],
    labels: NDArray[Any],
    batch_size: int,
    order: NDArray[Any] | None,
    end: int,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for start in range(0, end, batch_size):
        part: Any = slice(start, start + batch_size)
        if order is not None:
            part = order[part]
        yield images[part], labels[part]
