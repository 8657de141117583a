"""One module a zoo; see `zoo.scheme.Scheme`."""

from __future__ import annotations

from ..scheme import Scheme
from . import tf_slim

__all__ = ["SCHEMES"]

# In the order in which they are tried.
SCHEMES: tuple[Scheme, ...] = (*tf_slim.SCHEMES,)
