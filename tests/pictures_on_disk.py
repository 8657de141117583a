"""Small pictures in class folders, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["write_folders"]

_COLOURS = {"green": (0, 255, 0), "red": (255, 0, 0)}


def write_folders(root: Path, train: int, val: int, noise: int = 0) -> None:
    """Write pictures, `train` and `val` of each of two classes: green and red, give or take."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name, colour in _COLOURS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture = np.array(colour) + rng.integers(-noise, noise + 1, (40, 48, 3))
                pixels = np.clip(picture, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
