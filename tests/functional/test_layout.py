"""Concatenation, padding and memory order against their twins."""

from __future__ import annotations

import numpy as np
import pytest

from compare import check, layouts
from fastconv import functional, reference
from threads import assert_same_bits

# Channels and pixels around the widths of vectors and around a tile of 64.
CHANNELS = [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 33, 63, 64, 65, 130]
PLANES = [(1, 1), (1, 3), (2, 2), (5, 3), (4, 4), (17, 1), (9, 7), (13, 10), (20, 33)]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("plane", PLANES)
def test_memory_order(channels, plane, every_isa, thread_counts):
    x = normal(2, channels, *plane)
    y = functional.to_channels_last(x)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(y, x)
    z = functional.to_contiguous(y)
    assert z.flags.c_contiguous
    np.testing.assert_array_equal(z, x)


def test_memory_order_of_large_planes(every_isa, thread_counts):
    for shape in [(1, 3, 120, 121), (1, 20, 70, 71), (1, 300, 9, 9)]:
        x = normal(*shape)
        y = functional.to_channels_last(x)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(functional.to_contiguous(y), x)


def test_bits_survive_a_change_of_memory_order(every_isa):
    bits = np.random.default_rng(0).integers(2**32, size=(2, 19, 5, 5), dtype=np.uint32)
    x = bits.view(np.float32)  # denormals and every kind of NaN among them
    y = functional.to_channels_last(x)
    np.testing.assert_array_equal(
        y.transpose(0, 2, 3, 1).view(np.uint32), bits.transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(functional.to_contiguous(y).view(np.uint32), bits)


def test_nothing_is_copied_without_need():
    x = normal(2, 3, 4, 5)
    assert functional.to_contiguous(x) is x
    y = functional.to_channels_last(x)
    assert not np.shares_memory(x, y)
    assert functional.to_channels_last(y) is y
    for shape in [(3,), (2, 3), (2, 3, 4), ()]:
        z = normal(*shape) if shape else np.asarray(normal(1)[0])
        assert functional.to_contiguous(z) is z


@pytest.mark.parametrize("name", ["to_channels_last", "to_contiguous"])
def test_memory_order_of_every_layout(name):
    for shape in [(2, 3, 4, 5), (0, 3, 2, 2), (2, 0, 2, 2)]:
        for _, x in layouts(normal(*shape)):
            check(name, x)


def test_to_contiguous_takes_any_rank():
    for _, x in layouts(normal(3, 4, 5)):
        y = functional.to_contiguous(x)
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("dim", [0, 1, 2, 3, -1, -3])
def test_concat_of_pictures(dim, every_isa, thread_counts):
    xs = []
    for i, size in enumerate([1, 5, 0, 16, 3]):
        shape = [2, 3, 4, 5]
        shape[dim] = size
        xs.append(normal(*shape, seed=i))
    check("concat", xs, dim)
    check("concat", tuple(functional.to_channels_last(x) for x in xs), dim)
    check("concat", xs[1:2], dim)


@pytest.mark.parametrize("shape, dim", [((3,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1)])
def test_concat_of_other_ranks(shape, dim, every_isa):
    check("concat", [normal(*shape, seed=i) for i in range(3)], dim)


def test_concat_of_mixed_layouts():
    x, y = normal(2, 3, 4, 5), normal(2, 3, 4, 5, seed=1)
    expected = reference.concat([x, y])
    for layout, left in layouts(x):
        for other, right in layouts(y):
            ours = functional.concat([left, right])
            assert ours.transpose(0, 2, 3, 1).flags.c_contiguous
            np.testing.assert_array_equal(ours, expected, err_msg=f"{layout}, {other}")


def test_concat_of_empty_arrays():
    check("concat", [normal(0, 3, 2, 2), normal(0, 4, 2, 2)])
    check("concat", [normal(0, 3), normal(2, 3)], 0)


PADDINGS = [0, 1, (1, 2), ((1, 0), (0, 2)), ((0, 3), (2, 1)), [0, [1, 2]]]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 17, 1, 1), (0, 3, 2, 2), (2, 3, 0, 2)])
def test_pad(padding, shape, every_isa, thread_counts):
    check("pad", normal(*shape), padding)
    check("pad", normal(*shape), padding, -1.5)
    check("pad", functional.to_channels_last(normal(*shape)), padding, np.nan, grads=False)


def test_pad_layouts():
    x, grad = normal(2, 3, 4, 5), normal(2, 3, 5, 8, seed=1)
    padding = ((1, 0), (1, 2))
    for layout, other in layouts(x):
        ours = functional.pad(other, padding, 2)
        np.testing.assert_array_equal(ours, reference.pad(x, padding, 2), err_msg=layout)
    for layout, other in layouts(grad):
        ours = functional.pad_backward(other, padding)
        np.testing.assert_array_equal(ours, grad[:, :, 1:, 1:-2], err_msg=layout)


def test_pad_backward_of_nothing_but_padding():
    assert functional.pad_backward(normal(2, 3, 2, 4), (1, 2)).shape == (2, 3, 0, 0)


def test_same_bits_at_any_thread_count(every_isa):
    x, y = normal(3, 67, 31, 33), normal(3, 20, 31, 33)
    z = functional.to_channels_last(x)
    assert_same_bits(lambda: functional.to_channels_last(x))
    assert_same_bits(lambda: functional.to_contiguous(z))
    assert_same_bits(lambda: functional.concat([z, y]))
    assert_same_bits(lambda: functional.concat([z, z], 0))
    assert_same_bits(lambda: functional.pad(z, 2))
    assert_same_bits(lambda: functional.pad_backward(z, 2))


X = normal(2, 3, 4, 5)
ERRORS = [
    (
        lambda: functional.concat([]),
        ValueError,
        "concat: at least one array is needed (arrays=0)",
    ),
    (
        lambda: functional.concat([X, [1.0]]),
        TypeError,
        "concat: xs[1] must be a NumPy array (type=list)",
    ),
    (
        lambda: functional.concat([X, X[:, :, 1:]]),
        ValueError,
        "concat: arrays must agree in all axes but dim "
        "(dim=1, xs[0]=(2, 3, 4, 5), xs[1]=(2, 3, 3, 5))",
    ),
    (
        lambda: functional.concat([X, X[0]], 0),
        ValueError,
        "concat: arrays must agree in all axes but dim "
        "(dim=0, xs[0]=(2, 3, 4, 5), xs[1]=(3, 4, 5))",
    ),
    (
        lambda: functional.concat([X], 4),
        ValueError,
        "concat: dim must be an axis of the arrays (dim=4, xs[0]=(2, 3, 4, 5))",
    ),
    (
        lambda: functional.concat([X], 1.0),
        TypeError,
        "concat: dim must be an integer (dim=1.0)",
    ),
    (
        lambda: functional.pad(X, -1),
        ValueError,
        "pad: padding must not be negative (padding=-1)",
    ),
    (
        lambda: functional.pad(X, 1, "0"),
        TypeError,
        "pad: value must be a number (value='0')",
    ),
    (
        lambda: functional.pad(X[0], 1),
        ValueError,
        "pad: x must have 4 axes (shape=(3, 4, 5))",
    ),
    (
        lambda: functional.pad_backward(X, (2, 3)),
        ValueError,
        "pad_backward: grad_output must be as large as its padding "
        "(grad_output=(2, 3, 4, 5), padding=(2, 3))",
    ),
    (
        lambda: functional.to_channels_last(X[0]),
        ValueError,
        "to_channels_last: x must have 4 axes (shape=(3, 4, 5))",
    ),
    (
        lambda: functional.to_contiguous(X.astype(np.float64)),
        TypeError,
        "to_contiguous: x must be float32; convert it with astype (dtype=float64)",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
