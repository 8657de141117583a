"""One module a zoo; see `zoo.scheme.Scheme`."""

from __future__ import annotations

from ..scheme import Scheme
from . import keras_applications, lasagne, own, tf_slim, torchvision

__all__ = ["SCHEMES"]

# In the order in which they are tried.
SCHEMES: tuple[Scheme, ...] = (
    *torchvision.SCHEMES,
    *own.SCHEMES,
    *keras_applications.SCHEMES,
    *tf_slim.SCHEMES,
    *lasagne.SCHEMES,
)
