"""Reverse-mode differentiation: tensors, a tape of kernels, and the switch between backends.

>>> import numpy as np
>>> from fastconv.autograd import tensor, use_backend
>>> with use_backend("reference"):
...     x = tensor(np.array([1.0, 2.0], dtype=np.float32), requires_grad=True)
...     (x * x).sum().backward()
>>> x.grad
array([2., 4.], dtype=float32)
"""

from __future__ import annotations

from . import ops
from .function import Function
from .state import (
    enable_grad,
    is_grad_enabled,
    kernels,
    no_grad,
    use_backend,
    use_conv_algorithm,
)
from .tensor import Tensor, tensor

__all__ = [
    "Function",
    "Tensor",
    "enable_grad",
    "is_grad_enabled",
    "kernels",
    "no_grad",
    "ops",
    "tensor",
    "use_backend",
    "use_conv_algorithm",
]
