"""What a thread is set to: whether operations are recorded, and whose kernels they call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

__all__ = [
    "enable_grad",
    "is_grad_enabled",
    "kernels",
    "no_grad",
    "use_backend",
    "use_conv_algorithm",
]

_BACKENDS = {
    "native": "fastconv.functional",
    "reference": "fastconv.reference",
    "shapes": "fastconv.autograd.shapes",
}


class _State(threading.local):
    grad_enabled: bool = True
    kernels: Any = None
    conv_algorithm: str = "fastest"


state = _State()


def is_grad_enabled() -> bool:
    """Return whether operations of this thread are recorded for backward."""
    return state.grad_enabled


@contextmanager
def _grad_mode(enabled: bool) -> Iterator[None]:
    previous = state.grad_enabled
    state.grad_enabled = enabled
    try:
        yield
    finally:
        state.grad_enabled = previous


def no_grad() -> Any:
    """Return a context manager (or decorator) in which this thread records no operations."""
    return _grad_mode(False)


def enable_grad() -> Any:
    """Return a context manager (or decorator) that undoes `no_grad` inside it."""
    return _grad_mode(True)


def kernels() -> Any:
    """Return the kernels that operations of this thread call now."""
    if state.kernels is None:
        state.kernels = import_module(_BACKENDS["native"])
    return state.kernels


@contextmanager
def use_backend(backend: Any) -> Iterator[None]:
    """Run the operations inside, of this thread, on another set of kernels.

    `backend` is "native" (the C++ core, float32; the default), "reference" (plain NumPy, any float
    type), "shapes" (no arithmetic: arrays of the right shape that take no memory), or any object
    with the functions of `fastconv.functional`. The backward pass of an operation uses the kernels
    of its forward pass. Raises ValueError for an unknown name.
    """
    if isinstance(backend, str):
        if backend not in _BACKENDS:
            names = ", ".join(map(repr, _BACKENDS))
            raise ValueError(f"use_backend: backend must be one of {names} (backend={backend!r})")
        backend = import_module(_BACKENDS[backend])
    previous = state.kernels
    state.kernels = backend
    try:
        yield
    finally:
        state.kernels = previous


@contextmanager
def use_conv_algorithm(algorithm: str) -> Iterator[None]:
    """Compute convolutions recorded inside, of this thread, and their gradients, in one way.

    `algorithm` is "fastest" (the default: Winograd's where it takes less time, with errors of up to
    about 5e-6 of the largest output) or "direct" (as the formula says). Raises ValueError for
    others.
    """
    if algorithm not in ("direct", "fastest"):
        raise ValueError(
            f"use_conv_algorithm: algorithm must be 'direct' or 'fastest' (algorithm={algorithm!r})"
        )
    previous = state.conv_algorithm
    state.conv_algorithm = algorithm
    try:
        yield
    finally:
        state.conv_algorithm = previous
