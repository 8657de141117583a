"""gemm and linear against loops, finite differences and torch."""

from __future__ import annotations

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def product(a, b):
    """a @ b, from the definition."""
    y = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                y[i, j] += a[i, k] * b[k, j]
    return y


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_gemm(trans_a, trans_b):
    a, b, c, bias, residual = normal(3, 4), normal(4, 5), normal(3, 5), normal(5), normal(3, 5)
    y = reference.gemm(
        a.T if trans_a else a,
        b.T if trans_b else b,
        alpha=0.5,
        beta=-2.0,
        c=c,
        trans_a=trans_a,
        trans_b=trans_b,
        bias=bias,
        residual=residual,
        activation=("leaky_relu", 0.1),
    )
    expected = 0.5 * product(a, b) - 2 * c + bias + residual
    expected = np.where(expected > 0, expected, 0.1 * expected)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_gemm_leaves_c_unread_and_unchanged():
    a, b = normal(2, 3), normal(3, 2)
    c = np.full((2, 2), np.nan)
    np.testing.assert_array_equal(reference.gemm(a, b, c=c), reference.gemm(a, b))
    ones = np.ones((2, 2))
    reference.gemm(a, b, beta=1.0, c=ones)
    np.testing.assert_array_equal(ones, 1)


def test_gemm_of_nothing():
    np.testing.assert_array_equal(reference.gemm(normal(2, 0), normal(0, 3)), np.zeros((2, 3)))
    assert reference.gemm(normal(0, 4), normal(4, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (0, 5)])
def test_linear(shape):
    x, weight, bias = normal(*shape), normal(3, 5), normal(3)
    y = reference.linear(x, weight, bias)
    assert y.shape == (*shape[:-1], 3)
    expected = product(x.reshape(-1, 5), weight.T) + bias
    np.testing.assert_allclose(y.reshape(-1, 3), expected, rtol=1e-12)
    check_twin("linear", x, weight, bias)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5)])
def test_linear_matches_torch(shape):
    F = pytest.importorskip("torch.nn.functional")
    check_twin("linear", normal(*shape), normal(3, 5), normal(3), torch=F.linear)
    check_twin("linear", normal(*shape), normal(3, 5), torch=F.linear)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: reference.gemm(normal(2, 3), normal(4, 5)),
            "gemm: inner sizes must be equal (a=(2, 3), b=(4, 5))",
        ),
        (
            lambda: reference.gemm(normal(2, 3), normal(3, 5), beta=1.0),
            "gemm: a beta other than 0 needs c (beta=1.0, c=None)",
        ),
        (
            lambda: reference.gemm(normal(2, 3, 1), normal(3, 5)),
            "gemm: a must have 2 axes (a=(2, 3, 1))",
        ),
        (
            lambda: reference.gemm(normal(2, 3), normal(3, 5), bias=normal(4)),
            "gemm: bias must have shape (5,) (bias=(4,))",
        ),
        (
            lambda: reference.linear(normal(2, 3), normal(4, 5)),
            "linear: the last axis of x must match weight's second (x=(2, 3), weight=(4, 5))",
        ),
        (
            lambda: reference.linear_backward_input(normal(2, 3), normal(4, 5)),
            "linear_backward_input: the last axis of grad_output must match weight's first "
            "(grad_output=(2, 3), weight=(4, 5))",
        ),
        (
            lambda: reference.linear_backward_weight(normal(2, 3), normal(4, 5)),
            "linear_backward_weight: grad_output and x must agree in all axes but the last "
            "(grad_output=(2, 3), x=(4, 5))",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"^linear: weight must be floating \(weight=int64\)$"):
        reference.linear(normal(2, 3), np.ones((4, 3), np.int64))
    with pytest.raises(TypeError, match=r"^gemm: a must be an array \(a=list\)$"):
        reference.gemm([[1.0]], normal(1, 1))
