"""add, concat, pad and the two memory orders."""

from __future__ import annotations

import numpy as np
import pytest

from compare import check_twin, layouts
from fastconv import reference

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def test_add():
    x, y = normal(2, 3), normal(2, 3)
    expected = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(x, y, strict=True)]
    np.testing.assert_array_equal(reference.add(x, y), expected)
    np.testing.assert_array_equal(reference.add(x, y, activation="relu"), np.maximum(expected, 0))
    with pytest.raises(ValueError, match=r"^add: y must have shape \(2, 3\) \(y=\(3,\)\)$"):
        reference.add(x, normal(3))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_concat(dim):
    shapes = [[2, 3, 4, 5] for _ in range(3)]
    for shape, extent in zip(shapes, (1, 4, 0), strict=True):
        shape[dim] = extent
    xs = [normal(*shape) for shape in shapes]
    y = reference.concat(xs, dim)
    assert y.shape[dim] == 5
    moved = np.moveaxis(y, dim, 0)
    np.testing.assert_array_equal(moved[:1], np.moveaxis(xs[0], dim, 0))
    np.testing.assert_array_equal(moved[1:], np.moveaxis(xs[1], dim, 0))


@pytest.mark.parametrize(
    "padding, sides",
    [
        (0, (0, 0, 0, 0)),
        (2, (2, 2, 2, 2)),
        ((1, 2), (1, 1, 2, 2)),
        (((0, 1), (2, 3)), (0, 1, 2, 3)),
        ((1, (2, 3)), (1, 1, 2, 3)),
    ],
)
def test_pad(padding, sides):
    top, bottom, left, right = sides
    x = normal(2, 3, 4, 5)
    y = reference.pad(x, padding, 7.0)
    assert y.shape == (2, 3, 4 + top + bottom, 5 + left + right)
    inside = y[:, :, top : top + 4, left : left + 5]
    np.testing.assert_array_equal(inside, x)
    inside[...] = 7
    assert (y == 7).all()
    check_twin("pad", x, padding)
    with pytest.raises(ValueError, match=r"^pad_backward: grad_output must be as large as its"):
        reference.pad_backward(normal(1, 1, 1, 1), 1)


def test_memory_orders():
    x = normal(2, 3, 4, 5)
    for _, array in layouts(x):
        last, contiguous = reference.to_channels_last(array), reference.to_contiguous(array)
        np.testing.assert_array_equal(last, x)
        np.testing.assert_array_equal(contiguous, x)
        assert last.transpose(0, 2, 3, 1).flags.c_contiguous
        assert contiguous.flags.c_contiguous
        assert np.shares_memory(reference.to_channels_last(last), last)
        assert reference.to_contiguous(contiguous) is contiguous


@pytest.mark.parametrize(
    "xs, dim, message",
    [
        ([], 1, "concat: at least one array is needed (arrays=0)"),
        ([(2, 3)], 2, "concat: dim must be an axis of the arrays (dim=2, shape=(2, 3))"),
        (
            [(2, 3), (3, 3)],
            1,
            "concat: arrays must agree in all axes but dim (dim=1, first=(2, 3), other=(3, 3))",
        ),
    ],
)
def test_errors(xs, dim, message):
    with pytest.raises(ValueError) as error:
        reference.concat([normal(*shape) for shape in xs], dim)
    assert str(error.value) == message


def test_layouts_are_what_they_say():
    x = normal(2, 3, 4, 5)
    found = dict(layouts(x))
    for array in found.values():
        np.testing.assert_array_equal(array, x)
    assert found["channels-last"].transpose(0, 2, 3, 1).flags.c_contiguous
    assert found["Fortran"].flags.f_contiguous
    assert all(stride < 0 for stride in found["negative strides"].strides)
    assert not found["slice"].flags.forc
    assert not found["read-only"].flags.writeable
