"""Loaders for pictures of one's own: folders of class folders, for training and validation."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ..data import (
    CenterCrop,
    Compose,
    ImageFolder,
    Loader,
    Normalize,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
)

__all__ = ["IMAGENET", "FolderLoaders", "folder_loaders"]

# Mean and deviation of ImageNet's pictures, by which published weights expect theirs normalised.
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_MARGIN = 8 / 7  # 256 for 224: the middle is cut out of a picture so much larger
_LEAST_PART = 0.3  # of a picture's area, that a training crop shows


class FolderLoaders(NamedTuple):
    """What `folder_loaders` returns."""

    train: Loader  # random crops and mirror images, in random order
    plain: Loader  # the same pictures as they are
    val: Loader
    classes: list[str]


def folder_loaders(
    path: str | os.PathLike[str], size: int, batch_size: int = 32, seed: int = 0
) -> FolderLoaders:
    """Return loaders of the pictures in `path`/train/CLASS and `path`/val/CLASS, a folder or a tar.

    Pictures become `size` x `size`, normalised by ImageNet's mean and deviation. Those that cannot
    be read are left out with a warning. Raises ValueError if training and validation have other
    classes, and what `ImageFolder` raises.
    """
    learn, test = ImageFolder(path, "train"), ImageFolder(path, "val")
    if learn.classes != test.classes:
        raise ValueError(
            "folder_loaders: train and val must have the same classes "
            f"(path={path}, train={learn.classes}, val={test.classes})"
        )
    normalize = Normalize(*IMAGENET)
    vary = Compose(
        [RandomResizedCrop(size, scale=(_LEAST_PART, 1.0)), RandomHorizontalFlip(), normalize]
    )
    middle = Compose([Resize(round(size * _MARGIN)), CenterCrop(size), normalize])

    def loader(dataset: ImageFolder, transform: Compose, shuffle: bool) -> Loader:
        return Loader(
            dataset, batch_size, shuffle=shuffle, transform=transform, seed=seed, on_error="skip"
        )

    return FolderLoaders(
        loader(learn, vary, True),
        loader(learn, middle, True),
        loader(test, middle, False),
        learn.classes,
    )
