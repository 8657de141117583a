"""Normalisation kernels against their twins: sizes, precision, layouts, threads, errors."""

from __future__ import annotations

import numpy as np
import pytest

from compare import assert_close, check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

# Around the widths of vectors (4, 8, 16), and of the 64 columns that rows are gathered into.
CHANNELS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100]
ACTIVATIONS = [None, "relu", ("leaky_relu", 0.1), ("clip", -0.5, 1.0)]
# alpha large, so that all of it shows
CONSTANTS = [
    {},
    {"alpha": 2.0, "k": 2.0},
    {"alpha": 2.0, "beta": 0.5},
    {"alpha": 3.0, "beta": 1.7, "k": 0.3},
    {"alpha": 1.0, "beta": -0.5},
    {"alpha": 1.0, "beta": 0.0},
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def per_channel(channels):
    """mean, var, weight, bias"""
    rng = np.random.default_rng(7)
    values = rng.standard_normal((4, channels)).astype(np.float32)
    values[1] = rng.uniform(0.5, 2, channels)
    return tuple(values)


# local response norm


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 40])
@pytest.mark.parametrize("channels", CHANNELS)
def test_local_response_norm(size, channels, every_isa):
    check("local_response_norm", normal(2, channels, 3, 2), size, alpha=2.0)


@pytest.mark.parametrize("constants", CONSTANTS)
def test_local_response_norm_constants(constants, every_isa, thread_counts):
    check("local_response_norm", normal(2, 37, 3, 4) * 3, 5, **constants)
    check("local_response_norm", normal(6, 37), 4, **constants)


@pytest.mark.parametrize("beta", [0.75, 0.625])
@pytest.mark.parametrize("scale", [1e-16, 1e-4, 1e4, 1e18])
def test_local_response_norm_far_from_one(beta, scale, every_isa):
    k = min(scale**2, 1.0)  # the power's base goes as far as float32 does
    x = normal(1, 21, 2, 3) * np.float32(scale)
    check("local_response_norm", x, 5, 0.5, beta, k, grads=False)


def test_local_response_norm_of_edges(every_isa):
    x = normal(1, 40, 1, 2)
    x[0, [3, 20, 38], 0, 0] = np.nan, np.inf, -np.inf
    for beta in (0.75, 0.6):
        check("local_response_norm", x, 5, 1.0, beta)
        check("local_response_norm", x[..., 1:] * 0, 3, 1.0, beta, 0.0, grads=False)  # 0 / 0
        check("local_response_norm", x[..., 1:], 3, -1.0, beta, 0.5, grads=False)  # negative base


def test_local_response_norm_keeps_nan_in_its_window(every_isa):
    x = np.ones((1, 49, 1, 1), np.float32)
    x[0, 4], x[0, 33] = np.nan, np.nan
    y = functional.local_response_norm(x, 4)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(y)), [3, 4, 5, 6, 32, 33, 34, 35])


# batch norm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", CHANNELS)
def test_batch_norm(channels, affine, every_isa):
    mean, var, weight, bias = per_channel(channels)
    scaling = (weight, bias) if affine else (None, None)
    for shape in [(3, channels, 5, 7), (5, channels), (1, channels, 1, 1)]:
        check("batch_norm", normal(*shape), mean, var, *scaling, eps=0.1)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", CHANNELS)
def test_batch_norm_training(channels, affine, every_isa):
    _, _, weight, bias = per_channel(channels)
    scaling = (weight, bias) if affine else (None, None)
    for shape in [(3, channels, 5, 7), (5, channels)]:
        check("batch_norm_training", normal(*shape) + 1, *scaling, eps=0.1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("channels", [3, 64, 70])
def test_fused_activations(activation, channels, every_isa, thread_counts):
    parameters = per_channel(channels)
    check("batch_norm", normal(2, channels, 5, 7), *parameters, activation=activation)


@pytest.mark.parametrize("channels", [1, 3, 16, 50, 70])
@pytest.mark.parametrize("pixels", [(40, 41), (57, 93)])
def test_many_chunks(channels, pixels, every_isa, thread_counts):
    x = normal(4, channels, *pixels) * 2 + 3
    _, _, weight, bias = per_channel(channels)
    check("batch_norm_training", x, weight, bias)


def test_many_channels(every_isa):
    check("batch_norm_training", normal(37, 5000) + 1)


@pytest.mark.parametrize("mean", [1e2, 1e4, -1e5])
@pytest.mark.parametrize("shape", [(2, 3, 60, 61), (200, 3), (8, 80, 30, 30)])
def test_a_large_mean_costs_the_variance_no_digits(mean, shape, every_isa):
    x = normal(*shape) + np.float32(mean)
    _, ours, variance = functional.batch_norm_training(x)
    _, expected, expected_variance = reference.batch_norm_training(x.astype(np.float64))
    np.testing.assert_allclose(ours, expected, rtol=6e-8)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-6)


def test_constant_channels(every_isa):
    x = np.full((4, 3, 7, 9), 0.1, np.float32)
    y, mean, var = functional.batch_norm_training(x)
    np.testing.assert_array_equal(mean, x[0, :, 0, 0])
    np.testing.assert_allclose(var, 0, atol=1e-15)
    np.testing.assert_allclose(y, 0, atol=1e-5)


def test_one_row(every_isa):
    x = normal(1, 19)
    y, mean, var = functional.batch_norm_training(x)
    np.testing.assert_array_equal(mean, x[0])
    np.testing.assert_array_equal(var, 0)
    np.testing.assert_array_equal(y, 0)


def test_non_finite_values(every_isa):
    x = normal(3, 5, 4, 4)
    x[0, 0, 0, 0], x[1, 2, 3, 3], x[2, 4, 1, 1], x[0, 4, 1, 1] = np.nan, np.inf, -np.inf, np.inf
    mean, var, weight, bias = per_channel(5)
    var[1], var[3], weight[3] = np.nan, -1, np.inf
    for activation in ACTIVATIONS:
        arguments = (mean, var, weight, bias)
        check("batch_norm", x, *arguments, activation=activation, grads=False)
    with np.errstate(invalid="ignore"):
        check("batch_norm_training", x, grads=False)


def test_inference_gradient_does_not_read_x():
    x = np.full((1, 3, 2, 2), np.inf, np.float32)
    grad_x, _, grad_bias = functional.batch_norm_backward(
        np.ones_like(x), x, np.zeros(3, np.float32), np.ones(3, np.float32), eps=0.0, training=False
    )
    np.testing.assert_array_equal(grad_x, 1)
    np.testing.assert_array_equal(grad_bias, 4)


@pytest.mark.parametrize("channels", [3, 16])
def test_layouts(channels):
    x, g = normal(2, channels, 4, 5), normal(2, channels, 4, 5, seed=1)
    mean, var, weight, bias = per_channel(channels)
    for (layout, other), (_, other_g) in zip(layouts(x), reversed(list(layouts(g))), strict=True):
        check("batch_norm", other, mean, var, weight, bias)
        check("batch_norm_training", other, weight, bias)
        check("local_response_norm", other, 3, 2.0)
        ours = functional.batch_norm_backward(other_g, other, mean, var, weight)
        wanted = reference.batch_norm_backward(g, x, mean, var, weight)
        for one, expected in zip(ours, wanted, strict=True):
            assert_close(one, expected, (40, 80.0), what=layout)
        ours = functional.local_response_norm_backward(other_g, other, 3, 2.0)
        wanted = reference.local_response_norm_backward(g, x, 3, 2.0)
        assert_close(ours, wanted, (3, 4.0), what=layout)
        assert ours.transpose(0, 2, 3, 1).flags.c_contiguous
    rows = x.transpose(0, 2, 3, 1).reshape(-1, channels)
    for _, other in layouts(rows):
        check("batch_norm", other, mean, var, weight, bias)
        check("batch_norm_training", other, weight, bias)
    strided = [np.repeat(p, 2)[::2] for p in (mean, var, weight, bias)]
    np.testing.assert_array_equal(
        functional.batch_norm(x, *strided), functional.batch_norm(x, mean, var, weight, bias)
    )


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4), (0, 3), (2, 0, 3, 3), (2, 0)])
def test_empty_arrays(shape, every_isa):
    x = normal(*shape)
    mean, var, weight, bias = per_channel(shape[1])
    check("batch_norm", x, mean, var, weight, bias)
    check("local_response_norm", x, 3)
    for training in (True, False):
        gradients = functional.batch_norm_backward(x, x, mean, var, weight, training=training)
        assert [g.shape for g in gradients] == [shape, (shape[1],), (shape[1],)]
        np.testing.assert_array_equal(gradients[1:], 0)


@pytest.mark.parametrize("channels", [1, 3, 48, 200])
def test_same_bits_at_any_thread_count(channels, every_isa):
    x, g = normal(3, channels, 70, 71), normal(3, channels, 70, 71, seed=1)
    mean, var, weight, bias = per_channel(channels)
    f = functional
    assert_same_bits(lambda: f.batch_norm(x, mean, var, weight, bias))
    assert_same_bits(lambda: f.batch_norm_training(x, weight, bias))
    for training in (True, False):
        assert_same_bits(
            lambda t=training: f.batch_norm_backward(g, x, mean, var, weight, training=t)
        )
    for beta in (0.75, 0.6):
        assert_same_bits(lambda b=beta: f.local_response_norm(x, 5, 1.0, b))
        assert_same_bits(lambda b=beta: f.local_response_norm_backward(g, x, 5, 1.0, b))


X = normal(1, 3, 2, 2)
ONES = np.ones(3, np.float32)
VALUE_ERRORS = [
    (
        lambda f: f.local_response_norm(X, 0),
        "local_response_norm: size must be at least 1 (size=0)",
    ),
    (
        lambda f: f.local_response_norm_backward(X, X, -1),
        "local_response_norm_backward: size must be at least 1 (size=-1)",
    ),
    (
        lambda f: f.local_response_norm(X[0], 3),
        "local_response_norm: x must have 2 or 4 axes (shape=(3, 2, 2))",
    ),
    (
        lambda f: f.local_response_norm_backward(X[:, :2], X, 3),
        "local_response_norm_backward: grad_output must have the shape of x "
        "(grad_output=(1, 2, 2, 2), x=(1, 3, 2, 2))",
    ),
    (
        lambda f: f.batch_norm(X[0], ONES, ONES),
        "batch_norm: x must have 2 or 4 axes (shape=(3, 2, 2))",
    ),
    (
        lambda f: f.batch_norm(X, ONES[:2], ONES),
        "batch_norm: mean must have one value per channel (expected=3, shape=(2,))",
    ),
    (
        lambda f: f.batch_norm(X, ONES, ONES, bias=ONES[:1]),
        "batch_norm: bias must have one value per channel (expected=3, shape=(1,))",
    ),
    (
        lambda f: f.batch_norm(X, ONES, ONES, eps=-1),
        "batch_norm: eps must be at least 0 (eps=-1)",
    ),
    (
        lambda f: f.batch_norm(X, ONES, ONES, activation="gelu"),
        'batch_norm: activation must be None, "relu", ("leaky_relu", slope) or '
        "(\"clip\", min, max) (activation='gelu')",
    ),
    (
        lambda f: f.batch_norm_training(X[:0]),
        "batch_norm_training: x must not be empty (shape=(0, 3, 2, 2))",
    ),
    (
        lambda f: f.batch_norm_training(X, eps=float("nan")),
        "batch_norm_training: eps must be at least 0 (eps=nan)",
    ),
    (
        lambda f: f.batch_norm_backward(X[..., :1], X, ONES, ONES),
        "batch_norm_backward: grad_output must have the shape of x "
        "(grad_output=(1, 3, 2, 1), x=(1, 3, 2, 2))",
    ),
    (
        lambda f: f.batch_norm_backward(X, X, ONES, ONES[:0]),
        "batch_norm_backward: var must have one value per channel (expected=3, shape=(0,))",
    ),
]
TYPE_ERRORS = [
    (
        lambda f: f.local_response_norm(X, 2.5),
        "local_response_norm: size must be an integer (size=2.5)",
    ),
    (
        lambda f: f.local_response_norm(X, 3, beta="a"),
        "local_response_norm: beta must be a number (beta='a')",
    ),
    (
        lambda f: f.batch_norm(X.astype(np.float64), ONES, ONES),
        "batch_norm: x must be float32; convert it with astype (dtype=float64)",
    ),
    (
        lambda f: f.batch_norm(X, [1, 1, 1], ONES),
        "batch_norm: mean must be a NumPy array (type=list)",
    ),
    (
        lambda f: f.batch_norm_training(X, eps=None),
        "batch_norm_training: eps must be a number (eps=None)",
    ),
]


@pytest.mark.parametrize(
    "error, call, message",
    [(ValueError, *case) for case in VALUE_ERRORS] + [(TypeError, *case) for case in TYPE_ERRORS],
)
def test_errors(error, call, message):
    with pytest.raises(error) as raised:
        call(functional)
    assert str(raised.value) == message


# batch norm with a residual and a ReLU


@pytest.mark.parametrize("channels", [1, 5, 16, 33, 64, 100])
@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 40, 30), ()])
@pytest.mark.parametrize("added", [False, True])
def test_batch_norm_with_residual_and_relu(channels, shape, added, every_isa, thread_counts):
    x = normal(4, channels, *shape[1:]) if shape else normal(40, channels)
    residual = normal(*x.shape, seed=1) if added else None
    grad = normal(*x.shape, seed=2)
    _, _, weight, bias = per_channel(channels)
    after = {"residual": residual, "activation": "relu"}
    y, mean, var = functional.batch_norm_training(x, weight, bias, **after)
    expected = reference.batch_norm_training(
        x.astype(np.float64),
        weight,
        bias,
        residual=None if residual is None else residual.astype(np.float64),
        activation="relu",
    )
    for got, exact in zip((y, mean, var), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-5)

    back = {"output": y, "residual": added}
    gradients = functional.batch_norm_backward(grad, x, mean, var, weight, **back)
    exact = reference.batch_norm_backward(
        grad.astype(np.float64), x.astype(np.float64), mean, var, weight, **back
    )
    assert len(gradients) == len(exact) == (4 if added else 3)
    for got, value in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-4 * max(1, np.abs(value).max()))


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("channels", [5, 48, 64])
def test_results_larger_than_a_cache(channels, added, every_isa):
    size = 4_200_000 // channels // 151
    x, residual = normal(1, channels, size, 151), normal(1, channels, size, 151, seed=1)
    _, _, weight, bias = per_channel(channels)
    after = {"residual": residual if added else None, "activation": "relu"}
    y, mean, var = functional.batch_norm_training(x, weight, bias, **after)
    exact = reference.batch_norm(x, mean, var, weight, bias) + (residual if added else 0)
    np.testing.assert_allclose(y, np.maximum(exact, 0), rtol=1e-4, atol=1e-4)


def test_the_residual_of_batch_norm_without_relu_gets_the_gradient_itself(every_isa):
    x, grad = normal(4, 8, 3, 3), normal(4, 8, 3, 3, seed=1)
    _, mean, var = functional.batch_norm_training(x)
    assert functional.batch_norm_backward(grad, x, mean, var, residual=True)[3] is grad


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("shape", [(4, 8, 3, 3), (3, 37, 5, 7), (9, 5)])
def test_batch_norm_backward_may_write_over_the_gradient(shape, added, relu, every_isa):
    x, grad = normal(*shape), normal(*shape, seed=1)
    y, mean, var = functional.batch_norm_training(x, activation="relu" if relu else None)
    back = {"output": y if relu else None, "residual": added}
    expected = functional.batch_norm_backward(grad, x, mean, var, **back)
    free = functional.to_channels_last(grad) if x.ndim == 4 else grad.copy()
    gradients = functional.batch_norm_backward(free, x, mean, var, overwrite=True, **back)
    for got, value in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(got, value)
    assert gradients[3 if added else 0] is free


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(4, 8, 3, 3), (3, 37, 5, 7), (9, 5), (16, 100, 14, 14)])
def test_a_relus_gradient_follows_from_x_and_bias(shape, affine, every_isa):
    x, grad = normal(*shape), normal(*shape, seed=1)
    weight, bias = normal(shape[1], seed=2), normal(shape[1], seed=3)
    weight, bias = (weight, bias) if affine else (None, None)
    y, mean, var = functional.batch_norm_training(x, weight, bias, activation="relu")
    expected = functional.batch_norm_backward(grad, x, mean, var, weight, output=y)
    back = {"activation": "relu", "bias": bias}
    for got, value in zip(
        functional.batch_norm_backward(grad, x, mean, var, weight, **back), expected, strict=True
    ):
        np.testing.assert_array_equal(got, value)
    twin = reference.batch_norm_backward(grad, x, mean, var, weight, **back)
    for got, value in zip(twin, expected, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-4 * max(1, np.abs(value).max()))


@pytest.mark.parametrize("backend", [functional, reference])
def test_batch_norm_epilogue_errors(backend):
    x = normal(4, 8, 3, 3)
    with pytest.raises(ValueError, match="residual"):
        backend.batch_norm_training(x, residual=x[:2])
    y, mean, var = backend.batch_norm_training(x, activation="relu")
    with pytest.raises(ValueError, match="output"):
        backend.batch_norm_backward(x, x, mean, var, output=y[:2])
    with pytest.raises(ValueError, match="in training only"):
        backend.batch_norm_backward(x, x, mean, var, training=False, output=y)
    with pytest.raises(ValueError, match="activation must be"):
        backend.batch_norm_backward(x, x, mean, var, activation="tanh")
    with pytest.raises(ValueError, match="residual's gradient takes"):
        backend.batch_norm_backward(x, x, mean, var, activation="relu", residual=True)
