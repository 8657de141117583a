"""One module a zoo; see `zoo.scheme.Scheme`."""

from __future__ import annotations

from ..scheme import Scheme
from . import keras_applications

__all__ = ["SCHEMES"]

# In the order in which they are tried.
SCHEMES: tuple[Scheme, ...] = (*keras_applications.SCHEMES,)
