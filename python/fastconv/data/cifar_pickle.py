"""The pickled batches of CIFAR-10's Python version, read without executing them.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pickles import NUMPY, Machine, PickleError

__all__ = ["read_cifar_pickle"]

_VALUES = 3072
_CLASSES = 10


def read_cifar_pickle(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pictures (N, 3072) and labels (N,) of a batch such as `data_batch_1`.

    Raises ValueError, which mentions the file's `name`, for anything that is not such a pickle.
    """
    try:
        batch, _ = Machine(NUMPY).run(content)
        return _pictures(batch), _labels(batch)
    except PickleError as error:
        raise ValueError(f"cifar10: {error} (file={name})") from error


def _pictures(batch: Any) -> NDArray[np.uint8]:
    pictures = getattr(_item(batch, "data"), "value", None)
    if pictures is None or pictures.ndim != 2 or pictures.shape[1] != _VALUES:
        shape = "none" if pictures is None else pictures.shape
        raise PickleError(
            f"data must be a uint8 array of {_VALUES} columns, and its shape is {shape}"
        )
    if pictures.dtype != np.uint8:
        raise PickleError(f"data must be of bytes (uint8), and it is of {pictures.dtype}")
    if len(_item(batch, "labels")) != len(pictures):
        raise PickleError(
            f"there must be one label for each picture, and there are {len(pictures)} pictures "
            f"and {len(_item(batch, 'labels'))} labels"
        )
    array: NDArray[np.uint8] = pictures
    return array


def _labels(batch: Any) -> NDArray[np.int64]:
    labels = _item(batch, "labels")
    if not all(type(one) is int and 0 <= one < _CLASSES for one in labels):
        raise PickleError(f"labels must be integers from 0 to {_CLASSES - 1}")
    return np.array(labels, np.int64)


def _item(batch: Any, key: str) -> Any:
    if not isinstance(batch, dict):
        raise PickleError(f"a batch must be a dict, and this is {type(batch).__name__}")
    found = batch.get(key)
    if found is None or (key == "labels" and not isinstance(found, list)):
        raise PickleError("a batch must hold 'data' and a list of 'labels'")
    return found
