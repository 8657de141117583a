"""What this library's networks hold, to compare files with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from .. import models
from ..nn import init

__all__ = ["shapes_of", "without_counters"]

T = TypeVar("T")


def without_counters(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return a state without the `num_batches_tracked` of batch norms, which old files lack."""
    return {
        name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")
    }


@lru_cache(maxsize=256)
def shapes_of(
    architecture: str, options: tuple[tuple[str, Any], ...]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of what `models.get` builds, in order; no counters."""
    with init.skip_init():
        net = models.get(architecture, **dict(options))
    return {name: array.shape for name, array in without_counters(net.state_dict()).items()}
