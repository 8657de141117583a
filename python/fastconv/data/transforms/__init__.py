"""Changes to a batch of pictures, under torchvision's names.

Each is called as `transform(pictures, rng)`, with pictures as `Loader` gives them: uint8
(N, H, W, C), or a list of (H, W, C) where sizes differ; those that move pixels alone, and
`Normalize`, take float32 (N, C, H, W) too. What has one size afterwards comes back as one array.
All numbers are drawn from `rng`; those that draw none can be called without it.

>>> train = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize(mean, std)])
"""

from __future__ import annotations

from .colour import ColorJitter
from .compose import Compose
from .crop import CenterCrop, RandomCrop
from .flip import RandomHorizontalFlip
from .normalize import Normalize
from .resize import RandomResizedCrop, Resize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "Resize",
]
