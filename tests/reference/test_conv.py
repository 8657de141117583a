"""conv2d and its gradients against loops, finite differences and torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compare import check_twin
from fastconv import reference

CASES = {
    # name: x shape, weight shape, arguments
    "1x1": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "3x3 same": ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    "kernel as large as x": ((2, 3, 4, 5), (4, 3, 4, 5), {}),
    "one tap past x": ((1, 2, 3, 3), (2, 2, 5, 5), {"padding": 1}),
    "rectangular": ((2, 2, 7, 6), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    "stride 2": ((2, 3, 8, 7), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride 3 leaves a remainder": ((1, 2, 9, 10), (3, 2, 3, 3), {"stride": 3}),
    "stride beyond the kernel": ((1, 2, 8, 9), (3, 2, 1, 1), {"stride": 3}),
    "asymmetric padding": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": ((0, 2), (1, 3))}),
    "all padding on one side": ((1, 2, 5, 5), (3, 2, 2, 2), {"padding": ((0, 1), (0, 1))}),
    "dilation": ((2, 2, 9, 8), (3, 2, 3, 3), {"dilation": (2, 3), "padding": 2}),
    "dilated and strided": ((1, 2, 9, 9), (3, 2, 3, 2), {"dilation": 2, "stride": 2}),
    "groups": ((2, 6, 5, 5), (4, 3, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 5, 6, 6), (5, 1, 3, 3), {"groups": 5, "padding": 1, "stride": 2}),
    "depthwise multiplied": ((2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3}),
    "grouped and dilated": ((1, 4, 7, 7), (8, 1, 3, 3), {"groups": 4, "dilation": 2}),
    "empty batch": ((0, 3, 5, 5), (4, 3, 3, 3), {"padding": 1}),
}
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def pairs(value):
    return (value, value) if isinstance(value, int) else value


def convolve(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    """A convolution from its definition, one multiplication at a time."""
    (sh, sw), (dh, dw) = pairs(stride), pairs(dilation)
    (top, bottom), (left, right) = (pairs(p) for p in pairs(padding))
    n, _, h, w = x.shape
    filters, depth, kh, kw = weight.shape
    oh = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1
    ow = (w + left + right - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((n, filters, oh, ow))
    for image, o, row, column in np.ndindex(y.shape):
        first = o // (filters // groups) * depth
        total = bias[o]
        for c, i, j in itertools.product(range(depth), range(kh), range(kw)):
            r, s = row * sh + i * dh - top, column * sw + j * dw - left
            if 0 <= r < h and 0 <= s < w:
                total += x[image, first + c, r, s] * weight[o, c, i, j]
        y[image, o, row, column] = total
    return y


@pytest.mark.parametrize("case", CASES)
def test_conv2d(case):
    x_shape, weight_shape, arguments = CASES[case]
    x, weight, bias = normal(*x_shape), normal(*weight_shape), normal(weight_shape[0])
    y = reference.conv2d(x, weight, bias, **arguments)
    np.testing.assert_allclose(y, convolve(x, weight, bias, **arguments), atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    x_shape, weight_shape, arguments = CASES[case]
    check_twin("conv2d", normal(*x_shape), normal(*weight_shape), **arguments)
    check_twin(
        "conv2d", normal(*x_shape), normal(*weight_shape), normal(weight_shape[0]), **arguments
    )


@pytest.mark.parametrize("case", CASES)
def test_conv2d_matches_torch(case):
    F = pytest.importorskip("torch.nn.functional")
    x_shape, weight_shape, arguments = CASES[case]
    (top, bottom), (left, right) = (pairs(p) for p in pairs(arguments.get("padding", 0)))
    rest = {k: v for k, v in arguments.items() if k != "padding"}

    def theirs(x, weight, bias):
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, **rest)

    arrays = normal(*x_shape), normal(*weight_shape), normal(weight_shape[0])
    check_twin("conv2d", *arrays, torch=theirs, differences=False, **arguments)


def test_epilogue():
    x, weight, bias = normal(2, 3, 5, 5), normal(4, 3, 3, 3), normal(4)
    residual = normal(2, 4, 3, 3)
    plain = convolve(x, weight, bias) + residual
    y = reference.conv2d(x, weight, bias, residual=residual, activation="relu")
    np.testing.assert_allclose(y, np.maximum(plain, 0), atol=1e-12)
    y = reference.conv2d(x, weight, bias, residual=residual, activation=("clip", -1.0, None))
    np.testing.assert_allclose(y, np.maximum(plain, -1), atol=1e-12)


def test_float32_is_kept():
    x, weight = normal(1, 2, 4, 4).astype(np.float32), normal(3, 2, 3, 3).astype(np.float32)
    y = reference.conv2d(x, weight, padding=1)
    grads = (
        reference.conv2d_backward_input(y, weight, x.shape, padding=1),
        reference.conv2d_backward_weight(y, x, weight.shape, padding=1),
        reference.conv2d_backward_bias(y),
    )
    assert {a.dtype for a in (y, *grads)} == {np.dtype(np.float32)}


X, W = normal(1, 4, 5, 5), normal(6, 4, 3, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"groups": 3}, "conv2d: groups must divide the channels of x (groups=3, channels=4)"),
        ({"groups": 4}, "conv2d: groups must divide the filters (groups=4, filters=6)"),
        (
            {"groups": 2},
            "conv2d: weight must have channels/groups in its second axis "
            "(weight=(6, 4, 3, 3), x=(1, 4, 5, 5), groups=2)",
        ),
        ({"stride": 0}, "conv2d: stride must be one int or two, at least 1 (stride=0)"),
        ({"padding": -1}, "conv2d: padding must be one int or two, at least 0 (padding=-1)"),
        ({"padding": (1, 2, 3)}, "conv2d: padding must have two entries (padding=(1, 2, 3))"),
        (
            {"dilation": (1, 0)},
            "conv2d: dilation must be one int or two, at least 1 (dilation=(1, 0))",
        ),
        (
            {"dilation": 3},
            "conv2d: the kernel must fit in the padded input "
            "(kernel=(3, 3), dilation=(3, 3), padding=((0, 0), (0, 0)), input=(5, 5))",
        ),
        ({"bias": normal(5)}, "conv2d: bias must have shape (6,) (bias=(5,))"),
        (
            {"residual": normal(1, 6, 5, 5)},
            "conv2d: residual must have shape (1, 6, 3, 3) (residual=(1, 6, 5, 5))",
        ),
        (
            {"activation": "gelu"},
            "conv2d: activation must be None, 'relu', ('leaky_relu', slope) or "
            "('clip', min, max) (activation='gelu')",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError) as error:
        reference.conv2d(X, W, **arguments)
    assert str(error.value) == message


def test_gradients_refuse_other_shapes():
    for call in (
        lambda: reference.conv2d_backward_input(normal(1, 6, 5, 5), W, X.shape),
        lambda: reference.conv2d_backward_weight(normal(1, 6, 5, 5), X, W.shape),
    ):
        with pytest.raises(ValueError, match=r"grad_output must have shape \(1, 6, 3, 3\)"):
            call()


def test_types():
    with pytest.raises(TypeError, match=r"^conv2d: stride must be an int or a pair of ints"):
        reference.conv2d(X, W, stride=1.5)
    with pytest.raises(TypeError, match=r"^conv2d: x must be floating"):
        reference.conv2d(np.ones(X.shape, np.uint8), W)
