"""Convolutional networks on CPUs: layers, networks and training over a hand-written C++ core.

Importing the package loads nothing; submodules and the compiled core are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import autograd as autograd
    from . import compiler as compiler
    from . import data as data
    from . import functional as functional
    from . import models as models
    from . import nn as nn
    from . import optim as optim
    from . import random as random
    from . import reference as reference
    from . import train as train
    from . import zoo as zoo
    from ._core import __version__ as __version__
    from ._core import available_isas as available_isas
    from ._core import build_info as build_info
    from ._core import empty_cache as empty_cache
    from ._core import get_isa as get_isa
    from ._core import get_num_threads as get_num_threads
    from ._core import max_memory_allocated as max_memory_allocated
    from ._core import memory_allocated as memory_allocated
    from ._core import set_isa as set_isa
    from ._core import set_num_threads as set_num_threads
    from .autograd import Tensor as Tensor
    from .autograd import no_grad as no_grad
    from .autograd import tensor as tensor
    from .autograd import use_backend as use_backend
    from .compiler import compile as compile
    from .random import manual_seed as manual_seed
    from .summary import summary as summary

_SUBMODULES = (
    "autograd",
    "cli",
    "compiler",
    "data",
    "functional",
    "models",
    "nn",
    "optim",
    "plots",
    "random",
    "reference",
    "summary",  # callable: fastconv.summary(net, shape)
    "train",
    "zoo",
)

_ATTRIBUTES = {
    "Tensor": "autograd",
    "tensor": "autograd",
    "no_grad": "autograd",
    "use_backend": "autograd",
    "compile": "compiler",
    "manual_seed": "random",
    "__version__": "_core",
    "available_isas": "_core",
    "build_info": "_core",
    "empty_cache": "_core",
    "get_isa": "_core",
    "get_num_threads": "_core",
    "max_memory_allocated": "_core",
    "memory_allocated": "_core",
    "set_isa": "_core",
    "set_num_threads": "_core",
}

__all__ = [
    "Tensor",
    "autograd",
    "available_isas",
    "build_info",
    "compile",
    "compiler",
    "data",
    "empty_cache",
    "functional",
    "get_isa",
    "get_num_threads",
    "manual_seed",
    "max_memory_allocated",
    "memory_allocated",
    "models",
    "nn",
    "no_grad",
    "optim",
    "plots",
    "random",
    "reference",
    "set_isa",
    "set_num_threads",
    "summary",
    "tensor",
    "train",
    "use_backend",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        full_name = f"{__name__}.{name}"
        try:
            return import_module(full_name)
        except ModuleNotFoundError as error:
            if error.name != full_name:
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    if name in _ATTRIBUTES:
        value = getattr(import_module(f"{__name__}.{_ATTRIBUTES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ATTRIBUTES})
