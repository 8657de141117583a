"""Pictures and labels: reading them, varying them, handing them over in batches.

Readers (`mnist`, `cifar10`, `ImageFolder`) give a dataset, `transforms` vary its pictures, and a
`Loader` prepares batches in threads while the network computes:

>>> from fastconv.data import *
>>> mean, std = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
>>> vary = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize(mean, std)])
>>> train = Loader(cifar10("cifar-10-python.tar.gz"), 128, shuffle=True, transform=vary)
>>> for x, y in train:  # x (128, 3, 32, 32) float32, y (128,) int64
...     ...

Order and variation follow from the loader's seed, the epoch and the step alone, so that a training
can be repeated, and taken up again in the middle of an epoch (`train.epoch(number, start)`), with
the same bits at any number of workers.
"""

from __future__ import annotations

from ._mnist import Digits, mnist
from .augment import random_shift
from .cifar import cifar10
from .dataset import ArrayDataset, Dataset
from .folder import ImageFolder
from .idx import read_idx, write_idx
from .loader import Loader
from .pictures import PictureError
from .preset import Preset
from .transforms import (
    CenterCrop,
    ColorJitter,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
)

__all__ = [
    "ArrayDataset",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Dataset",
    "Digits",
    "ImageFolder",
    "Loader",
    "Normalize",
    "PictureError",
    "Preset",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "Resize",
    "cifar10",
    "mnist",
    "random_shift",
    "read_idx",
    "write_idx",
]
