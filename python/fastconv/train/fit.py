"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import Tensor, ops, tensor
from ..data import batches
from ..nn import Module
from ..optim import SGD
from ..random import generator
from .evaluate import Data, check_data, evaluate
from .history import History
from .progress import Progress
from .schedule import Schedule, one_cycle

__all__ = ["fit"]

Augment = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]
Loss = Callable[[Any, NDArray[Any]], Tensor]


def fit(
    net: Module,
    train: Data,
    val: Data | None = None,
    epochs: int = 8,
    batch_size: int = 64,
    lr: float = 0.1,
    *,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    schedule: Schedule = one_cycle,
    augment: Augment | None = None,
    loss: Loss = ops.cross_entropy,
    seed: int | None = None,
    progress: bool = True,
) -> History:
    """Train `net` in place by stochastic gradient descent and return its `History`.

    Args:
        train: pictures (N, C, H, W) and their labels (N,).
        val: the same, to measure accuracy on after each epoch. Default None: not measured.
        epochs: passes over `train` (8); batch_size: pictures in a step (64).
        lr: the highest learning rate (0.1); `schedule(done)` gives the share of it to use, where
            `done` runs from 0 to 1 over the training (`one_cycle`).
        momentum, weight_decay: as in `optim.SGD` (0.9, 5e-4).
        augment: called as `augment(images, rng)` on each batch, such as `data.random_shift`.
        loss: called as `loss(net(images), labels)` (cross-entropy of logits).
        seed: of shuffling and augmentation; None draws from `fastconv.random`.
        progress: show a bar on a terminal, and a line for each epoch elsewhere.

    The network is left in training mode. Raises ValueError if `train` or `val` is empty or lacks
    labels, or if `epochs` or `batch_size` is below 1; FloatingPointError when the loss is no
    longer finite.
    """
    for data in (train,) if val is None else (train, val):
        check_data("fit", data)
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            "fit: epochs and batch_size must be at least 1 "
            f"(epochs={epochs}, batch_size={batch_size})"
        )
    rng = generator() if seed is None else np.random.default_rng(seed)
    optimizer = SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    images, labels = train
    steps = epochs * math.ceil(len(images) / batch_size)
    history = History()
    start = time.perf_counter()
    net.train()
    with Progress(epochs, steps, progress) as display:
        for _ in range(epochs):
            right = 0
            for x, y in batches(images, labels, batch_size, seed=rng):
                rate = lr * schedule(history.steps / steps)
                output = net(tensor(x if augment is None else augment(x, rng)))
                error = loss(output, y)
                value = float(error.item())
                if not math.isfinite(value):
                    raise FloatingPointError(
                        "fit: the loss must stay finite; a lower lr may help "
                        f"(step={history.steps}, loss={value}, lr={rate:.3g})"
                    )
                _step(optimizer, rate, error)
                history.loss.append(value)
                history.lr.append(rate)
                right += int((_logits(output).argmax(1) == y).sum())
                display.step(value)
            history.train_accuracy.append(right / len(images))
            if val is not None:
                history.accuracy.append(evaluate(net, val))
            display.epoch(history)
    history.seconds = time.perf_counter() - start
    return history


def _step(optimizer: SGD, rate: float, error: Tensor) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    error.backward()
    optimizer.step()


def _logits(output: Any) -> NDArray[Any]:
    """Return the main head's logits of a network that may have several (auxiliary ones follow)."""
    main: Tensor = output[0] if isinstance(output, tuple) else output
    return main.data
