"""Local response and batch normalisation against loops, finite differences and torch."""

from __future__ import annotations

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_local_response_norm(size, channels):
    x = normal(2, channels, 3, 2)
    alpha, beta, k = 0.7, 0.6, 2.0  # large, so that all of it shows
    y = reference.local_response_norm(x, size, alpha, beta, k)
    for n, c, i, j in np.ndindex(x.shape):
        window = [m for m in range(c - size // 2, c + (size - 1) // 2 + 1) if 0 <= m < channels]
        squares = sum(x[n, m, i, j] ** 2 for m in window)
        expected = x[n, c, i, j] / (k + alpha / size * squares) ** beta
        assert y[n, c, i, j] == pytest.approx(expected, rel=1e-12)
    check_twin("local_response_norm", x, size, alpha, beta, k)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_local_response_norm_matches_torch(size, channels):
    F = pytest.importorskip("torch.nn.functional")
    x = normal(2, channels, 3, 2)
    for constants in ({}, {"alpha": 0.7, "beta": 0.6, "k": 2.0}):
        check_twin(
            "local_response_norm",
            x,
            size,
            torch=lambda x, size, c=constants: F.local_response_norm(x, size, **c),
            **constants,
        )


def test_local_response_norm_keeps_nan_in_its_window():
    x = np.ones((1, 9, 1, 1))
    x[0, 4] = np.nan
    y = reference.local_response_norm(x, 3)
    np.testing.assert_array_equal(np.isnan(y[0, :, 0, 0]), [0, 0, 0, 1, 1, 1, 0, 0, 0])


SHAPES = [(4, 3, 3, 2), (6, 3), (1, 3, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, affine):
    x, mean, var = normal(*shape), normal(3), RNG.uniform(0.5, 2, 3)
    weight, bias = (normal(3), normal(3)) if affine else (None, None)
    y = reference.batch_norm(x, mean, var, weight, bias, eps=0.1, activation="relu")
    for place in np.ndindex(shape):
        c = place[1]
        expected = (x[place] - mean[c]) / (var[c] + 0.1) ** 0.5
        if affine:
            expected = expected * weight[c] + bias[c]
        assert y[place] == pytest.approx(max(expected, 0), rel=1e-12)
    check_twin("batch_norm", x, mean, var, weight, bias, eps=0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_training(shape, affine):
    x = normal(*shape) + 3
    weight, bias = (normal(3), normal(3)) if affine else (None, None)
    y, mean, var = reference.batch_norm_training(x, weight, bias, eps=0.1)
    for c in range(3):
        values = x[:, c].ravel().tolist()
        expected = sum(values) / len(values)
        assert mean[c] == pytest.approx(expected, rel=1e-12)
        spread = sum((v - expected) ** 2 for v in values) / len(values)
        assert var[c] == pytest.approx(spread, rel=1e-12)
    np.testing.assert_allclose(y, reference.batch_norm(x, mean, var, weight, bias, 0.1))
    check_twin("batch_norm_training", x, weight, bias, eps=0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_matches_torch(shape):
    F = pytest.importorskip("torch.nn.functional")

    def trained(x, weight, bias):
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def fixed(x, mean, var, weight, bias):
        return F.batch_norm(x, mean.detach(), var.detach(), weight, bias)

    x, weight, bias = normal(*shape), normal(3), normal(3)
    check_twin("batch_norm_training", x, weight, bias, torch=trained)
    check_twin("batch_norm", x, normal(3), RNG.uniform(0.5, 2, 3), weight, bias, torch=fixed)


def test_empty_batch():
    x, ones = np.zeros((0, 3, 2, 2)), np.ones(3)
    assert reference.batch_norm(x, ones, ones).shape == x.shape
    grad_x, grad_weight, grad_bias = reference.batch_norm_backward(x, x, ones, ones)
    assert grad_x.shape == x.shape
    np.testing.assert_array_equal([grad_weight, grad_bias], 0)
    assert reference.local_response_norm(x, 5).shape == x.shape


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: reference.local_response_norm(x, 0),
            "local_response_norm: size must be at least 1 (size=0)",
        ),
        (
            lambda x: reference.batch_norm(x, np.ones(2), np.ones(3)),
            "batch_norm: mean must have shape (3,) (mean=(2,))",
        ),
        (
            lambda x: reference.batch_norm(x[0], np.ones(3), np.ones(3)),
            "batch_norm: x must have 2 or 4 axes (x=(3, 2, 2))",
        ),
        (
            lambda x: reference.batch_norm_training(x[:0]),
            "batch_norm_training: x must not be empty (x=(0, 3, 2, 2))",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call(np.ones((1, 3, 2, 2)))
    assert str(error.value) == message
