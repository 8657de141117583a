"""Small trainings that tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv.random
from fastconv import nn
from fastconv.data import Digits, mnist
from fastconv.train import Callback, History, State


def few(count: int = 32) -> Digits:
    """Pictures of noise with labels of chance."""
    rng = np.random.default_rng(0)
    return Digits(rng.random((count, 1, 28, 28), np.float32), rng.integers(0, 10, count))


def digits(count: int) -> Digits:
    """The first digits of the sample."""
    images, labels = mnist()
    return Digits(images[:count], labels[:count])


def small_net(seed: int = 0, channels: int = 8) -> nn.Sequential:
    fastconv.random.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, channels, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 6 * 6, 10),
    )


def full_net(seed: int = 0, classes: int = 10) -> nn.Sequential:
    """A network with all that a checkpoint has to remember: statistics, and masks by chance."""
    fastconv.random.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(6 * 8 * 8, classes),
    )


class Recorder(Callback):
    """Notes what is called, and when."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_start(self, state: State) -> None:
        self.calls.append(("start", state.epoch, state.step))

    def on_step(self, state: State) -> None:
        self.calls.append(("step", state.epoch, state.step))

    def on_epoch(self, state: State) -> None:
        self.calls.append(("epoch", state.epoch, state.step))

    def on_end(self, state: State) -> None:
        self.calls.append(("end", state.epoch, state.step))


class At(Callback):
    """Does something after step number `step`."""

    def __init__(self, step: int, action: Any) -> None:
        self.step = step
        self.action = action

    def on_step(self, state: State) -> None:
        if state.history.steps == self.step:
            self.action(state)


def same_history(first: History, second: History) -> None:
    """Assert that two trainings were the same, bit for bit, times left out."""
    for name in ("loss", "lr", "train_loss", "train_accuracy", "accuracy"):
        assert getattr(first, name) == getattr(second, name), name


def same_weights(first: nn.Module, second: nn.Module) -> None:
    """Assert that two networks have the same parameters and buffers, bit for bit."""
    others = second.state_dict()
    for name, array in first.state_dict().items():
        assert array.tobytes() == others[name].tobytes(), name
