"""Matrix products: gemm, and the fully connected layer with its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array

__all__ = [
    "PackedLinear",
    "gemm",
    "linear",
    "linear_backward_bias",
    "linear_backward_input",
    "linear_backward_weight",
    "pack_linear",
]


def _matrix(operation: str, name: str, x: Any) -> tuple[Array, bool]:
    """A C-ordered matrix, and whether it is the transpose of `x`: Fortran order costs no copy."""
    _arrays.check(operation, name, x, 2)
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return x.T, True
    return np.ascontiguousarray(x), False


def _optional(operation: str, name: str, x: Any, shape: tuple[int, ...]) -> Array | None:
    if x is None:
        return None
    if _arrays.check(operation, name, x).shape != shape:
        raise ValueError(
            f"{operation}: {name} has the wrong shape (expected={shape}, shape={x.shape})"
        )
    return np.ascontiguousarray(x)


def gemm(
    a: Array,
    b: Array,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: Array | None = None,
    trans_a: bool = False,
    trans_b: bool = False,
    bias: Array | None = None,
    residual: Array | None = None,
    activation: Any = None,
) -> Array:
    """activation(alpha * op(a) @ op(b) + beta * c + bias + residual), as a new (M, N) array.

    op(a) is (M, K): `a` itself, or its transpose where `trans_a`; op(b) is (K, N) likewise.
    `c` and `residual` are (M, N), `bias` is (N,); `c` is needed unless beta is 0 and is not
    modified. `activation` is None, "relu", ("leaky_relu", slope) or ("clip", min, max).

    Raises TypeError for arrays that are not float32, ValueError for shapes that do not fit.
    Source: BLAS level 3, SGEMM (Dongarra et al., 1990).
    """
    a, a_flipped = _matrix("gemm", "a", a)
    b, b_flipped = _matrix("gemm", "b", b)
    trans_a, trans_b = bool(trans_a) != a_flipped, bool(trans_b) != b_flipped
    m, k = a.shape[::-1] if trans_a else a.shape
    k_b, n = b.shape[::-1] if trans_b else b.shape
    if k != k_b:
        raise ValueError(
            f"gemm: op(a) must have as many columns as op(b) has rows (op(a)={(m, k)}, "
            f"op(b)={(k_b, n)})"
        )
    out = _arrays.empty((m, n))
    if beta != 0.0:
        start = _optional("gemm", "c", c, (m, n))
        if start is None:
            raise ValueError(f"gemm: c is needed where beta is not 0 (beta={beta})")
        np.copyto(out, start)
    _core.gemm(
        a,
        b,
        alpha,
        beta,
        trans_a,
        trans_b,
        _optional("gemm", "bias", bias, (n,)),
        _optional("gemm", "residual", residual, (m, n)),
        activation,
        out,
    )
    return out


def _rows(operation: str, name: str, x: Any) -> Array:
    """(..., features) as a matrix of rows."""
    if _arrays.check(operation, name, x).ndim < 1:
        raise ValueError(f"{operation}: {name} must have at least 1 axis (shape={x.shape})")
    rows = 1
    for extent in x.shape[:-1]:
        rows *= extent
    return np.ascontiguousarray(x).reshape(rows, x.shape[-1])


def linear(x: Array, weight: Array, bias: Array | None = None, activation: Any = None) -> Array:
    """activation(x @ weight.T + bias), the fully connected layer.

    x (..., in_features), weight (out_features, in_features), bias (out_features,) or None
    -> (..., out_features). Raises TypeError for arrays that are not float32, ValueError for
    shapes that do not fit.
    """
    rows = _rows("linear", "x", x)
    _arrays.check("linear", "weight", weight, 2)
    if weight.shape[1] != rows.shape[1]:
        raise ValueError(
            f"linear: the last axis of x must be in_features of weight "
            f"(x={x.shape}, weight={weight.shape})"
        )
    bias = _optional("linear", "bias", bias, (weight.shape[0],))
    out = gemm(rows, weight, trans_b=True, bias=bias, activation=activation)
    return out.reshape(*x.shape[:-1], weight.shape[0])


def linear_backward_input(grad_output: Array, weight: Array) -> Array:
    """The gradient of linear's x: grad_output (..., out), weight (out, in) -> (..., in)."""
    rows = _rows("linear_backward_input", "grad_output", grad_output)
    _arrays.check("linear_backward_input", "weight", weight, 2)
    return gemm(rows, weight).reshape(*grad_output.shape[:-1], weight.shape[1])


def linear_backward_weight(grad_output: Array, x: Array) -> Array:
    """The gradient of linear's weight: grad_output (..., out), x (..., in) -> (out, in)."""
    rows = _rows("linear_backward_weight", "grad_output", grad_output)
    return gemm(rows, _rows("linear_backward_weight", "x", x), trans_a=True)


def linear_backward_bias(grad_output: Array) -> Array:
    """The gradient of linear's bias: grad_output (..., out) -> (out,)."""
    rows = _rows("linear_backward_bias", "grad_output", grad_output)
    out = _arrays.empty((rows.shape[1],))
    _core.column_sums(rows, out)
    return out


class PackedLinear:
    """A fully connected layer's weights, packed once for many runs; see `pack_linear`."""

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        activation: Any = None,
        weights: str = "fp32",
    ) -> None:
        _arrays.check("linear", "weight", weight, 2)
        bias = _optional("linear", "bias", bias, (weight.shape[0],))
        self._core = _core.PackedLinear(np.ascontiguousarray(weight), bias, activation, weights)

    def __call__(self, x: Array) -> Array:
        """x (..., in_features) -> (..., out_features)."""
        rows = _rows("linear", "x", x)
        if rows.shape[1] != self._core.in_features:
            raise ValueError(
                f"linear: the last axis of x must be in_features "
                f"(x={x.shape}, in_features={self._core.in_features})"
            )
        out = _arrays.empty((rows.shape[0], self._core.out_features))
        self._core.run(rows, out)
        return out.reshape(*x.shape[:-1], self._core.out_features)


def pack_linear(
    weight: Array, bias: Array | None = None, activation: Any = None, weights: str = "fp32"
) -> PackedLinear:
    """Packs weights for many runs: `pack_linear(weight, bias)(x)` is `linear(x, weight, bias)`.

    weights "bf16" keeps them in bfloat16 (8 significant bits: relative errors of up to 2**-9 a
    weight) and multiplies in float32; small batches then wait for half the memory.
    """
    return PackedLinear(weight, bias, activation, weights)
