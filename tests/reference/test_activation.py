"""Activations against the definition by math, finite differences and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

RNG = np.random.default_rng(0)
SCALAR = {
    # name: arguments, the function of one number
    "relu": ((), lambda x: max(x, 0.0)),
    "leaky_relu": ((0.2,), lambda x: x if x > 0 else 0.2 * x),
    "sigmoid": ((), lambda x: 1 / (1 + math.exp(-x))),
    "tanh": ((), math.tanh),
    "clip": ((-0.5, 1.0), lambda x: min(max(x, -0.5), 1.0)),
}
SHAPES = [(7,), (3, 4), (2, 3, 4, 5), (0, 3, 2, 2)]
EDGES = np.array([-np.inf, -800.0, -1.0, -0.5, 0.0, 0.5, 1.0, 800.0, np.inf, np.nan])


def normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SCALAR)
def test_values_and_gradients(name, shape):
    arguments, function = SCALAR[name]
    x = normal(*shape)
    y = getattr(reference, name)(x, *arguments)
    assert y.shape == x.shape
    np.testing.assert_allclose(y.ravel(), [function(v) for v in x.ravel()], rtol=1e-12)
    check_twin(name, x, *arguments)


def test_edges():
    inf, nan = np.inf, np.nan
    nothing = [0, 0, 0, 0, 0]
    np.testing.assert_array_equal(reference.relu(EDGES), [*nothing, 0.5, 1, 800, inf, nan])
    y = reference.sigmoid(EDGES)
    np.testing.assert_array_equal(y[[0, 4, 7, 8, 9]], [0, 0.5, 1, 1, nan])
    assert y[1] < 1e-300
    np.testing.assert_array_equal(reference.tanh(EDGES)[[0, 1, 4, 7, 8, 9]], [-1, -1, 0, 1, 1, nan])
    clipped = [-0.5, -0.5, -0.5, -0.5, 0, 0.5, 0.5, 0.5, 0.5, nan]
    np.testing.assert_array_equal(reference.clip(EDGES, -0.5, 0.5), clipped)


def test_gradients_at_the_kinks():
    g = np.array([1.0, 2.0, 3.0])
    x = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(reference.relu_backward(g, reference.relu(x)), [0, 0, 3])
    np.testing.assert_array_equal(reference.leaky_relu_backward(g, x, 0.5), [0.5, 1, 3])
    np.testing.assert_array_equal(reference.clip_backward(g, x, -1.0, 0.0), [1, 2, 0])
    np.testing.assert_array_equal(reference.clip_backward(g, x, max=-0.5), [1, 0, 0])
    np.testing.assert_array_equal(reference.prelu_backward(g, x, np.array([0.5]))[0], [0.5, 1, 3])


def test_clip_with_one_bound_or_none():
    x = normal(5)
    np.testing.assert_array_equal(reference.clip(x, min=0.1), [max(v, 0.1) for v in x])
    np.testing.assert_array_equal(reference.clip(x, max=0.1), [min(v, 0.1) for v in x])
    y = reference.clip(x)
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4, 5), (2, 3, 4)])
@pytest.mark.parametrize("slopes", [1, 3])
def test_prelu(shape, slopes):
    x, weight = normal(*shape), normal(slopes)
    y = reference.prelu(x, weight)
    for place in np.ndindex(shape):
        slope = weight[place[1] if slopes == 3 else 0]
        assert y[place] == (x[place] if x[place] > 0 else slope * x[place])
    check_twin("prelu", x, weight)


@pytest.mark.donor
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5)])
def test_activations_match_torch(shape):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    theirs = {
        "relu": F.relu,
        "leaky_relu": F.leaky_relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "clip": torch.clamp,
    }
    for name, (arguments, _) in SCALAR.items():
        x = np.round(normal(*shape) * 2) / 2  # meets every kink
        check_twin(name, x, *arguments, torch=theirs[name])
    for slopes in (1, shape[1]):
        check_twin("prelu", normal(*shape), normal(slopes), torch=F.prelu)


@pytest.mark.parametrize(
    "name, arguments", [*((n, a) for n, (a, _) in SCALAR.items()), ("prelu", (np.ones(1, "f4"),))]
)
def test_float32_is_kept(name, arguments):
    x = normal(2, 3).astype(np.float32)
    assert getattr(reference, name)(x, *arguments).dtype == np.float32
    grads = getattr(reference, f"{name}_backward")(x, x, *arguments)
    assert all(g.dtype == np.float32 for g in (grads if isinstance(grads, tuple) else (grads,)))


def test_errors():
    with pytest.raises(ValueError) as error:
        reference.prelu(normal(2, 3), normal(2))
    expected = "prelu: weight must have one element, or one per channel of x"
    assert str(error.value) == f"{expected} (weight=(2,), x=(2, 3))"
    with pytest.raises(ValueError, match=r"^relu_backward: grad_output must have shape \(2,\)"):
        reference.relu_backward(normal(3), normal(2))
    with pytest.raises(TypeError, match=r"^sigmoid: x must be floating \(x=int64\)$"):
        reference.sigmoid(np.arange(3))
