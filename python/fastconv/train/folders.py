"""Loaders for pictures of one's own: folders of class folders, for training and validation."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import (
    Compose,
    ImageFolder,
    Loader,
    Preset,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from ..data.loader import Transform

__all__ = ["FolderLoaders", "folder_loaders"]

_MARGIN = 8 / 7  # 256 for 224: the middle is cut out of a picture so much larger
_LEAST_PART = 0.3  # of a picture's area, that a training crop shows


class FolderLoaders(NamedTuple):
    """What `folder_loaders` returns."""

    train: Loader  # random crops and mirror images, in random order
    plain: Loader  # the same pictures as they are
    val: Loader
    classes: list[str]

    @property
    def preset(self) -> Preset:
        """How `val` prepares its pictures: the preset of a network that learns from `train`."""
        prepare = self.val.transform
        assert isinstance(prepare, _Prepare)
        return prepare.preset


def folder_loaders(
    path: str | os.PathLike[str],
    size: int | tuple[int, int],
    batch_size: int = 32,
    seed: int = 0,
    *,
    preset: Preset | None = None,
) -> FolderLoaders:
    """Return loaders of the pictures in `path`/train/CLASS and `path`/val/CLASS, a folder or a tar.

    size: of the pictures, a side or (height, width). Those for training are random parts and
        mirror images; of the others the middle is taken, 7/8 of the shorter side of a square one.
    preset: whose order, mean and scale the pictures get, as the network to start from was trained
        with (`net.preset`); its size and resizing do not count. None: RGB by ImageNet's mean and
        deviation.

    Those that cannot be read are left out with a warning. Raises ValueError if training and
    validation have other classes, and what `ImageFolder` raises.
    """
    learn, test = ImageFolder(path, "train"), ImageFolder(path, "val")
    if learn.classes != test.classes:
        raise ValueError(
            "folder_loaders: train and val must have the same classes "
            f"(path={path}, train={learn.classes}, val={test.classes})"
        )
    part = RandomResizedCrop(size, scale=(_LEAST_PART, 1.0))
    sides = (size, size) if isinstance(size, int) else size
    middle = replace(
        Preset.imagenet() if preset is None else preset,
        size=sides,
        resize=round(max(sides) * _MARGIN),
        filter=part.interpolation,
    )

    def loader(dataset: ImageFolder, transform: Transform, shuffle: bool) -> Loader:
        return Loader(
            dataset, batch_size, shuffle=shuffle, transform=transform, seed=seed, on_error="skip"
        )

    return FolderLoaders(
        loader(learn, Compose([part, RandomHorizontalFlip(), _Normalize(middle)]), True),
        loader(learn, _Prepare(middle), True),
        loader(test, _Prepare(middle), False),
        learn.classes,
    )


@dataclass(frozen=True)
class _Normalize:
    """Order, mean and scale of a preset, for pictures that have its size."""

    preset: Preset

    def __call__(
        self, pictures: NDArray[np.uint8], rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        return self.preset.normalize(pictures)


@dataclass(frozen=True)
class _Prepare:
    """A preset as a transform: what `predict` does, so that it sees what was measured."""

    preset: Preset

    def __call__(
        self, pictures: Iterable[NDArray[np.uint8]], rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        return self.preset.normalize(np.stack([self.preset.cut(one) for one in pictures]))
