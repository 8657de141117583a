"""What a `Loader` reads from: pictures by number, their labels, and the classes' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayDataset", "Dataset", "as_dataset", "channels_first", "channels_last"]


class Dataset(Protocol):
    """Pictures with labels; what `Loader` needs of a class of your own.

    `labels` (N,) int64 and `classes` (their names, or None); `read(index)` returns one picture,
    uint8 (H, W, C), and raises `PictureError` if it cannot be decoded. It is called by several
    threads. `read_batch(indices)`, if there is one, returns several at once: an (N, H, W, C) uint8
    array or a list of pictures.
    """

    @property
    def labels(self) -> NDArray[np.int64]: ...

    @property
    def classes(self) -> list[str] | None: ...

    def __len__(self) -> int: ...

    def read(self, index: int, /) -> NDArray[Any]: ...


class ArrayDataset:
    """Pictures that are in memory: `images` (N, C, H, W) float32 or uint8, `labels` (N,) integers.

    Features, float32 (N, ...) of any other number of axes, will do as well. `classes` names the
    classes (default None). uint8 pictures are read as (H, W, C) and float32 ones as they are,
    (C, H, W). Raises TypeError for other dtypes; ValueError for other shapes, for other than one
    label for each picture, and for labels that `classes` has no name for.
    """

    def __init__(
        self, images: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None = None
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype not in (np.uint8, np.float32):
            raise TypeError(f"ArrayDataset: images must be uint8 or float32 (dtype={images.dtype})")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"ArrayDataset: labels must be integers (dtype={labels.dtype})")
        if images.ndim != 4 and (images.dtype == np.uint8 or images.ndim < 2):
            raise ValueError(f"ArrayDataset: images must have 4 dimensions (shape={images.shape})")
        if labels.shape != (len(images),):
            raise ValueError(
                "ArrayDataset: there must be one label for each picture "
                f"(images={len(images)}, labels={labels.shape})"
            )
        if (
            classes is not None
            and labels.size
            and not 0 <= labels.min() <= labels.max() < len(classes)
        ):
            raise ValueError(
                "ArrayDataset: each label must have a name in classes "
                f"(smallest={labels.min()}, largest={labels.max()}, classes={len(classes)})"
            )
        self.images = images
        self.labels: NDArray[np.int64] = labels.astype(np.int64)
        self.classes = None if classes is None else list(classes)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> NDArray[Any]:
        """Return a copy of one picture, (H, W, C) if uint8 and (C, H, W) if float32."""
        picture: NDArray[Any] = self.read_batch(np.array([index]))[0]
        return picture

    def read_batch(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of several pictures, (N, H, W, C) if uint8 and (N, C, H, W) if float32."""
        if self.images.ndim != 4:
            features: NDArray[Any] = self.images[indices]
            return features
        # Indexing is quickest, and keeps the order of memory, along contiguous pictures.
        lying = channels_last(self.images)
        if lying.flags.c_contiguous:
            batch = lying[indices]
            return batch if self.images.dtype == np.uint8 else channels_first(batch)
        batch = self.images[indices]
        return channels_last(batch) if self.images.dtype == np.uint8 else batch

    def __repr__(self) -> str:
        return f"ArrayDataset(images={self.images.shape} {self.images.dtype})"


def as_dataset(operation: str, dataset: Any) -> Dataset:
    """Return a pair (images, labels) as an `ArrayDataset`, anything else as it is once checked."""
    if isinstance(dataset, (tuple, list)):
        if len(dataset) != 2:
            raise TypeError(
                f"{operation}: dataset must be (images, labels) or an object with read, labels and "
                f"a length (length={len(dataset)})"
            )
        return ArrayDataset(*dataset)
    lacking = [name for name in ("__len__", "labels", "read") if not hasattr(dataset, name)]
    if lacking:
        raise TypeError(
            f"{operation}: dataset must be (images, labels) or an object with read, labels and "
            f"a length (type={type(dataset).__name__}, lacking={', '.join(lacking)})"
        )
    if len(dataset.labels) != len(dataset):
        raise ValueError(
            f"{operation}: there must be one label for each picture "
            f"(pictures={len(dataset)}, labels={len(dataset.labels)})"
        )
    checked: Dataset = dataset
    return checked


def channels_last(x: NDArray[Any]) -> NDArray[Any]:
    """See (N, C, H, W) as (N, H, W, C)."""
    view: NDArray[Any] = x.transpose(0, 2, 3, 1)
    return view


def channels_first(x: NDArray[Any]) -> NDArray[Any]:
    """See (N, H, W, C) as (N, C, H, W)."""
    view: NDArray[Any] = x.transpose(0, 3, 1, 2)
    return view
