"""Batches of pictures at a transform's door: one array where sizes allow, a list otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import channels_first, channels_last

__all__ = ["Pictures", "check", "lying", "pair", "sizes", "stack", "standing", "to_float"]

Pictures = NDArray[Any] | list[NDArray[np.uint8]]

_SHOWN = 4  # sizes in a message


def check(operation: str, pictures: Any, floats: bool = True) -> Pictures:
    """Return uint8 (N, H, W, C), float32 (N, C, H, W) if `floats`, or a list of uint8 (H, W, C)."""
    pictures = stack(pictures)
    for one in pictures if isinstance(pictures, list) else [pictures]:
        rank = 3 if isinstance(pictures, list) else 4
        if not isinstance(one, np.ndarray):
            raise TypeError(
                f"{operation}: pictures must be NumPy arrays (type={type(one).__name__})"
            )
        kinds = "uint8 or float32" if floats and rank == 4 else "uint8"
        if one.dtype.name not in kinds.split(" or "):
            raise TypeError(f"{operation}: pictures must be {kinds} (dtype={one.dtype})")
        if one.ndim != rank:
            raise ValueError(f"{operation}: pictures must have {rank} axes (shape={one.shape})")
    checked: Pictures = pictures
    return checked


def stack(pictures: Any) -> Any:
    """Return a list of pictures of one size as one array, anything else as it is."""
    if isinstance(pictures, (list, tuple)):
        if len({np.shape(one) for one in pictures}) == 1:
            return np.stack(pictures)
        return list(pictures)
    return pictures


def lying(pictures: NDArray[Any]) -> NDArray[Any]:
    """See pictures as (N, H, W, C): uint8 as they are, floats from (N, C, H, W)."""
    return pictures if pictures.dtype == np.uint8 else channels_last(pictures)


def standing(pictures: NDArray[Any]) -> NDArray[Any]:
    """Undo `lying`."""
    return pictures if pictures.dtype == np.uint8 else channels_first(pictures)


def to_float(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 (N, H, W, C) as float32 (N, C, H, W) from 0 to 1; memory keeps its order."""
    floats = pictures.astype(np.float32, order="C")
    floats /= np.float32(255)
    return channels_first(floats)


def sizes(pictures: list[NDArray[Any]]) -> str:
    """Say in a message which sizes there are."""
    found = list(dict.fromkeys(one.shape[:2] for one in pictures))
    shown = ", ".join(f"{height}x{width}" for height, width in found[:_SHOWN])
    return shown + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def pair(operation: str, size: int | tuple[int, int]) -> tuple[int, int]:
    """Return `size`, a side or (height, width), as (height, width)."""
    sides = size if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, (int, np.integer)) for side in sides):
        raise TypeError(f"{operation}: size must be an integer or two (size={size!r})")
    if min(sides) < 1:
        raise ValueError(f"{operation}: size must be at least 1 (size={size})")
    return int(sides[0]), int(sides[1])
