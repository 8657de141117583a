"""Clipping gradients: the norm of all, and every element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn, optim


def parameters(*grads: Any, dtype: Any = np.float32) -> list[nn.Parameter]:
    params = []
    for grad in grads:
        array = np.asarray(grad, dtype)
        params.append(nn.Parameter(np.zeros(array.shape, dtype)))
        params[-1].grad = array
    return params


def test_the_norm_of_all_is_clipped() -> None:
    params = parameters([[3.0, 0.0]], [4.0], [12.0])
    params.insert(1, nn.Parameter(np.zeros(2, np.float32)))
    arrays = [p.grad for p in params]
    assert optim.clip_grad_norm_(params, 6.5) == pytest.approx(13.0)
    for p, expected in zip(params, ([[1.5, 0.0]], None, [2.0], [6.0]), strict=True):
        if expected is None:
            assert p.grad is None
        else:
            assert p.grad is not None and p.grad.dtype == np.float32
            np.testing.assert_allclose(p.grad, expected, rtol=1e-6)
    assert arrays[0] is not None
    np.testing.assert_array_equal(arrays[0], [[3.0, 0.0]])  # somebody else may hold it


def test_small_gradients_stay() -> None:
    (p,) = parameters([3.0, 4.0])
    grad = p.grad
    assert optim.clip_grad_norm_(p, 5.0) == 5.0
    assert p.grad is grad
    assert optim.clip_grad_norm_([], 1.0) == 0.0


def test_any_layout_and_large_values() -> None:
    grad = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    params = parameters(grad)
    assert optim.clip_grad_norm_(params, 1.0) == pytest.approx(np.linalg.norm(grad))
    np.testing.assert_allclose(params[0].grad, grad / np.linalg.norm(grad), rtol=1e-6)
    (p,) = parameters([3e30, 4e30])  # their squares overflow
    assert optim.clip_grad_norm_(p, 1.0) == pytest.approx(5e30)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-6)


@pytest.mark.donor
def test_the_norm_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal(shape) for shape in ((3,), (2, 5), (4, 1, 2))]
    params = parameters(*grads, dtype=np.float64)
    others = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in grads]
    for other, g in zip(others, grads, strict=True):
        other.grad = torch.tensor(g)
    theirs = torch.nn.utils.clip_grad_norm_(others, 0.7)
    assert optim.clip_grad_norm_(params, 0.7) == pytest.approx(theirs.item())
    for p, other in zip(params, others, strict=True):
        np.testing.assert_allclose(p.grad, other.grad.numpy(), rtol=1e-5)


def test_gradients_that_are_not_finite_are_an_error() -> None:
    for value in (np.inf, np.nan):
        params = parameters([1.0], [value])
        with pytest.raises(FloatingPointError, match=r"clip_grad_norm_: gradients must be finite"):
            optim.clip_grad_norm_(params, 0.1)
        np.testing.assert_array_equal(params[0].grad, [1.0])


def test_no_limit_asks_for_the_norm_alone() -> None:
    params = parameters([3.0, 4.0])
    assert optim.clip_grad_norm_(params, float("inf")) == 5.0
    np.testing.assert_array_equal(params[0].grad, [3.0, 4.0])


def test_values_are_clipped() -> None:
    params = parameters([-3.0, 0.5, 2.0], [0.1])
    optim.clip_grad_value_(params, 1.0)
    np.testing.assert_array_equal(params[0].grad, [-1.0, 0.5, 1.0])
    np.testing.assert_array_equal(params[1].grad, np.float32([0.1]))
    assert params[0].grad is not None and params[0].grad.dtype == np.float32


def test_errors() -> None:
    (p,) = parameters([1.0])
    with pytest.raises(TypeError, match=r"clip_grad_norm_: max_norm must be a number"):
        optim.clip_grad_norm_(p, "a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"clip_grad_value_: clip_value must be finite"):
        optim.clip_grad_value_(p, float("nan"))
    for limit in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"clip_grad_norm_: max_norm must be positive"):
            optim.clip_grad_norm_(p, limit)
        with pytest.raises(ValueError, match=r"clip_grad_value_: clip_value must be positive"):
            optim.clip_grad_value_(p, limit)
