"""Pictures and labels: reading them, cutting them into batches, varying them."""

from __future__ import annotations

from ._mnist import Digits, mnist
from .augment import random_shift
from .idx import read_idx, write_idx
from .loader import batches
from .stream import Loader

__all__ = ["Digits", "Loader", "batches", "mnist", "random_shift", "read_idx", "write_idx"]
