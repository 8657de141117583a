"""Several transforms as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Compose"]


@dataclass(frozen=True)
class Compose:
    """Call `transforms` one after the other, all with the same `rng`. Raises TypeError for what
    cannot be called."""

    transforms: Sequence[Callable[..., Any]]

    def __post_init__(self) -> None:
        for one in self.transforms:
            if not callable(one):
                raise TypeError(f"Compose: transforms must be callable (type={type(one).__name__})")

    def __call__(self, pictures: Any, rng: np.random.Generator | None = None) -> Any:
        for transform in self.transforms:
            pictures = transform(pictures, rng)
        return pictures
