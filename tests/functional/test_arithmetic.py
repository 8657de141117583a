"""Addition with its fused activations against the twin."""

from __future__ import annotations

import numpy as np
import pytest

from compare import assert_close, check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

ACTIVATIONS = [
    None,
    "relu",
    ("leaky_relu", 0.1),
    ("clip", 0.0, 6.0),
    ("clip", None, 0.5),
    ("clip", -0.5, None),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 100])
def test_sizes(activation, size, every_isa):
    check("add", normal(size), normal(size, seed=1), activation=activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_non_finite_values(activation, every_isa):
    values = np.array([-np.inf, -1, 0, 1, np.inf, np.nan], np.float32)
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    check("add", x, y, activation=activation)


def test_every_pair_of_layouts():
    x, y = normal(2, 5, 3, 4), normal(2, 5, 3, 4, seed=1)
    expected = reference.add(x, y, activation="relu")
    for layout, left in layouts(x):
        for other, right in layouts(y):
            ours = functional.add(left, right, activation="relu")
            assert_close(ours, expected, (1, 4.0), what=f"{layout}, {other}")
            is_channels_last = ours.transpose(0, 2, 3, 1).flags.c_contiguous
            assert is_channels_last == (not left.flags.c_contiguous), layout


def test_every_shape():
    for shape in [(3, 4), (2, 3, 4), (0, 3, 2, 2), (2, 1, 2, 1, 3)]:
        check("add", normal(*shape), normal(*shape, seed=1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_same_bits_at_any_thread_count(activation, every_isa):
    x, y = normal(200_003), normal(200_003, seed=1)
    assert_same_bits(lambda: functional.add(x, y, activation=activation))


X = normal(2, 3)
CHOICES = (
    'add: activation must be None, "relu", ("leaky_relu", slope) or ("clip", min, max) '
    "(activation={})"
)
ERRORS = [
    (
        lambda: functional.add(X, X.T),
        ValueError,
        "add: x and y must have the same shape (x=(2, 3), y=(3, 2))",
    ),
    (
        lambda: functional.add(X, 1.0),
        TypeError,
        "add: y must be a NumPy array (type=float)",
    ),
    (
        lambda: functional.add(X, X.astype(np.int32)),
        TypeError,
        "add: y must be float32; convert it with astype (dtype=int32)",
    ),
]
BAD_ACTIVATIONS = [
    ("gelu", ValueError),
    ((), ValueError),
    (("leaky_relu",), ValueError),
    (("relu", 1), ValueError),
    (("clip", 0), ValueError),
    (("clip", "0", 6), TypeError),
    (("leaky_relu", None), TypeError),
    ((1, 2), TypeError),
    (6.0, TypeError),
    (["relu"], TypeError),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize("activation, error", BAD_ACTIVATIONS)
def test_bad_activations(activation, error):
    with pytest.raises(error) as raised:
        functional.add(X, X, activation=activation)
    assert str(raised.value) == CHOICES.format(repr(activation))
