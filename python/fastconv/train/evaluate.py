"""Asking a network for its answers, and counting how many are right."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..autograd import no_grad, tensor
from ..data import ArrayDataset, Dataset, Loader
from ..data.dataset import as_dataset
from ..nn import Module

__all__ = [
    "Batches",
    "Data",
    "accuracy",
    "check_data",
    "check_net",
    "evaluate",
    "inference",
    "predict",
    "running",
]

Data = tuple[NDArray[Any], NDArray[Any]]


@runtime_checkable
class Batches(Protocol):
    """What yields an epoch's batches from any step on, such as `fastconv.data.Loader`."""

    def __len__(self) -> int:
        """The number of batches of an epoch."""

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Data]:
        """Yield (images, labels) of epoch `number` from batch `start` on."""


@contextmanager
def inference(net: Module) -> Iterator[None]:
    """Inside, `net` is set to inference and records nothing; afterwards each layer is as before."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def running(batches: Iterator[Data]) -> Iterator[Iterator[Data]]:
    """Inside, go through `batches`; afterwards what prepares further ones has ended."""
    try:
        yield batches
    finally:
        if isinstance(batches, Generator):
            batches.close()


def predict(net: Module, images: NDArray[Any], batch_size: int = 256) -> NDArray[np.int64]:
    """Return the class of the largest output for each of `images`, float32 (N, C, H, W), as (N,)
    int64."""
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be at least 1 (batch_size={batch_size})")
    answers = np.empty(len(images), np.int64)
    with inference(net):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            answers[part] = net(tensor(images[part])).data.argmax(1)
    return answers


def evaluate(net: Module, data: Data | Dataset | Batches, batch_size: int = 256) -> float:
    """Return the share, from 0 to 1, of `data` that `net` classifies rightly.

    `data` is a pair (images (N, C, H, W), labels (N,)) or a dataset, run `batch_size` (256) at a
    time, or a `data.Loader`, which has batches of its own. Raises ValueError if there are no
    pictures, or not one label for each.
    """
    check_net("evaluate", net)
    data = check_data("evaluate", data)
    if isinstance(data, ArrayDataset) and data.images.dtype != np.uint8:  # nothing to prepare
        return float((predict(net, data.images, batch_size) == data.labels).mean())
    share = accuracy(net, cut(data, batch_size))
    assert share is not None  # nothing stopped it
    return share


def accuracy(
    net: Module, data: Batches, stopped: Callable[[], bool] = lambda: False
) -> float | None:
    """Do the work of `evaluate`; None if `stopped()` became true between two batches."""
    right = count = 0
    with inference(net), running(data.epoch()) as batches:
        for images, labels in batches:
            if len(labels):  # a loader skips pictures that cannot be read
                right += int((predict(net, images, len(labels)) == labels).sum())
                count += len(labels)
            if stopped():
                return None
    if not count:
        raise ValueError(f"evaluate: the loader must yield pictures (images={count})")
    return right / count


def check_net(op: str, net: Any) -> None:
    """Raise TypeError, in the name of `op`, for what is no network."""
    if not isinstance(net, Module):
        name = net.__name__ if isinstance(net, type) else type(net).__name__
        raise TypeError(f"{op}: net must be a network, an nn.Module (net={name})")


def check_data(op: str, data: Data | Dataset | Batches) -> Dataset | Batches:
    """Return pairs as datasets; ValueError or TypeError, in the name of `op`, unless there are
    pictures and a label for each."""
    if isinstance(data, Batches):
        if not len(data):
            raise ValueError(f"{op}: the loader must have batches (batches=0)")
        return data
    dataset = as_dataset(op, data)
    if not len(dataset):
        raise ValueError(f"{op}: there must be pictures (pictures=0)")
    return dataset


def cut(data: Data | Dataset | Batches, batch_size: int) -> Batches:
    """Return batches of `data`, in its order; a loader as it is."""
    return data if isinstance(data, Batches) else Loader(data, batch_size)
