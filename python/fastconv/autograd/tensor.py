"""Tensor: an array, whether it needs a gradient, and the operation that made it."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ops
from .function import Function, run_backward

__all__ = ["Tensor", "tensor"]


class Tensor:
    """An array with a gradient.

    `data` is the NumPy array, `grad` its gradient (an array, or None before a backward pass),
    `requires_grad` whether one is computed, `node` the recorded operation that made it (None for
    a leaf). Arithmetic broadcasts as in NumPy. Raises TypeError if `data` is not an array, or if
    `requires_grad` is asked of one that is not floating point.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_priority__ = 1000.0  # array + tensor is a tensor

    data: np.ndarray
    grad: np.ndarray | None
    node: Function | None
    requires_grad: bool

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if not isinstance(data, np.ndarray):
            if not isinstance(data, np.generic):
                kind = type(data).__name__
                raise TypeError(f"Tensor: data must be a NumPy array (type={kind})")
            data = np.asarray(data)
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"Tensor: a gradient needs floating point data (dtype={data.dtype})")
        self.data = data
        self.grad = None
        self.node = None
        self.requires_grad = requires_grad

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self.node is None

    def numpy(self) -> np.ndarray:
        """Return the array itself, not a copy."""
        return self.data

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.data.item()

    def detach(self) -> Tensor:
        """Return a tensor of the same array that no gradient flows through."""
        return Tensor(self.data)

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in `grad` when backward passes it."""
        if not self.requires_grad:
            raise ValueError("retain_grad: the tensor does not require a gradient")
        if self.node is not None:
            self.node.retained = self

    def backward(self, grad: np.ndarray | Tensor | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to `grad` of every leaf it was computed from.

        `grad`, of this tensor's shape, weights its elements; a single element needs none. What the
        forward pass saved is freed unless `retain_graph` is set, so a second call raises
        RuntimeError.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward: the tensor does not require a gradient "
                "(nothing it was computed from does, or it was computed under no_grad)"
            )
        if grad is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward: grad is needed for more than one element (shape={self.shape})"
                )
            grad = np.ones_like(self.data)
        elif isinstance(grad, Tensor):
            grad = grad.data
        if not isinstance(grad, np.ndarray) or grad.dtype != self.data.dtype:
            kind = getattr(grad, "dtype", type(grad).__name__)
            raise TypeError(
                f"backward: grad must be an array of the tensor's type "
                f"(grad={kind}, tensor={self.data.dtype})"
            )
        if grad.shape != self.shape:
            raise ValueError(
                f"backward: grad must have the tensor's shape "
                f"(grad={grad.shape}, tensor={self.shape})"
            )
        run_backward(self, grad, retain_graph)

    def reshape(self, *shape: Any) -> Tensor:
        """Return the elements, in logical C order, in another shape (one size may be -1)."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def view(self, *shape: Any) -> Tensor:
        """Return `reshape(*shape)`; the memory may be another's."""
        return self.reshape(*shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Join the axes from `start_dim` to `end_dim` into one, in logical C order."""
        return ops.flatten(self, start_dim, end_dim)

    def sum(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
        """Return the sum over some axes, or over all."""
        return ops.sum(self, dim, keepdim)

    def mean(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
        """Return the mean over some axes, or over all."""
        return ops.mean(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the places of the largest elements along an axis, or of all in C order."""
        places = np.argmax(self.data, axis=dim, keepdims=keepdim)
        return Tensor(np.asarray(places))

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return ops.pow(self, exponent)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.index(self, index)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data.item())

    def __int__(self) -> int:
        return int(self.data.item())

    def __format__(self, spec: str) -> str:
        return format(self.data.item() if self.ndim == 0 else str(self), spec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy:
            return np.array(self.data, dtype=dtype, copy=True)
        return np.asarray(self.data, dtype=dtype)

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        if self.data.dtype != np.float32:
            text += f", dtype={self.data.dtype}"
        if self.requires_grad:
            made_by = "" if self.node is None else f", made by {type(self.node).__name__}"
            text += ", requires_grad=True" + made_by
        return f"tensor({text})"


def tensor(x: Any, requires_grad: bool = False) -> Tensor:
    """Return a tensor of an array (shared, not copied), a number or nested lists.

    Arrays keep their type; Python floats become float32.
    """
    if isinstance(x, Tensor):
        x = x.data
    elif not isinstance(x, (np.ndarray, np.generic)):
        x = np.asarray(x)
        if x.dtype == np.float64:
            x = x.astype(np.float32)
    return Tensor(x, requires_grad)


Function.tensor_type = Tensor
