"""Pooling against loops, finite differences and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

CASES = {
    # name: x shape, arguments of both poolings
    "2x2": ((2, 3, 6, 8), {"kernel_size": 2}),
    "odd input": ((2, 3, 7, 5), {"kernel_size": 2}),
    "overlapping": ((2, 3, 9, 11), {"kernel_size": 3, "stride": 2}),
    "padded": ((2, 3, 8, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "stride 1": ((1, 2, 5, 6), {"kernel_size": 3, "stride": 1, "padding": 1}),
    "stride 3": ((1, 2, 11, 10), {"kernel_size": 2, "stride": 3}),
    "rectangular": (
        (1, 2, 9, 8),
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},
    ),
    "asymmetric": (
        (2, 2, 7, 8),
        {"kernel_size": (4, 3), "stride": 2, "padding": ((2, 1), (0, 1))},
    ),
    "ceil": ((2, 3, 6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil drops": (
        (1, 2, 5, 7),
        {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "ceil asymmetric": (
        (1, 2, 6, 6),
        {"kernel_size": 3, "stride": 2, "padding": ((0, 1), (1, 0)), "ceil_mode": True},
    ),
    "ceil stride 3": ((1, 2, 5, 6), {"kernel_size": 1, "stride": 3, "ceil_mode": True}),
    "ceil beyond x": ((1, 1, 2, 2), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "caffe": ((2, 3, 6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": "caffe"}),
    "caffe padded": (
        (1, 2, 5, 8),
        {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": "caffe"},
    ),
    "caffe googlenet": (
        (1, 2, 14, 14),
        {"kernel_size": 3, "stride": 2, "ceil_mode": "caffe"},
    ),
    "empty batch": ((0, 3, 4, 4), {"kernel_size": 2}),
}
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def pairs(value):
    return (value, value) if isinstance(value, int) else value


def output_length(length, kernel, stride, padding, ceil_mode, padded, dilation=1):
    """How many windows fit, from the rules as PyTorch's and Caffe's documents state them."""
    extent = dilation * (kernel - 1) + 1
    places = (length + sum(padding) - extent) / stride
    count = (math.ceil(places) if ceil_mode else math.floor(places)) + 1
    starts_late = (count - 1) * stride >= length + padding[0]
    if starts_late and (ceil_mode is True or (ceil_mode == "caffe" and padded)):
        count -= 1
    return count


def windows(x_shape, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **_):
    """For each output pixel the rows and columns its taps see, those in the padding included."""
    axes = []
    for axis in range(2):
        length = x_shape[2 + axis]
        kernel, step = pairs(kernel_size)[axis], pairs(stride or kernel_size)[axis]
        pads = pairs(pairs(padding)[axis])
        spread = pairs(dilation)[axis]
        padded = padding != 0
        count = output_length(length, kernel, step, pads, ceil_mode, padded, spread)
        taps = [[i * step - pads[0] + t * spread for t in range(kernel)] for i in range(count)]
        axes.append((taps, length, pads[1]))
    return axes


def brute_max(x, **arguments):
    (rows, h, _), (columns, w, _) = windows(x.shape, **arguments)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), x.dtype)
    indices = np.zeros(y.shape, np.int32)
    for n, c, i, j in np.ndindex(y.shape):
        seen = [(r, s) for r in rows[i] for s in columns[j] if 0 <= r < h and 0 <= s < w]
        best = seen[0]
        for place in seen[1:]:
            value, top = x[n, c][place], x[n, c][best]
            if not math.isnan(top) and (math.isnan(value) or value > top):
                best = place
        y[n, c, i, j], indices[n, c, i, j] = x[n, c][best], best[0] * w + best[1]
    return y, indices


def brute_average(x, count_include_pad=True, **arguments):
    (rows, h, bottom), (columns, w, right) = windows(x.shape, **arguments)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        seen = [(r, s) for r in rows[i] for s in columns[j] if r < h + bottom and s < w + right]
        inside = [(r, s) for r, s in seen if 0 <= r < h and 0 <= s < w]
        divisor = len(seen if count_include_pad else inside)
        y[n, c, i, j] = sum(x[n, c][place] for place in inside) / divisor
    return y


@pytest.mark.parametrize("case", CASES)
def test_max_pool2d(case):
    shape, arguments = CASES[case]
    x = np.round(normal(*shape), 1)  # with ties
    y, indices = reference.max_pool2d(x, return_indices=True, **arguments)
    expected, expected_indices = brute_max(x, **arguments)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, expected_indices)
    assert indices.dtype == np.int32
    np.testing.assert_array_equal(reference.max_pool2d(x, **arguments), y)
    check_twin("max_pool2d", x, **arguments)


@pytest.mark.parametrize("dilation", [2, (1, 3)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool2d_dilated(dilation, ceil_mode):
    x = normal(2, 2, 9, 10)
    arguments = {"stride": 2, "padding": 1, "dilation": dilation, "ceil_mode": ceil_mode}
    y, indices = reference.max_pool2d(x, 3, return_indices=True, **arguments)
    expected, expected_indices = brute_max(x, kernel_size=3, **arguments)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, expected_indices)
    check_twin("max_pool2d", x, 3, **arguments)


def test_max_pool2d_of_nan_and_infinity():
    x = normal(2, 3, 7, 7)
    x[0, 0, 3, 3], x[0, 1, 2, 2], x[0, 1, 2, 3] = np.nan, np.nan, np.nan
    x[1, 0] = -np.inf
    x[1, 1, 4, 4] = np.inf
    arguments = {"kernel_size": 3, "stride": 2, "padding": 1}
    y, indices = reference.max_pool2d(x, return_indices=True, **arguments)
    expected, expected_indices = brute_max(x, **arguments)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_avg_pool2d(case, count_include_pad):
    shape, arguments = CASES[case]
    arguments = {**arguments, "count_include_pad": count_include_pad}
    x = normal(*shape)
    y = reference.avg_pool2d(x, **arguments)
    np.testing.assert_allclose(y, brute_average(x, **arguments), atol=1e-12)
    check_twin("avg_pool2d", x, **arguments)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, (3, 5), (None, 2), None])
def test_adaptive_avg_pool2d(size):
    x = normal(2, 3, 5, 7)
    y = reference.adaptive_avg_pool2d(x, size)
    wanted = pairs(size) if size else (None, None)
    assert y.shape[2:] == (wanted[0] or 5, wanted[1] or 7)
    for n, c, i, j in np.ndindex(y.shape):
        rows = range(math.floor(i * 5 / y.shape[2]), math.ceil((i + 1) * 5 / y.shape[2]))
        columns = range(math.floor(j * 7 / y.shape[3]), math.ceil((j + 1) * 7 / y.shape[3]))
        seen = [x[n, c, r, s] for r in rows for s in columns]
        assert y[n, c, i, j] == pytest.approx(sum(seen) / len(seen), abs=1e-12)
    check_twin("adaptive_avg_pool2d", x, size)


def test_global_avg_pool2d():
    x = normal(2, 3, 5, 7)
    y = reference.global_avg_pool2d(x)
    assert y.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(y, brute_average(x, kernel_size=(5, 7)), atol=1e-12)
    check_twin("global_avg_pool2d", x)


SYMMETRIC = [
    case
    for case, (shape, arguments) in CASES.items()
    if isinstance(arguments.get("ceil_mode", False), bool)
    and not any(isinstance(p, tuple) for p in pairs(arguments.get("padding", 0)))
    and shape[0]
]


@pytest.mark.parametrize("case", SYMMETRIC)
def test_pooling_matches_torch(case):
    F = pytest.importorskip("torch.nn.functional")
    shape, arguments = CASES[case]

    def largest(x):
        return F.max_pool2d(x, return_indices=True, **arguments)

    x = np.round(normal(*shape), 1)
    twin = {"torch": largest, "differences": False}
    check_twin("max_pool2d", x, return_indices=True, **twin, **arguments)
    x[0, 0, 1, 1] = np.nan
    check_twin("max_pool2d", x, return_indices=True, grads=False, **twin, **arguments)
    for included in (True, False):
        check_twin(
            "avg_pool2d",
            normal(*shape),
            count_include_pad=included,
            torch=lambda x, included=included: F.avg_pool2d(
                x, count_include_pad=included, **arguments
            ),
            differences=False,
            **arguments,
        )


@pytest.mark.parametrize("size", [1, 3, 4, 7, (3, 5), (None, 2)])
def test_adaptive_avg_pool2d_matches_torch(size):
    F = pytest.importorskip("torch.nn.functional")
    check_twin("adaptive_avg_pool2d", normal(2, 3, 5, 7), size, torch=F.adaptive_avg_pool2d)


@pytest.mark.parametrize(
    "length, padding, expected",
    [(14, 0, 7), (13, 0, 6), (28, 1, 15), (27, 1, 14), (7, 1, 4)],
)
def test_caffe_output_sizes(length, padding, expected):
    """Sizes of 3x3/2 poolings, worked out by hand from Caffe's pooling layer."""
    x = np.zeros((1, 1, length, length))
    y = reference.max_pool2d(x, 3, 2, padding, ceil_mode="caffe")
    assert y.shape == (1, 1, expected, expected)


def test_caffe_drops_on_both_axes_if_either_is_padded():
    x = np.zeros((1, 1, 5, 6))
    y = reference.max_pool2d(x, (1, 2), (3, 2), (0, 1), ceil_mode="caffe")
    assert y.shape == (1, 1, 2, 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: reference.max_pool2d(x, 2, padding=2),
            "max_pool2d: padding must be at most half the kernel "
            "(padding=((2, 2), (2, 2)), kernel_size=(2, 2))",
        ),
        (
            lambda x: reference.avg_pool2d(x, 6),
            "avg_pool2d: the kernel must fit in the padded input "
            "(kernel_size=(6, 6), input=(5, 5))",
        ),
        (
            lambda x: reference.max_pool2d(x, 1, 3, ceil_mode="caffe"),
            "max_pool2d: every window must hold an element of the input "
            "(kernel_size=(1, 1), stride=(3, 3), input=(5, 5))",
        ),
        (
            lambda x: reference.avg_pool2d(x, 2, ceil_mode="up"),
            "avg_pool2d: ceil_mode must be False, True or 'caffe' (ceil_mode=up)",
        ),
        (
            lambda x: reference.adaptive_avg_pool2d(x, 0),
            "adaptive_avg_pool2d: output_size must be one int or two, at least 1 "
            "(output_size=(0, 0))",
        ),
        (
            lambda x: reference.max_pool2d_backward(x, np.full(x.shape, 9), (1, 2, 3, 3)),
            "max_pool2d_backward: indices must lie in the input plane "
            "(min=9, max=9, input_shape=(1, 2, 3, 3))",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call(np.zeros((1, 2, 5, 5)))
    assert str(error.value) == message
