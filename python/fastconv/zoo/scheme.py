"""Schemes: how a zoo names and lays out the weights of a network that this library has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Preset
from .archive import Archive

__all__ = ["Scheme", "State", "in_order", "oihw"]

State = dict[str, NDArray[Any]]

_COLUMNS = 64  # that are copied at a time: a few lines of the cache in every row


@dataclass(frozen=True)
class Scheme:
    """One network as one zoo publishes it.

    name: the zoo's name and the network's, such as "keras-applications resnet50".
    architecture, options: what `models.get` builds for it.
    matches: whether an archive of weights holds this network; by names, and shapes where names
        are shared. Quick: reads no tensor's content.
    state_dict: the weights under this library's names (torchvision's), in its layouts.
    preset: how photos enter; None where the zoo does not say.
    head: our name of the classifier, whose weight tells `num_classes`.
    """

    name: str
    architecture: str
    matches: Callable[[Archive], bool]
    state_dict: Callable[[Archive], State]
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: Preset | None = None
    head: str = "fc"


def oihw(kernel: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel (height, width, in, out), as TensorFlow lays it out, as (out, in, h, w)."""
    return in_order(kernel.transpose(3, 2, 0, 1))


def in_order(weight: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """Return a copy of a weight in C order, by default of its own type.

    Of transposed ones it copies a few columns at a time: VGG's first full layer takes NumPy several
    times as long at once, whose reads then miss the cache.
    """
    out = np.empty(weight.shape, weight.dtype if dtype is None else dtype)
    if weight.ndim < 2:
        out[...] = weight
        return out
    step = max(1, _COLUMNS // max(1, math.prod(weight.shape[2:])))
    for start in range(0, weight.shape[1], step):
        out[:, start : start + step] = weight[:, start : start + step]
    return out
