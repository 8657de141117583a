"""Presets: what becomes of the bytes of a picture before the network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn.arguments import number

__all__ = ["byte_table"]


def byte_table(preset: Any, channels: int) -> NDArray[np.float32]:
    """Return (byte - mean) * scale for every channel and byte, (channels * 256,).

    `preset` is (mean, scale): each a number, or one a channel.
    """
    if not isinstance(preset, (tuple, list)) or len(preset) != 2:
        raise TypeError(f"compile: preset must be None or (mean, scale) (preset={preset!r})")
    mean, scale = (
        _per_channel(name, value, channels)
        for name, value in zip(("mean", "scale"), preset, strict=True)
    )
    bytes_ = np.arange(256, dtype=np.float64)
    table = (bytes_ - mean[:, None]) * scale[:, None]
    return table.astype(np.float32).reshape(-1)


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
