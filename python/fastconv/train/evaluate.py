"""Asking a network for its answers, and counting how many are right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import no_grad, tensor
from ..nn import Module

__all__ = ["Data", "check_data", "evaluate", "inference", "predict"]

Data = tuple[NDArray[Any], NDArray[Any]]


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


def predict(net: Module, images: NDArray[Any], batch_size: int = 256) -> NDArray[np.int64]:
    """Return the class of the largest output for each of `images` (N, C, H, W), as (N,) int64."""
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be at least 1 (batch_size={batch_size})")
    answers = np.empty(len(images), np.int64)
    with inference(net):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            answers[part] = net(tensor(images[part])).data.argmax(1)
    return answers


def evaluate(net: Module, data: Data, batch_size: int = 256) -> float:
    """Return the share, from 0 to 1, of `data` = (images, labels) that `net` classifies rightly.

    Raises ValueError if there are no pictures, or not one label for each.
    """
    check_data("evaluate", data)
    images, labels = data
    return float((predict(net, images, batch_size) == labels).mean())


def check_data(op: str, data: Data) -> None:
    """Raise ValueError, in the name of `op`, unless there are pictures and a label for each."""
    images, labels = data
    if len(images) != len(labels) or not len(images):
        raise ValueError(
            f"{op}: there must be pictures, and one label for each "
            f"(images={len(images)}, labels={len(labels)})"
        )
