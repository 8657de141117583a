"""The test helper itself: it passes float32 twins as kernels, and fails wrong ones."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings

from compare import assert_close, check, check_gradient, tolerance
from fastconv import reference
from operations import OPERATIONS
from strategies import conv_cases, pool_cases

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


X, C = normal(2, 5, 7, 6), np.abs(normal(5)) + np.float32(0.5)
LABELS = np.array([3, -100])
CALLS = {
    "gemm": [((normal(9, 50), normal(50, 4)), {"bias": normal(4), "activation": "relu"})],
    "linear": [((normal(3, 200), normal(7, 200), normal(7)), {})],
    "conv2d": [
        ((X, normal(10, 5, 3, 3), normal(10)), {"padding": 1, "activation": ("clip", 0.0, 6.0)}),
        ((np.abs(X), np.abs(normal(5, 1, 3, 3))), {"groups": 5, "stride": 2}),
    ],
    "max_pool2d": [((X, 3), {"stride": 2, "return_indices": True}), ((X, 2), {})],
    "avg_pool2d": [((X, 3), {"stride": 2, "padding": 1})],
    "adaptive_avg_pool2d": [((X, 3), {}), ((X, (1, None)), {})],
    "global_avg_pool2d": [((X,), {})],
    "local_response_norm": [((X, 5), {}), ((X * 9, 2), {"alpha": 0.5, "k": 2.0})],
    "batch_norm": [((X, C, C, C, C), {}), ((X + 50, C + 50, C), {})],
    "batch_norm_training": [((X, C, C), {}), ((X + 100,), {})],
    "prelu": [((X, C), {}), ((X, C[:1]), {})],
    "clip": [((X,), {"min": -0.5, "max": 0.5})],
    "softmax": [((X,), {}), ((X * 30,), {"dim": -1})],
    "log_softmax": [((X,), {}), ((X * 30,), {"dim": -1})],
    "cross_entropy": [
        ((normal(2, 9), LABELS), {}),
        ((normal(2, 9) * 20, LABELS, "none"), {}),
        ((normal(2, 9), LABELS, "sum"), {"label_smoothing": 0.1}),
    ],
    "dropout": [((X, 0.3, 5), {})],
    "add": [((X, X[::-1]), {"activation": "relu"})],
    "concat": [(([X, X],), {})],
    "pad": [((X, 2), {})],
}


def channels_last(value):
    if isinstance(value, tuple):
        return tuple(channels_last(v) for v in value)
    if value.ndim == 4 and value.dtype == np.float32:
        return reference.to_channels_last(value)
    return value


@pytest.fixture
def kernels(monkeypatch):
    """The twins, in place of fastconv.functional."""
    module = ModuleType("fastconv.functional")
    for name in reference.__all__:
        function = getattr(reference, name)
        setattr(module, name, lambda *args, f=function, **kw: channels_last(f(*args, **kw)))
    monkeypatch.setitem(sys.modules, "fastconv.functional", module)
    return module


@pytest.mark.parametrize("name", OPERATIONS)
def test_passes_right_kernels(kernels, name):
    for args, kwargs in CALLS.get(name, [((X,), {}), ((X * 20,), {})]):
        check(name, *args, **kwargs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_fails_wrong_kernels(kernels, monkeypatch, name):
    args, kwargs = CALLS.get(name, [((X,), {})])[0]
    right = getattr(kernels, name)

    def off(*args, **kwargs):
        """One element wrong by a thousandth of the largest."""
        result = right(*args, **kwargs)
        first = result[0] if isinstance(result, tuple) else result
        wrong = first.copy(order="K")
        wrong.flat[-1] += 1e-3 * np.abs(first).max()
        return (wrong, *result[1:]) if isinstance(result, tuple) else wrong

    monkeypatch.setattr(kernels, name, off)
    with pytest.raises(AssertionError, match=r"values are off|not equal"):
        check(name, *args, **kwargs)


# Of two operations at once, which has no forward of its own and tests elsewhere.
JOINED = "conv2d_max_pool2d_backward"


@pytest.mark.parametrize("name", [n for n in reference.__all__ if "_backward" in n and n != JOINED])
def test_fails_wrong_gradients(kernels, monkeypatch, name):
    right = getattr(kernels, name)

    def off(*args, **kwargs):
        result = right(*args, **kwargs)
        return tuple(r * 1.001 for r in result) if isinstance(result, tuple) else result * 1.001

    monkeypatch.setattr(kernels, name, off)
    forward = name.split("_backward")[0]
    if forward == "batch_norm":
        forward = "batch_norm_training"
    args, kwargs = CALLS.get(forward, [((X,), {})])[0]
    with pytest.raises(AssertionError, match=r"gradient of .* values are off"):
        check(forward, *args, **kwargs)


def test_fails_wrong_layout_dtype_and_changed_input(kernels, monkeypatch):
    monkeypatch.setattr(kernels, "avg_pool2d", reference.avg_pool2d)
    with pytest.raises(AssertionError, match="not channels-last"):
        check("avg_pool2d", X, 2)
    monkeypatch.setattr(kernels, "relu", lambda x: reference.relu(x).astype(np.float64))
    with pytest.raises(AssertionError, match="dtype float64"):
        check("relu", X)

    def spoils(x):
        x[...] = reference.relu(x)
        return x

    monkeypatch.setattr(kernels, "relu", spoils)
    with pytest.raises(AssertionError, match="changed its input"):
        check("relu", X.copy())


def test_what_is_not_finite_must_be_so_in_the_same_places(kernels):
    x = X.copy()
    x[0, 1, 2, 3], x[1, 2, 3, 4], x[1, 2, 3, 5] = np.nan, np.inf, -np.inf
    check("max_pool2d", x, 3, 2)
    check("avg_pool2d", x, 3, 2)
    check("sigmoid", x)
    expected = np.array([1.0, np.nan])
    with pytest.raises(AssertionError):
        assert_close(np.array([1, 2], np.float32), expected)
    with pytest.raises(AssertionError):
        assert_close(np.array([np.nan, np.nan], np.float32), expected)


def test_a_wrong_gradient_is_noticed():
    x = RNG.standard_normal(5)
    check_gradient(np.sin, x, np.cos(x), np.ones(5))
    wrong = np.cos(x)
    wrong[3] += 1e-4
    with pytest.raises(AssertionError, match="claimed"):
        check_gradient(np.sin, x, wrong, np.ones(5))


def test_tolerance_grows_with_the_root_of_the_length():
    assert tolerance(400, 1.0) == pytest.approx(20 * tolerance(1, 1.0))
    assert tolerance(1, 1.0) < 1e-6


@settings(max_examples=30)
@given(case=conv_cases(max_channels=8, max_output=5))
def test_convolution_cases_are_valid(case):
    y = reference.conv2d(*case.arrays(), **case.arguments())
    assert y.shape[1] == case.weight_shape[0]
    assert min(y.shape[2:]) > 0


@settings(max_examples=60)
@given(case=pool_cases(max_channels=3))
def test_pooling_cases_are_valid(case):
    assert min(reference.max_pool2d(case.array(), **case.max_arguments()).shape[2:]) > 0
    assert min(reference.avg_pool2d(case.array(), **case.avg_arguments()).shape[2:]) > 0
