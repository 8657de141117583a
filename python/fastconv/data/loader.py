"""Cutting a set of pictures into batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arguments import integer
from .dataset import Dataset, as_dataset
from .pictures import PictureError
from .prefetch import prefetch
from .transforms._pictures import sizes, stack, to_float

__all__ = ["Loader", "Transform"]

Transform = Callable[[Any, np.random.Generator], Any]


class Loader:
    """Batches (x, y) of a dataset, prepared ahead by threads: x (N, C, H, W) float32, y (N,) int64.

    Args:
        dataset: a pair (images, labels) of arrays, as `mnist()` returns, or a `Dataset`, such as
            `cifar10(path)` and `ImageFolder(path)`.
        batch_size: pictures in a batch (64); the last one is smaller, or left out with `drop_last`.
        shuffle: draw a new order for each epoch (False).
        transform: called as `transform(pictures, rng)` on each batch. `pictures` are uint8,
            (N, H, W, C) or, where sizes differ, a list of (H, W, C); of float32 arrays they are
            (N, C, H, W). It returns float32 (N, C, H, W), or uint8 pictures of one size. Default
            None. What is uint8 in the end becomes float32 from 0 to 1.
        seed: of order and transform (0). A batch is a function of seed, epoch and step alone: the
            same bits at any number of workers, and wherever an epoch is entered.
        workers: threads that prepare batches, at most `workers + 1` of them ahead (2); 0: none.
        on_error: "raise" (default) what a picture that cannot be decoded raises, `PictureError`, or
            "skip" it with a warning that names it: the batch then has one picture fewer. A batch of
            which no picture can be read comes as x (0, 3, 0, 0) and y (0,).

    x lies in memory with channels last where pictures are uint8, as the C++ core likes best.
    Threads end when an epoch does, is left or fails.

    >>> loader = Loader(cifar10(path), 128, shuffle=True, transform=RandomCrop(32, padding=4))
    >>> for x, y in loader: ...  # epoch 0; the next loop is epoch 1
    >>> for x, y in loader.epoch(3, start=200): ...  # epoch 3 from its step 200 on
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        transform: Transform | None = None,
        seed: int = 0,
        workers: int = 2,
        drop_last: bool = False,
        on_error: str = "raise",
    ) -> None:
        self.dataset: Dataset = as_dataset("Loader", dataset)
        self.batch_size = integer("Loader", "batch_size", batch_size, 1)
        self.seed = integer("Loader", "seed", seed, 0)
        self.workers = integer("Loader", "workers", workers, 0)
        if transform is not None and not callable(transform):
            raise TypeError(
                f"Loader: transform must be callable (transform={type(transform).__name__})"
            )
        if on_error not in ("raise", "skip"):
            raise ValueError(f"Loader: on_error must be 'raise' or 'skip' (on_error={on_error!r})")
        self.shuffle = shuffle
        self.transform = transform
        self.drop_last = drop_last
        self.on_error = on_error
        self._following = 0

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, if the dataset has them."""
        return getattr(self.dataset, "classes", None)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels of the whole dataset, in its order."""
        return self.dataset.labels

    def __len__(self) -> int:
        """The number of steps of an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole if self.drop_last else whole + (rest > 0)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Go through the next epoch: 0, then 1, and so on."""
        number = self._following
        self._following += 1
        return self.epoch(number)

    def epoch(
        self, number: int = 0, start: int = 0
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Go through epoch `number` (0) from its step `start` (0) on.

        Raises ValueError for a negative epoch and for a start beyond the last step. While it runs,
        a picture, a transform and the dataset may raise what they like; it comes from here.
        """
        number = integer("Loader", "number", number, 0)
        start = integer("Loader", "start", start, 0)
        if start > len(self):
            raise ValueError(
                f"Loader: start must not be beyond the last step (start={start}, steps={len(self)})"
            )
        return self._run(number, start)

    def _run(
        self, number: int, start: int
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = self._rng(number).permutation(order)

        def prepare(step: int, stop: Event) -> _Batch:
            first = step * self.batch_size
            return self._prepare(order[first : first + self.batch_size], number, step, stop)

        work: Any = prefetch(prepare, range(start, len(self)), self.workers)
        with closing(work):
            for batch in work:
                # Here rather than in a thread: filters, and who is blamed, are then the caller's.
                for error in batch.unreadable:
                    warnings.warn(f"Loader: a picture is left out: {error}", stacklevel=2)
                yield batch.x, batch.y

    def _rng(self, *key: int) -> np.random.Generator:
        # Not default_rng([seed, epoch, step]): trailing zeros make no difference there, so the
        # order of an epoch and the transform of its first step would draw the same numbers.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _prepare(self, indices: NDArray[np.int64], number: int, step: int, stop: Event) -> _Batch:
        pictures, kept, unreadable = self._read(indices, stop)
        if not len(kept):
            return _Batch(np.empty((0, 3, 0, 0), np.float32), kept, unreadable)
        if self.transform is not None:
            pictures = self.transform(pictures, self._rng(number, step))
        labels = np.asarray(self.dataset.labels)[kept].astype(np.int64, copy=False)
        return _Batch(
            _finished(pictures, len(kept), self.transform is not None), labels, unreadable
        )

    def _read(
        self, indices: NDArray[np.int64], stop: Event
    ) -> tuple[Any, NDArray[np.int64], list[PictureError]]:
        """Return pictures, which of `indices` they are, and what was wrong with the others."""
        read_batch = getattr(self.dataset, "read_batch", None)
        if read_batch is not None:
            try:
                return stack(read_batch(indices)), indices, []
            except PictureError:
                if self.on_error == "raise":
                    raise
        pictures: list[NDArray[Any]] = []
        kept: list[int] = []
        unreadable: list[PictureError] = []
        for index in indices.tolist():
            if stop.is_set():
                raise CancelledError
            try:
                picture = self.dataset.read(index)
            except PictureError as error:
                if self.on_error == "raise":
                    raise
                unreadable.append(error)
                continue
            if picture.dtype != np.uint8 or picture.ndim != 3:
                raise TypeError(
                    "Loader: dataset.read must return uint8 pictures (H, W, C) "
                    f"(index={index}, dtype={picture.dtype}, shape={picture.shape})"
                )
            pictures.append(picture)
            kept.append(index)
        return stack(pictures), np.array(kept, np.int64), unreadable


class _Batch(NamedTuple):
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    unreadable: list[PictureError]


def _finished(pictures: Any, count: int, transformed: bool) -> NDArray[np.float32]:
    """Return what a transform made as float32 (N, C, H, W), once checked."""
    pictures = stack(pictures)
    if isinstance(pictures, list):
        raise ValueError(
            "Loader: pictures of a batch must have one size; let the transform end with one that "
            f"gives it, as Resize((h, w)) and CenterCrop do (sizes={sizes(pictures)})"
        )
    if pictures.dtype not in (np.uint8, np.float32):
        raise TypeError(
            f"Loader: transform must return float32 or uint8 pictures (dtype={pictures.dtype})"
        )
    if len(pictures) != count or (pictures.ndim != 4 and transformed):
        raise ValueError(
            "Loader: transform must return as many pictures as it is given "
            f"(pictures={count}, shape={pictures.shape})"
        )
    if pictures.dtype == np.uint8:
        return to_float(pictures)
    finished: NDArray[np.float32] = pictures
    return finished
