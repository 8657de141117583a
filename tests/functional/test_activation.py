"""Activation kernels against their twins, on every instruction set and in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from compare import assert_close, check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

# Around the widths of vectors: 4, 8 and 16.
SIZES = [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]
ARGUMENTS = {
    "relu": (),
    "leaky_relu": (0.2,),
    "clip": (-0.5, 1.0),
    "sigmoid": (),
    "tanh": (),
}
EDGES = np.array(
    [-np.inf, -800, -90, -1, -0.5, -0.0, 0, 1e-30, 0.5, 1, 90, 800, np.inf, np.nan], np.float32
)
FROM_OUTPUT = ("relu", "sigmoid", "tanh")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def channels_last(x):
    return functional.to_channels_last(x)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("size", SIZES)
def test_sizes(name, size, every_isa):
    check(name, normal(size) * 3, *ARGUMENTS[name])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_non_finite_values(name, every_isa):
    check(name, np.tile(EDGES, 3), *ARGUMENTS[name])
    check(name, EDGES[:5], *ARGUMENTS[name])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_shape(name):
    for shape in [(1,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (0, 3, 2, 2), (2, 1, 2, 1, 3)]:
        check(name, normal(*shape), *ARGUMENTS[name])
    scalar = getattr(functional, name)(np.asarray(normal(1)[0]), *ARGUMENTS[name])
    assert scalar.shape == ()
    assert scalar == getattr(functional, name)(normal(1), *ARGUMENTS[name])[0]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_layouts(name):
    x, grad = normal(2, 5, 3, 4), normal(2, 5, 3, 4, seed=1)
    y = getattr(reference, name)(x, *ARGUMENTS[name])
    saved = y if name in FROM_OUTPUT else x
    backward = getattr(functional, f"{name}_backward")
    grad_x = getattr(reference, f"{name}_backward")(grad, saved, *ARGUMENTS[name])
    for layout, other in layouts(x):
        result = getattr(functional, name)(other, *ARGUMENTS[name])
        assert_close(result, y, what=layout)
        is_channels_last = result.transpose(0, 2, 3, 1).flags.c_contiguous
        assert is_channels_last == (not other.flags.c_contiguous), layout
    for layout, other_saved in layouts(saved):
        for grad_layout, other_grad in layouts(grad):
            result = backward(other_grad, other_saved, *ARGUMENTS[name])
            assert_close(result, grad_x, (1, np.abs(grad)), what=f"{layout}, {grad_layout}")


def test_gradients_at_the_kinks(every_isa):
    g = np.arange(1, 18, dtype=np.float32)
    x = np.tile(np.array([-1, 0, 1], np.float32), 6)[:17]
    for name, arguments in [("relu", ()), ("leaky_relu", (0.5,)), ("clip", (-1.0, 0.0))]:
        ours = getattr(functional, f"{name}_backward")(g, x, *arguments)
        np.testing.assert_array_equal(
            ours, getattr(reference, f"{name}_backward")(g, x, *arguments)
        )


def test_clip_with_one_bound_or_none(every_isa):
    x = normal(37)
    for bounds in [(0.1, None), (None, 0.1), (None, None), (0.5, -0.5), (-np.inf, np.inf)]:
        np.testing.assert_array_equal(functional.clip(x, *bounds), reference.clip(x, *bounds))
        ours = functional.clip_backward(x, x, *bounds)
        np.testing.assert_array_equal(ours, reference.clip_backward(x, x, *bounds))


def test_negative_and_large_slopes(every_isa):
    for slope in (-0.5, 0, 1.5):
        check("leaky_relu", normal(37), slope)


@pytest.mark.parametrize(
    "shape", [(5, 3), (4, 17), (2, 3, 4), (2, 16, 3, 3), (2, 33, 2, 3), (0, 3, 2, 2), (2, 3, 0, 2)]
)
@pytest.mark.parametrize("shared", [True, False])
def test_prelu(shape, shared, every_isa, thread_counts):
    check("prelu", normal(*shape), normal(1 if shared else shape[1], seed=1))


def test_prelu_of_one_axis(every_isa):
    check("prelu", normal(37), normal(1, seed=1))


def test_prelu_layouts():
    x, weight, grad = normal(2, 5, 3, 4), normal(5, seed=1), normal(2, 5, 3, 4, seed=2)
    y = reference.prelu(x, weight)
    grads = reference.prelu_backward(grad, x, weight)
    for layout, other in layouts(x):
        assert_close(functional.prelu(other, weight), y, what=layout)
        for grad_layout, other_grad in layouts(grad):
            ours = functional.prelu_backward(other_grad, other, weight[::-1].copy()[::-1])
            for mine, expected in zip(ours, grads, strict=True):
                assert_close(mine, expected, (24, 20.0), what=f"{layout}, {grad_layout}")


@pytest.mark.parametrize("shape", [(3, 70, 40, 40), (40, 2, 150, 30)])
def test_long_sums_of_prelu(shape, every_isa, thread_counts):
    x, grad, weight = normal(*shape), normal(*shape, seed=1), normal(shape[1], seed=2)
    wide = [a.astype(np.float64) for a in (grad, x, weight)]
    length = x.size // shape[1]
    for layout in (x, channels_last(x)):
        for slope in (weight, weight[:1]):
            expected = reference.prelu_backward(wide[0], wide[1], slope.astype(np.float64))[1]
            ours = functional.prelu_backward(grad, layout, slope)[1]
            assert_close(ours, expected, (length, length / np.pi))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_same_bits_at_any_thread_count(name, every_isa):
    x, grad = normal(3, 67, 31, 33), normal(3, 67, 31, 33, seed=1)
    assert_same_bits(lambda: getattr(functional, name)(x, *ARGUMENTS[name]))
    backward = getattr(functional, f"{name}_backward")
    assert_same_bits(lambda: backward(grad, x, *ARGUMENTS[name]))


def test_same_bits_of_prelu_at_any_thread_count(every_isa):
    x, grad = normal(3, 67, 31, 33), normal(3, 67, 31, 33, seed=1)
    for weight in (normal(67), normal(1)):
        for layout in (x, channels_last(x)):
            assert_same_bits(lambda a=layout, w=weight: functional.prelu(a, w))
            assert_same_bits(lambda a=layout, w=weight: functional.prelu_backward(grad, a, w))


X = normal(2, 3)
ERRORS = [
    (
        lambda: functional.relu([1.0]),
        TypeError,
        "relu: x must be a NumPy array (type=list)",
    ),
    (
        lambda: functional.sigmoid(np.arange(3)),
        TypeError,
        "sigmoid: x must be float32; convert it with astype (dtype=int64)",
    ),
    (
        lambda: functional.tanh_backward(X.astype(np.float64), X),
        TypeError,
        "tanh_backward: grad_output must be float32; convert it with astype (dtype=float64)",
    ),
    (
        lambda: functional.relu_backward(X, X[:1]),
        ValueError,
        "relu_backward: y and grad_output must have the same shape (y=(1, 3), grad_output=(2, 3))",
    ),
    (
        lambda: functional.leaky_relu(X, "0.1"),
        TypeError,
        "leaky_relu: negative_slope must be a number (negative_slope='0.1')",
    ),
    (
        lambda: functional.clip(X, [0]),
        TypeError,
        "clip: min must be a number (min=[0])",
    ),
    (
        lambda: functional.clip_backward(X, X, 0, "1"),
        TypeError,
        "clip_backward: max must be a number (max='1')",
    ),
    (
        lambda: functional.prelu(X, normal(2)),
        ValueError,
        "prelu: weight must have one value, or one per channel of x (weight=(2,), x=(2, 3))",
    ),
    (
        lambda: functional.prelu_backward(normal(3), normal(3), normal(3)),
        ValueError,
        "prelu_backward: weight must have one value, or one per channel of x (weight=(3,), x=(3,))",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS, ids=[m.split(" (")[0] for *_, m in ERRORS])
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
