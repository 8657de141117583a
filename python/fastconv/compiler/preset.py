"""Presets: what becomes of the bytes of a picture before the network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arguments import number
from ..data import Preset

__all__ = ["byte_table", "reversed_channels", "reverses"]


def byte_table(preset: Any, channels: int) -> NDArray[np.float32]:
    """Return (byte - mean) * scale for every channel and byte, (channels * 256,).

    `preset` is a data.Preset, or (mean, scale): each a number, or one a channel.
    """
    if isinstance(preset, Preset):
        preset = preset.mean, preset.scale
    if not isinstance(preset, (tuple, list)) or len(preset) != 2:
        raise TypeError(
            f"compile: preset must be None, (mean, scale) or a data.Preset (preset={preset!r:.200})"
        )
    mean, scale = (
        _per_channel(name, value, channels)
        for name, value in zip(("mean", "scale"), preset, strict=True)
    )
    bytes_ = np.arange(256, dtype=np.float64)
    table = (bytes_ - mean[:, None]) * scale[:, None]
    return table.astype(np.float32).reshape(-1)


def reverses(preset: Any) -> bool:
    """Whether the network takes the channels of RGB pictures in the order BGR."""
    return isinstance(preset, Preset) and preset.order == "BGR"


def reversed_channels(pictures: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Return a copy of pictures (N, ...), in C order, with the channels of `axis` reversed.

    Plane by plane, a quarter of the time that NumPy takes for loops of three bytes.
    """
    out = np.empty(pictures.shape, np.uint8)
    source, target = (np.moveaxis(array, axis, 0) for array in (pictures, out))
    for place in range(len(target)):
        target[place] = source[-1 - place]
    return out


def _per_channel(name: str, value: Any, channels: int) -> NDArray[np.float64]:
    name = f"the {name} of preset"
    if not isinstance(value, (tuple, list, np.ndarray)):
        return np.full(channels, number("compile", name, value))
    if len(value) != channels:
        raise ValueError(
            f"compile: {name} must have one value per channel "
            f"(values={len(value)}, channels={channels})"
        )
    return np.array([number("compile", name, v) for v in value])
