"""Softmax and cross entropy against their twins, on every instruction set and in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from compare import assert_close, check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

# Around the widths of vectors: 4, 8 and 16.
CLASSES = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 33, 100, 1000]
SOFTMAXES = ["softmax", "log_softmax"]
INF, NAN = np.inf, np.nan


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def classes(rows, count, seed=1):
    return np.random.default_rng(seed).integers(count, size=rows)


@pytest.mark.parametrize("name", SOFTMAXES)
@pytest.mark.parametrize("count", CLASSES)
def test_rows(name, count, every_isa):
    check(name, normal(3, count) * 4)


@pytest.mark.parametrize("name", SOFTMAXES)
@pytest.mark.parametrize(
    "shape, dim",
    [
        ((5,), 0),
        ((3, 4), 0),
        ((3, 4), -1),
        ((2, 3, 17), 1),
        ((2, 3, 17), -3),
        ((2, 10, 3, 5), 1),
        ((2, 10, 3, 5), 0),
        ((2, 10, 3, 5), 2),
        ((2, 10, 3, 5), -1),
        ((2, 3, 2, 40, 3), 2),
        ((0, 3), 1),
        ((3, 2, 0, 2), 1),
    ],
)
def test_every_axis(name, shape, dim, every_isa, thread_counts):
    x = normal(*shape)
    check(name, x, dim)
    if len(shape) == 4:
        check(name, functional.to_channels_last(x), dim)


@pytest.mark.parametrize("name", SOFTMAXES)
def test_layouts(name):
    x, grad = normal(2, 5, 3, 4), normal(2, 5, 3, 4, seed=1)
    for dim in range(4):
        y = getattr(reference, name)(x, dim)
        grad_x = getattr(reference, f"{name}_backward")(grad, y, dim)
        for layout, other in layouts(x):
            ours = getattr(functional, name)(other, dim)
            assert_close(ours, y, (5, 4.0), what=layout)
        for layout, other in layouts(y):
            for grad_layout, other_grad in layouts(grad):
                ours = getattr(functional, f"{name}_backward")(other_grad, other, dim)
                assert_close(ours, grad_x, (5, 16.0), what=f"{layout}, {grad_layout}")


NON_FINITE = np.array(
    [
        [1, 2, NAN, 3],
        [1, INF, 2, 3],
        [1, -INF, 2, 3],
        [-INF, -INF, -INF, -INF],
        [INF, NAN, -INF, 0],
        [3e38, -3e38, 3e38, 0],
        [-200, 0, 200, 100],
    ],
    np.float32,
)


@pytest.mark.parametrize("name", SOFTMAXES)
@pytest.mark.parametrize("repeats", [1, 2, 4, 5])
def test_non_finite_values(name, repeats, every_isa):
    x = np.tile(NON_FINITE, repeats)
    check(name, x, grads=False)
    check(name, x.T.copy(), 0, grads=False)


@pytest.mark.parametrize("name", SOFTMAXES)
def test_large_values_do_not_overflow(name, every_isa):
    x = normal(4, 20) + np.array([[0], [1e4], [-1e4], [88]], np.float32)
    check(name, x)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("count", CLASSES)
def test_cross_entropy(reduction, count, every_isa, thread_counts):
    check("cross_entropy", normal(9, count) * 4, classes(9, count), reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("rows", [0, 1, 2, 300])
def test_rows_of_cross_entropy(reduction, rows, every_isa, thread_counts):
    if rows == 0 and reduction == "mean":
        pytest.skip("NaN has no differences; see test_mean_of_no_rows_is_nan")
    check("cross_entropy", normal(rows, 11), classes(rows, 11), reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_rows(reduction, every_isa):
    target = np.array([3, -100, 0, -100])
    check("cross_entropy", normal(4, 5), target, reduction)
    check("cross_entropy", normal(4, 5), target % 5, reduction, 3)
    check("cross_entropy", normal(4, 5), np.array([255, 1, 2, 255]), reduction, 255)
    logits = normal(4, 5)
    logits[1] = [NAN, INF, -INF, 0, 0]
    check("cross_entropy", logits, target, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
@pytest.mark.parametrize("count", CLASSES)
def test_label_smoothing(smoothing, count, reduction, every_isa, thread_counts):
    target = classes(9, count)
    target[4] = -100
    check("cross_entropy", normal(9, count) * 4, target, reduction, label_smoothing=smoothing)


def test_smoothed_losses_of_extreme_logits(every_isa):
    for rows in ([0], [1], [2], [3], [6]):
        target = np.full(len(rows), 2)
        check("cross_entropy", NON_FINITE[rows], target, "none", -100, 0.1, grads=False)
    # A class that cannot be has an infinite share of the loss, but only if it has one.
    assert functional.cross_entropy(NON_FINITE[[2]], np.array([0]), "sum", -100, 0.1) == INF
    assert np.isfinite(functional.cross_entropy(NON_FINITE[[2]], np.array([0]), "sum"))


def test_mean_of_no_rows_is_nan(every_isa):
    for rows in (0, 3):
        target = np.full(rows, -100)
        assert np.isnan(functional.cross_entropy(normal(rows, 5), target))
        assert functional.cross_entropy(normal(rows, 5), target, "sum") == 0
        grad = functional.cross_entropy_backward(np.ones((), "f4"), normal(rows, 5), target)
        np.testing.assert_array_equal(grad, np.zeros((rows, 5)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_non_finite_logits(reduction, every_isa):
    for column in range(4):
        target = np.full(len(NON_FINITE), column, np.int32)
        for rows in ([0], [1], [2], [3], [4], [2, 6]):
            check("cross_entropy", NON_FINITE[rows], target[rows], reduction, grads=False)


def test_target_types_and_layouts(every_isa):
    logits, target = normal(6, 7), classes(6, 7)
    expected = reference.cross_entropy(logits, target)
    grad = np.asarray(1.5, np.float32)
    expected_grad = reference.cross_entropy_backward(grad, logits, target)
    for other in (target.astype(np.int32), np.repeat(target, 2)[::2], target[::-1].copy()[::-1]):
        for _, x in layouts(logits):
            assert_close(functional.cross_entropy(x, other), expected, (6, 6.0))
            ours = functional.cross_entropy_backward(np.float32(1.5), x, other)
            assert_close(ours, expected_grad, (7, 2.0))
    grads = np.repeat(normal(6), 2)[::2]
    assert_close(
        functional.cross_entropy_backward(grads, logits, target, "none"),
        reference.cross_entropy_backward(grads, logits, target, "none"),
        (7, 2.0),
    )


def test_same_bits_at_any_thread_count(every_isa):
    x, grad = normal(64, 1000), normal(64, 1000, seed=1)
    target = classes(64, 1000)
    one = np.ones((), np.float32)
    for name in SOFTMAXES:
        for dim in (0, 1):
            assert_same_bits(lambda n=name, d=dim: getattr(functional, n)(x, d))
            assert_same_bits(lambda n=name, d=dim: getattr(functional, f"{n}_backward")(grad, x, d))
    for reduction in ("mean", "sum", "none"):
        assert_same_bits(lambda r=reduction: functional.cross_entropy(x, target, r))
    assert_same_bits(lambda: functional.cross_entropy(x, target, label_smoothing=0.1))
    assert_same_bits(lambda: functional.cross_entropy_backward(one, x, target))


X, T = normal(2, 3), np.array([0, 2])
ONE = np.ones((), np.float32)
ERRORS = [
    (
        lambda: functional.softmax(X, 2),
        ValueError,
        "softmax: dim must be an axis of x (dim=2, x=(2, 3))",
    ),
    (
        lambda: functional.log_softmax(normal(4)),
        ValueError,
        "log_softmax: dim must be an axis of x (dim=1, x=(4,))",
    ),
    (
        lambda: functional.softmax_backward(X, X, -3),
        ValueError,
        "softmax_backward: dim must be an axis of y (dim=-3, y=(2, 3))",
    ),
    (
        lambda: functional.softmax(X, 1.0),
        TypeError,
        "softmax: dim must be an integer (dim=1.0)",
    ),
    (
        lambda: functional.softmax(normal(2, 0)),
        ValueError,
        "softmax: x must not be empty along dim (dim=1, x=(2, 0))",
    ),
    (
        lambda: functional.log_softmax_backward(X[:1], X),
        ValueError,
        "log_softmax_backward: y and grad_output must have the same shape "
        "(y=(2, 3), grad_output=(1, 3))",
    ),
    (
        lambda: functional.cross_entropy(X, np.array([0, 3])),
        ValueError,
        "cross_entropy: target must be a class or ignore_index "
        "(target=3, position=1, classes=3, ignore_index=-100)",
    ),
    (
        lambda: functional.cross_entropy_backward(ONE, X, np.array([-1, 3])),
        ValueError,
        "cross_entropy_backward: target must be a class or ignore_index "
        "(target=-1, position=0, classes=3, ignore_index=-100)",
    ),
    (
        lambda: functional.cross_entropy(X, [0, 1]),
        TypeError,
        "cross_entropy: target must be a NumPy array (type=list)",
    ),
    (
        lambda: functional.cross_entropy(X, T.astype(np.float32)),
        TypeError,
        "cross_entropy: target must be int64 or int32 (dtype=float32)",
    ),
    (
        lambda: functional.cross_entropy(X, T.astype(np.uint8)),
        TypeError,
        "cross_entropy: target must be int64 or int32 (dtype=uint8)",
    ),
    (
        lambda: functional.cross_entropy(X, np.array([0])),
        ValueError,
        "cross_entropy: target must have one class per row of logits (target=(1,), logits=(2, 3))",
    ),
    (
        lambda: functional.cross_entropy(normal(2, 3, 1), T),
        ValueError,
        "cross_entropy: logits must have 2 axes (shape=(2, 3, 1))",
    ),
    (
        lambda: functional.cross_entropy(X, T, "max"),
        ValueError,
        "cross_entropy: reduction must be 'mean', 'sum' or 'none' (reduction='max')",
    ),
    (
        lambda: functional.cross_entropy(X, T, ignore_index=0.5),
        TypeError,
        "cross_entropy: ignore_index must be an integer (ignore_index=0.5)",
    ),
    (
        lambda: functional.cross_entropy(X, T, label_smoothing=1.5),
        ValueError,
        "cross_entropy: label_smoothing must lie in [0, 1] (label_smoothing=1.5)",
    ),
    (
        lambda: functional.cross_entropy_backward(ONE, X, T, label_smoothing=float("nan")),
        ValueError,
        "cross_entropy_backward: label_smoothing must lie in [0, 1] (label_smoothing=nan)",
    ),
    (
        lambda: functional.cross_entropy(X, T, label_smoothing="0.1"),
        TypeError,
        "cross_entropy: label_smoothing must be a number (label_smoothing='0.1')",
    ),
    (
        lambda: functional.cross_entropy_backward(np.ones(1, "f4"), X, T),
        ValueError,
        "cross_entropy_backward: grad_output must have the shape of the loss "
        "(grad_output=(1,), loss=())",
    ),
    (
        lambda: functional.cross_entropy_backward(1.0, X, T),
        TypeError,
        "cross_entropy_backward: grad_output must be a NumPy array (type=float)",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
