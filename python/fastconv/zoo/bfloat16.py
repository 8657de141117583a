"""bfloat16, which NumPy has not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bfloat16_to_float32"]


def bfloat16_to_float32(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Return numbers whose upper 16 bits of float32 are given, as uint16."""
    shifted = bits.astype(np.uint32)
    shifted <<= 16
    return shifted.view(np.float32)
