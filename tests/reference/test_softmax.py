"""Softmax and cross entropy against the definition by math, finite differences and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

RNG = np.random.default_rng(0)
DIMS = [((5,), 0), ((4, 3), 1), ((4, 3), 0), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), -1), ((2, 1), 1)]
REDUCTIONS = ["mean", "sum", "none"]


def normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("shape, dim", DIMS)
def test_softmax(shape, dim):
    x = normal(*shape)
    y, logs = reference.softmax(x, dim), reference.log_softmax(x, dim)
    columns = np.moveaxis(x, dim, -1).reshape(-1, shape[dim])
    for column, p, log in zip(
        columns,
        np.moveaxis(y, dim, -1).reshape(columns.shape),
        np.moveaxis(logs, dim, -1).reshape(columns.shape),
        strict=True,
    ):
        total = sum(math.exp(v) for v in column)
        np.testing.assert_allclose(p, [math.exp(v) / total for v in column], rtol=1e-12)
        np.testing.assert_allclose(log, [v - math.log(total) for v in column], atol=1e-12)
    check_twin("softmax", x, dim)
    check_twin("log_softmax", x, dim)


@pytest.mark.parametrize("shape, dim", DIMS)
def test_softmax_matches_torch(shape, dim):
    F = pytest.importorskip("torch.nn.functional")
    for name in ("softmax", "log_softmax"):
        check_twin(name, normal(*shape), dim, torch=getattr(F, name))


def test_softmax_of_large_numbers():
    x = np.array([[1e4, 1e4 - 1, -1e4]])
    p = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(reference.softmax(x), [[p, 1 - p, 0]], rtol=1e-12)
    np.testing.assert_allclose(reference.log_softmax(x)[0, 2], -2e4 - math.log(1 / p))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_cross_entropy(reduction, dtype):
    logits = normal(6, 4)
    target = np.array([0, 3, 9, 1, 9, 2], dtype)
    loss = reference.cross_entropy(logits, target, reduction, ignore_index=9)
    rows = [
        math.log(sum(math.exp(v) for v in row)) - row[t] if t != 9 else 0.0
        for row, t in zip(logits, target, strict=True)
    ]
    expected = {"none": rows, "sum": sum(rows), "mean": sum(rows) / 4}[reduction]
    assert isinstance(loss, np.ndarray) and loss.shape == np.shape(expected)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    check_twin("cross_entropy", logits, target, reduction, 9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_label_smoothing(reduction, smoothing):
    logits = normal(6, 4)
    target = np.array([0, 3, 9, 1, 9, 2])
    rows = []
    for row, t in zip(logits, target, strict=True):
        shares = [smoothing / 4 + (1 - smoothing) * (k == t) for k in range(4)]
        log_total = math.log(sum(math.exp(v) for v in row))
        loss = sum(share * (log_total - v) for share, v in zip(shares, row, strict=True))
        rows.append(loss if t != 9 else 0.0)
    expected = {"none": rows, "sum": sum(rows), "mean": sum(rows) / 4}[reduction]
    loss = reference.cross_entropy(logits, target, reduction, 9, smoothing)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    check_twin("cross_entropy", logits, target, reduction, 9, smoothing)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("target", [[0, 3, 2], [-100, 1, -100], [-100, -100, -100]])
def test_cross_entropy_matches_torch(reduction, target):
    F = pytest.importorskip("torch.nn.functional")

    def theirs(logits, target, reduction, ignore_index, label_smoothing):
        options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        return F.cross_entropy(logits, target, reduction=reduction, **options)

    target = np.array(target)
    nothing_counts = reduction == "mean" and (target == -100).all()
    for smoothing in (0.0, 0.2):
        arguments = (normal(3, 4), target, reduction, -100, smoothing)
        check_twin("cross_entropy", *arguments, torch=theirs, grads=not nothing_counts)


def test_cross_entropy_of_nothing():
    logits, target = normal(2, 3), np.array([-100, -100])
    assert np.isnan(reference.cross_entropy(logits, target))
    assert reference.cross_entropy(logits, target, "sum") == 0
    grad = reference.cross_entropy_backward(np.array(1.0), logits, target)
    np.testing.assert_array_equal(grad, 0)
    assert np.isnan(reference.cross_entropy(logits[:0], target[:0]))
    assert reference.cross_entropy(logits[:0], target[:0], "none").shape == (0,)


def test_ignored_rows_do_not_matter():
    logits = normal(2, 3)
    logits[1] = np.nan
    target = np.array([1, -100])
    loss = reference.cross_entropy(logits, target)
    assert loss == reference.cross_entropy(logits[:1], target[:1])
    grad = reference.cross_entropy_backward(np.array(1.0), logits, target)
    np.testing.assert_array_equal(grad[1], 0)
    assert np.isfinite(grad[0]).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_float32_is_kept(reduction):
    logits = normal(3, 4).astype(np.float32)
    target = np.array([0, 1, 2])
    loss = reference.cross_entropy(logits, target, reduction)
    assert loss.dtype == np.float32
    assert reference.cross_entropy_backward(loss, logits, target, reduction).dtype == np.float32
    assert reference.softmax(logits).dtype == np.float32


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: reference.softmax(x, 2),
            "softmax: dim must be an axis of x (dim=2, x=(2, 3))",
        ),
        (
            lambda x: reference.cross_entropy(x, np.array([0, 3])),
            "cross_entropy: target must be a class or ignore_index (min=0, max=3, classes=3)",
        ),
        (
            lambda x: reference.cross_entropy(x, np.array([0])),
            "cross_entropy: target must have shape (2,) (target=(1,))",
        ),
        (
            lambda x: reference.cross_entropy(x, np.array([0, 1]), "median"),
            "cross_entropy: reduction must be 'mean', 'sum' or 'none' (reduction='median')",
        ),
        (
            lambda x: reference.cross_entropy(x, np.array([0, 1]), label_smoothing=-0.5),
            "cross_entropy: label_smoothing must lie in [0, 1] (label_smoothing=-0.5)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call(np.zeros((2, 3)))
    assert str(error.value) == message


def test_targets_are_integers():
    with pytest.raises(TypeError, match=r"^cross_entropy: target must be integers"):
        reference.cross_entropy(normal(2, 3), np.array([0.0, 1.0]))
