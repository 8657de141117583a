"""What `fastconv train` teaches a network: the data that its input size asks for, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..data import Loader, Preset
    from ..nn import Module
    from ..optim import Optimizer

__all__ = ["LR", "RECIPES", "Recipe", "make_optimizer"]

LR = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}
_MOMENTUM = 0.9

# Few digits need more passes than many to reach a good accuracy.
_EPOCHS_FEW = 15
_EPOCHS_MANY = 8
_MANY = 20_000

# Of the 50,000 training pictures, channel by channel, from 0 to 1.
_CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
_CIFAR_STD = (0.2470, 0.2435, 0.2616)
_CIFAR_EPOCHS = 50


@dataclass(frozen=True)
class Recipe:
    """A data set, and what training on it takes unless the command line says otherwise.

    `open(path, download)` returns the datasets to learn from and to test on; `transform()` and
    `test_transform()` what to do with their pictures; `epochs(count)` the passes that so many
    pictures need; `preset()` what `test_transform` does, for photos; `classes()` the labels' names.
    """

    pictures: str
    open: Callable[[Path | None, bool], tuple[Any, Any]]
    transform: Callable[[], Any]
    test_transform: Callable[[], Any]
    epochs: Callable[[int], int]
    batch_size: int
    weight_decay: float
    preset: Callable[[], Preset]
    classes: Callable[[], tuple[str, ...]]

    def loaders(
        self, path: Path | None, download: bool, batch_size: int | None, seed: int
    ) -> tuple[Loader, Loader]:
        """Return the batches to learn from and to test on."""
        from ..data import Loader

        train, test = self.open(path, download)
        size = batch_size or self.batch_size
        return (
            Loader(train, size, shuffle=True, transform=self.transform(), seed=seed),
            Loader(test, 256, transform=self.test_transform()),
        )


def make_optimizer(
    name: str, net: Module, lr: float | None, weight_decay: float, nesterov: bool = False
) -> Optimizer:
    """Return an optimizer by its name on the command line; None is its own usual rate.

    `weight_decay` and `nesterov` are sgd's.
    """
    from .. import optim

    rate = LR[name] if lr is None else lr
    if name == "sgd":
        return optim.SGD(
            net.parameters(), rate, _MOMENTUM, weight_decay=weight_decay, nesterov=nesterov
        )
    return {"adam": optim.Adam, "adamw": optim.AdamW}[name](net.parameters(), rate)


def _open_digits(path: Path | None, download: bool) -> tuple[Any, Any]:
    from ..data import mnist

    return mnist(path, "train", download), mnist(path, "test", download)


def _shift() -> Any:
    from ..data import random_shift

    return random_shift


def _open_cifar(path: Path | None, download: bool) -> tuple[Any, Any]:
    from ..data import cifar10

    if path is None or download:
        raise click.BadParameter(
            "this network learns from CIFAR-10, whose folder or tar must be given "
            "(https://www.cs.toronto.edu/~kriz/cifar.html); it is neither shipped nor downloaded",
            param_hint="'--data'",
        )
    return cifar10(path, "train"), cifar10(path, "test")


def _normalize() -> Any:
    from ..data import Normalize

    return Normalize(_CIFAR_MEAN, _CIFAR_STD)


def _digits_preset() -> Preset:
    from ..data import Preset

    return Preset((28, 28), None, "L", mean=(0.0,), scale=(1 / 255,))


def _cifar_preset() -> Preset:
    from ..data import Preset

    mean = tuple(255 * m for m in _CIFAR_MEAN)
    return Preset((32, 32), 32, "RGB", mean, scale=tuple(1 / (255 * s) for s in _CIFAR_STD))


def _cifar_classes() -> tuple[str, ...]:
    from ..data.cifar import CLASSES

    return tuple(CLASSES)


def _crop_and_flip() -> Any:
    from ..data import Compose, RandomCrop, RandomHorizontalFlip

    return Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), _normalize()])


RECIPES = {  # by the networks' input sizes
    (1, 28, 28): Recipe(
        pictures="digits",
        open=_open_digits,
        transform=_shift,
        test_transform=lambda: None,
        epochs=lambda count: _EPOCHS_MANY if count >= _MANY else _EPOCHS_FEW,
        batch_size=64,
        weight_decay=5e-4,
        preset=_digits_preset,
        classes=lambda: tuple("0123456789"),
    ),
    # He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2, but for the schedule, which
    # needs a third of their epochs and bears five times their weight decay, and for what is
    # subtracted: a mean per channel, not per pixel.
    (3, 32, 32): Recipe(
        pictures="pictures",
        open=_open_cifar,
        transform=_crop_and_flip,
        test_transform=_normalize,
        epochs=lambda count: _CIFAR_EPOCHS,
        batch_size=128,
        weight_decay=5e-4,
        preset=_cifar_preset,
        classes=_cifar_classes,
    ),
}
