"""The one source of randomness: initialisation, dropout seeds and shuffling draw from it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["generator", "manual_seed"]


@lru_cache(maxsize=1)
def generator() -> np.random.Generator:
    """Return the generator that everything random in fastconv draws from."""
    from numpy.random import PCG64, Generator  # NumPy itself loads it only when used

    return Generator(PCG64())


def manual_seed(seed: int) -> None:
    """Restart the generator from `seed`, so that what follows can be repeated.

    Raises ValueError if `seed` is negative and TypeError if it is not an integer.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"manual_seed: seed must be an integer (seed={seed!r})")
    if seed < 0:
        raise ValueError(f"manual_seed: seed must not be negative (seed={seed})")
    from numpy.random import PCG64

    # The state changes in place: generators handed out before follow the new seed.
    generator().bit_generator.state = PCG64(int(seed)).state
