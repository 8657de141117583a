"""Putting weights into a network of this library without drawing or copying any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..nn import Module, init

__all__ = ["assemble"]


def assemble(
    architecture: str, options: Mapping[str, Any], state: Mapping[str, NDArray[Any]]
) -> Module:
    """Return a network of `models` whose weights are the given arrays.

    Raises ValueError or TypeError for unknown names and options, and for weights that do not fit.
    """
    from .. import models

    with init.skip_init():
        net = models.get(architecture, **options)
    net.load_state_dict(state, assign=True)
    return net
