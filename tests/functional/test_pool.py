"""Pooling kernels against their twins: geometry, vector widths, layouts, threads, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from compare import assert_close, check, layouts
from fastconv import functional, reference
from strategies import pool_cases
from threads import assert_same_bits

CASES = {
    # name: (H, W), arguments of both poolings
    "2x2": ((6, 8), {"kernel_size": 2}),
    "odd input": ((7, 5), {"kernel_size": 2}),
    "one element": ((1, 1), {"kernel_size": 1}),
    "overlapping": ((9, 11), {"kernel_size": 3, "stride": 2}),
    "padded": ((8, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "inception": ((7, 7), {"kernel_size": 3, "stride": 1, "padding": 1}),
    "gaps": ((11, 10), {"kernel_size": 2, "stride": 3}),
    "rectangular": ((9, 8), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}),
    "asymmetric": ((7, 8), {"kernel_size": (4, 3), "stride": 2, "padding": ((2, 1), (0, 1))}),
    "whole plane": ((5, 7), {"kernel_size": (5, 7)}),
    "ceil": ((6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil drops": ((5, 7), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    "ceil beyond x": ((2, 2), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "caffe": ((6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": "caffe"}),
    "caffe padded": ((5, 8), {"kernel_size": 2, "padding": 1, "ceil_mode": "caffe"}),
    "caffe half padded": (
        (5, 6),
        {"kernel_size": (1, 2), "stride": (3, 2), "padding": (0, 1), "ceil_mode": "caffe"},
    ),
}
# Around the widths of vectors (4, 8, 16), and of four vectors.
CHANNELS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tied(*shape, seed=0):
    """Values among which many are equal."""
    return np.round(normal(*shape, seed=seed) * 2) / 2


@pytest.mark.parametrize("case", CASES)
def test_max_pool2d(case, every_isa, thread_counts):
    size, arguments = CASES[case]
    for channels in (3, 21):
        x = tied(2, channels, *size)
        check("max_pool2d", x, **arguments)
        check("max_pool2d", x, return_indices=True, **arguments)


@pytest.mark.parametrize("dilation", [2, (1, 3)])
@pytest.mark.parametrize("ceil_mode", [False, True, "caffe"])
def test_max_pool2d_dilated(dilation, ceil_mode, every_isa):
    arguments = {"stride": 2, "padding": 1, "dilation": dilation, "ceil_mode": ceil_mode}
    check("max_pool2d", tied(2, 19, 9, 10), 3, return_indices=True, **arguments)
    check("max_pool2d", tied(2, 19, 9, 10), 3, **arguments)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool2d(case, count_include_pad, every_isa, thread_counts):
    size, arguments = CASES[case]
    for channels in (3, 21):
        x = normal(2, channels, *size)
        check("avg_pool2d", x, count_include_pad=count_include_pad, **arguments)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, (3, 9), (None, 2), (2, None), None])
def test_adaptive_avg_pool2d(size, every_isa, thread_counts):
    for channels in (3, 21):
        check("adaptive_avg_pool2d", normal(2, channels, 5, 7), size)


@pytest.mark.parametrize("channels", CHANNELS)
def test_channels(channels, every_isa):
    x = tied(2, channels, 5, 6)
    arguments = {"kernel_size": 3, "stride": 2, "padding": 1}
    check("max_pool2d", x, **arguments)
    check("max_pool2d", x, return_indices=True, **arguments)
    check("avg_pool2d", x, **arguments)
    check("adaptive_avg_pool2d", x, 3)
    check("global_avg_pool2d", x)


@pytest.mark.parametrize(
    "shape, kernel_size, stride",
    [
        ((1, 700, 6, 9), 3, 1),  # several blocks of channels
        ((1, 64, 4, 300), 3, 2),  # several stretches of columns
        ((1, 300, 9, 70), (3, 40), 7),  # both
        ((1, 20, 2, 700), (2, 600), 50),  # windows wider than the scratch would be
    ],
)
def test_sizes_beyond_the_scratch(shape, kernel_size, stride, every_isa):
    x = tied(*shape)
    for mode in (False, True):
        check("max_pool2d", x, kernel_size, stride, ceil_mode=mode)
        check("avg_pool2d", x, kernel_size, stride, ceil_mode=mode)


def test_global_avg_pool2d_of_large_planes(every_isa):
    check("global_avg_pool2d", normal(2, 37, 60, 50) + 1)
    check("global_avg_pool2d", normal(1, 600, 7, 7))


@given(case=pool_cases())
def test_any_pooling(every_isa, case):
    x = case.array()
    check("max_pool2d", x, return_indices=True, **case.max_arguments())
    check("max_pool2d", x, grads=False, **case.max_arguments())
    check("avg_pool2d", x, **case.avg_arguments())


def test_non_finite_values(every_isa):
    x = normal(2, 19, 7, 7)
    x[0, 0, 3, 3], x[0, 1, 2, 2], x[0, 1, 2, 3], x[0, 18, 6, 6] = 4 * [np.nan]
    x[1, 0] = -np.inf
    x[1, 1, 4, 4], x[1, 17, 0, 0] = np.inf, -np.inf
    for arguments in ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2}):
        check("max_pool2d", x, return_indices=True, **arguments)
        check("max_pool2d", x, grads=False, **arguments)
        check("avg_pool2d", x, **arguments)
    check("adaptive_avg_pool2d", x, 3)
    check("global_avg_pool2d", x)


@pytest.mark.parametrize("channels", [1, 2, 6, 9, 15])
@pytest.mark.parametrize("window", [(2,), (3, 2, 1), ((2, 4), (1, 3), ((1, 0), (2, 0)), (2, 1))])
def test_the_first_of_equals_and_of_nans(channels, window, every_isa, thread_counts):
    x = tied(2, channels, 7, 19)
    x[tied(*x.shape, seed=1) > 0.5] = np.nan
    y, indices = functional.max_pool2d(x, *window, return_indices=True)
    expected, expected_indices = reference.max_pool2d(x, *window, return_indices=True)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, expected_indices)


def test_nan_wins_wherever_it_stands(every_isa):
    for place in np.ndindex(3, 3):
        x = np.arange(9 * 21, dtype=np.float32).reshape(1, 21, 3, 3)
        x[(..., *place)] = np.nan
        y, indices = functional.max_pool2d(x, 3, return_indices=True)
        assert np.isnan(y).all() and np.isnan(functional.max_pool2d(x, 3)).all()
        assert (indices == place[0] * 3 + place[1]).all()


def test_gradients_that_are_not_finite(every_isa):
    g = normal(1, 5, 3, 3)
    g[0, 0, 1, 1], g[0, 1, 0, 2], g[0, 4, 2, 2] = np.nan, np.inf, -np.inf
    for name, arguments in [
        ("avg_pool2d_backward", ((1, 5, 6, 6), 3, 2, 1)),
        ("adaptive_avg_pool2d_backward", ((1, 5, 4, 4),)),
        ("max_pool2d_backward", (np.zeros(g.shape, np.int32), (1, 5, 4, 4))),
    ]:
        expected = getattr(reference, name)(g, *arguments)
        assert_close(getattr(functional, name)(g, *arguments), expected, (9, 9.0), what=name)


@pytest.mark.parametrize("channels", [3, 16])
def test_layouts(channels):
    x, g = normal(2, channels, 6, 5), normal(2, channels, 3, 3, seed=1)
    geometry = {"kernel_size": 2, "ceil_mode": True}
    y, indices = reference.max_pool2d(x, return_indices=True, **geometry)
    mean = reference.avg_pool2d(x, **geometry)
    for layout, other in layouts(x):
        ours, our_indices = functional.max_pool2d(other, return_indices=True, **geometry)
        np.testing.assert_array_equal(ours, y, err_msg=layout)
        np.testing.assert_array_equal(our_indices, indices, err_msg=layout)
        assert our_indices.transpose(0, 2, 3, 1).flags.c_contiguous
        np.testing.assert_array_equal(functional.max_pool2d(other, **geometry), y, err_msg=layout)
        assert_close(functional.avg_pool2d(other, **geometry), mean, (4, 1.0), what=layout)
        check("adaptive_avg_pool2d", other, 2)
        check("global_avg_pool2d", other)
    grad_x = reference.max_pool2d_backward(g, indices, x.shape)
    for layout, other in layouts(g):
        for where in (indices, np.asfortranarray(indices), indices[::-1].copy()[::-1]):
            ours = functional.max_pool2d_backward(other, where, x.shape)
            assert_close(ours, grad_x, (4, 1.0), what=layout)
            assert ours.transpose(0, 2, 3, 1).flags.c_contiguous
        ours = functional.avg_pool2d_backward(other, x.shape, **geometry)
        assert_close(ours, reference.avg_pool2d_backward(g, x.shape, **geometry), what=layout)
        ours = functional.adaptive_avg_pool2d_backward(other, x.shape)
        expected = reference.adaptive_avg_pool2d_backward(g, x.shape)
        assert_close(ours, expected, (4, 1.0), what=layout)


@pytest.mark.parametrize("channels", [1, 3, 8, 16, 21, 64])
@pytest.mark.parametrize(
    "window",
    [(2,), (3, 2, 1), (3, 1, 1), ((3, 2), (1, 3)), (3, 2, 0, 1, True), (3, 2, 1, 1, "caffe"),
     (2, 1, 0, 2), (2, 3), (5, 1, 2), ((3, 1),), ((2, 5),)],
)  # fmt: skip
def test_max_pool2d_backward_by_window(channels, window, every_isa, thread_counts):
    x = tied(2, channels, 9, 12)
    y, indices = functional.max_pool2d(x, *window, return_indices=True)
    g = normal(*y.shape, seed=1)
    expected = functional.max_pool2d_backward(g, indices, x.shape)
    ours = functional.max_pool2d_backward(g, indices, x.shape, *window)
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_allclose(
        ours, reference.max_pool2d_backward(g, indices, x.shape, *window), rtol=1e-5, atol=1e-5
    )
    # An index outside its window is followed, one outside the plane an error.
    indices[1, -1, -1, -1] = 0
    ours = functional.max_pool2d_backward(g, indices, x.shape, *window)
    np.testing.assert_array_equal(ours, functional.max_pool2d_backward(g, indices, x.shape))
    indices[0, 0, 0, 0] = 9 * 12
    with pytest.raises(ValueError, match=r"indices must lie in the input plane \(index=108"):
        functional.max_pool2d_backward(g, indices, x.shape, *window)
    with pytest.raises(ValueError, match="max_pool2d_backward"):
        functional.max_pool2d_backward(g[:, :, 1:], indices[:, :, 1:], x.shape, *window)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_empty_arrays(shape, every_isa):
    x = normal(*shape)
    check("max_pool2d", x, 2, return_indices=True)
    check("max_pool2d", x, 2)
    check("avg_pool2d", x, 2)
    check("adaptive_avg_pool2d", x, 3)
    check("global_avg_pool2d", x)


@pytest.mark.parametrize("shape", [(3, 33, 40, 41), (1, 300, 25, 24), (1, 3, 200, 100)])
def test_same_bits_at_any_thread_count(shape, every_isa):
    x = tied(*shape)
    geometry = {"kernel_size": 3, "stride": 2, "padding": 1}
    y, indices = functional.max_pool2d(x, return_indices=True, **geometry)
    g = normal(*y.shape, seed=1)
    assert_same_bits(lambda: functional.max_pool2d(x, **geometry))
    assert_same_bits(lambda: functional.max_pool2d(x, return_indices=True, **geometry))
    assert_same_bits(lambda: functional.max_pool2d_backward(g, indices, x.shape))
    assert_same_bits(lambda: functional.max_pool2d_backward(g, indices, x.shape, 3, 2, 1))
    assert_same_bits(lambda: functional.avg_pool2d(x, **geometry))
    assert_same_bits(lambda: functional.avg_pool2d_backward(g, x.shape, **geometry))
    assert_same_bits(lambda: functional.adaptive_avg_pool2d(x, 7))
    assert_same_bits(lambda: functional.adaptive_avg_pool2d_backward(g, x.shape))
    assert_same_bits(lambda: functional.global_avg_pool2d(x))


def test_integers_of_numpy_are_integers():
    x = normal(1, 2, 6, 6)
    two = np.int64(2)
    np.testing.assert_array_equal(
        functional.max_pool2d(x, (two, two), two, [two - 1, 1]), reference.max_pool2d(x, 2, 2, 1)
    )
    assert functional.adaptive_avg_pool2d(x, (two, None)).shape == (1, 2, 2, 6)


X = normal(1, 2, 5, 5)
I32 = np.zeros((1, 2, 2, 2), np.int32)
G = normal(1, 2, 2, 2)
VALUE_ERRORS = [
    (
        lambda f: f.max_pool2d(X[0], 2),
        "max_pool2d: x must have 4 axes (shape=(2, 5, 5))",
    ),
    (
        lambda f: f.max_pool2d(X, 0),
        "max_pool2d: kernel_size must be at least 1 (h=0, w=0)",
    ),
    (
        lambda f: f.max_pool2d(X, (2, 2**40)),
        f"max_pool2d: kernel_size must be below 2**31 (h=2, w={2**40})",
    ),
    (
        lambda f: f.max_pool2d(X, (1, 2, 3)),
        "max_pool2d: kernel_size must be an int or (h, w) (kernel_size=(1, 2, 3))",
    ),
    (
        lambda f: f.avg_pool2d(X, 2, (1, 0)),
        "avg_pool2d: stride must be at least 1 (h=1, w=0)",
    ),
    (
        lambda f: f.max_pool2d(X, 2, dilation=-1),
        "max_pool2d: dilation must be at least 1 (h=-1, w=-1)",
    ),
    (
        lambda f: f.max_pool2d(X, 2, padding=((0, -1), (0, 0))),
        "max_pool2d: padding must not be negative (top=0, bottom=-1, left=0, right=0)",
    ),
    (
        lambda f: f.max_pool2d(X, 2, padding=2),
        "max_pool2d: padding must be at most half the kernel "
        "(top=2, bottom=2, left=2, right=2, kernel_h=2, kernel_w=2)",
    ),
    (
        lambda f: f.avg_pool2d(X, 6),
        "avg_pool2d: the kernel must fit in the padded input (h=5, w=5, kernel_h=6, kernel_w=6)",
    ),
    (
        lambda f: f.max_pool2d(X, 1, 3, ceil_mode="caffe"),
        "max_pool2d: every window must hold an element of the input "
        "(h=5, w=5, kernel_h=1, kernel_w=1, stride_h=3, stride_w=3)",
    ),
    (
        lambda f: f.max_pool2d(X[:, :, :1], (2, 1), padding=(1, 0), dilation=2),
        "max_pool2d: every window must hold an element of the input "
        "(h=1, w=5, kernel_h=2, kernel_w=1, stride_h=2, stride_w=1)",
    ),
    (
        lambda f: f.max_pool2d(X[:, :, :0], 2),
        "max_pool2d: the size of the input must be at least 1 (h=0, w=5)",
    ),
    (
        lambda f: f.avg_pool2d(X, 2, ceil_mode="up"),
        "avg_pool2d: ceil_mode must be False, True or 'caffe' (ceil_mode='up')",
    ),
    (
        lambda f: f.max_pool2d(X, 2, ceil_mode=1),
        "max_pool2d: ceil_mode must be False, True or 'caffe' (ceil_mode=1)",
    ),
    (
        lambda f: f.adaptive_avg_pool2d(X, (0, 1)),
        "adaptive_avg_pool2d: output_size must be at least 1 (output_size=(0, 1))",
    ),
    (
        lambda f: f.adaptive_avg_pool2d(X, (1, 2, 3)),
        "adaptive_avg_pool2d: output_size must be an int or (h, w) (output_size=[1, 2, 3])",
    ),
    (
        lambda f: f.adaptive_avg_pool2d(X[..., :0], 1),
        "adaptive_avg_pool2d: the size of the input must be at least 1 (h=5, w=0)",
    ),
    (
        lambda f: f.adaptive_avg_pool2d_backward(X[..., :0], X.shape),
        "adaptive_avg_pool2d_backward: output_size must be at least 1 (h=5, w=0)",
    ),
    (
        lambda f: f.global_avg_pool2d(X[..., :0]),
        "global_avg_pool2d: the size of the input must be at least 1 (h=5, w=0)",
    ),
    (
        lambda f: f.max_pool2d_backward(G, I32[:, :1], X.shape),
        "max_pool2d_backward: indices must have the shape of grad_output "
        "(indices=(1, 1, 2, 2), grad_output=(1, 2, 2, 2))",
    ),
    (
        lambda f: f.max_pool2d_backward(G, I32 + 25, X.shape),
        "max_pool2d_backward: indices must lie in the input plane (index=25, h=5, w=5)",
    ),
    (
        lambda f: f.max_pool2d_backward(G, I32 - 1, X.shape),
        "max_pool2d_backward: indices must lie in the input plane (index=-1, h=5, w=5)",
    ),
    (
        lambda f: f.max_pool2d_backward(G, I32, (1, 2, 5)),
        "max_pool2d_backward: input_shape must be four sizes (input_shape=(1, 2, 5))",
    ),
    (
        lambda f: f.adaptive_avg_pool2d_backward(G, (1, 3, 5, 5)),
        "adaptive_avg_pool2d_backward: grad_output must have the batch and the channels of "
        "input_shape (grad_output=(1, 2, 2, 2), input_shape=(1, 3, 5, 5))",
    ),
    (
        lambda f: f.avg_pool2d_backward(G, X.shape, 2, 1),
        "avg_pool2d_backward: grad_output must have the size of the output "
        "(expected=(4, 4), grad_output=(1, 2, 2, 2))",
    ),
]
TYPE_ERRORS = [
    (
        lambda f: f.max_pool2d([[1.0]], 2),
        "max_pool2d: x must be a NumPy array (type=list)",
    ),
    (
        lambda f: f.avg_pool2d(X.astype(np.float64), 2),
        "avg_pool2d: x must be float32; convert it with astype (dtype=float64)",
    ),
    (
        lambda f: f.max_pool2d(X, 2.0),
        "max_pool2d: kernel_size must be made of integers (kernel_size=2.0)",
    ),
    (
        lambda f: f.adaptive_avg_pool2d(X, "3"),
        "adaptive_avg_pool2d: output_size must be made of integers (output_size='3')",
    ),
    (
        lambda f: f.max_pool2d_backward(G, None, X.shape),
        "max_pool2d_backward: indices must be a NumPy array (type=NoneType)",
    ),
    (
        lambda f: f.max_pool2d_backward(G, I32.astype(np.int64), X.shape),
        "max_pool2d_backward: indices must be int32 (dtype=int64)",
    ),
    (
        lambda f: f.adaptive_avg_pool2d_backward(G, 5),
        "adaptive_avg_pool2d_backward: input_shape must be four integers (input_shape=5)",
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
