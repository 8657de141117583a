"""conv2d and its gradients against their twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from compare import check, layouts
from fastconv import functional as F
from fastconv import get_isa, get_num_threads, set_num_threads, tensor
from strategies import ConvCase, conv_cases

pytestmark = pytest.mark.usefixtures("every_isa")


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# x, weight, and how: the kinds of layers that the five networks have, small, and odd ones.
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1": ((2, 20, 9, 7), (33, 20, 1, 1), {}),
    "1x1, many pixels": ((3, 20, 19, 23), (70, 20, 1, 1), {}),
    "1x1, stride 2": ((2, 20, 9, 7), (33, 20, 1, 1), {"stride": 2}),
    "1x1, padded": ((1, 5, 4, 4), (7, 5, 1, 1), {"padding": 1}),
    "3x3": ((2, 16, 10, 11), (40, 16, 3, 3), {"padding": 1}),
    "3x3, first layer": ((1, 3, 30, 30), (64, 3, 3, 3), {"padding": 1}),
    "3x3, many pixels": ((2, 5, 30, 27), (75, 5, 3, 3), {"padding": 1}),
    "3x3, stride 2": ((2, 8, 15, 14), (16, 8, 3, 3), {"padding": 1, "stride": 2}),
    "3x3 on 7x7": ((3, 12, 7, 7), (18, 12, 3, 3), {"padding": 1}),
    "5x5": ((2, 6, 14, 14), (16, 6, 5, 5), {}),
    "5x5 on 5x5": ((9, 16, 5, 5), (120, 16, 5, 5), {}),
    "7x7, stride 2": ((1, 3, 37, 41), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    "11x11, stride 4": ((1, 3, 59, 63), (96, 3, 11, 11), {"stride": 4}),
    "groups": ((2, 24, 9, 9), (36, 12, 3, 3), {"groups": 2, "padding": 1}),
    "many groups": ((2, 12, 6, 6), (24, 2, 3, 3), {"groups": 6}),
    "depthwise": ((2, 21, 8, 9), (21, 1, 3, 3), {"groups": 21, "padding": 1}),
    "depthwise, stride": ((1, 34, 11, 9), (34, 1, 5, 3), {"groups": 34, "stride": (2, 3)}),
    "channel multiplier": ((1, 5, 8, 8), (10, 1, 3, 3), {"groups": 5}),
    "dilated": ((2, 7, 15, 15), (9, 7, 3, 3), {"dilation": (2, 3), "padding": 2}),
    "asymmetric": ((1, 4, 9, 8), (5, 4, 3, 2), {"padding": ((0, 3), (2, 1)), "stride": (3, 2)}),
    "padding beyond the kernel": ((1, 2, 4, 4), (3, 2, 2, 2), {"padding": 5}),
    "stride beyond the kernel": ((1, 3, 13, 13), (4, 3, 2, 2), {"stride": 5}),
    "one pixel out": ((3, 4, 3, 3), (5, 4, 3, 3), {}),
    "one line": ((1, 3, 1, 40), (4, 3, 1, 5), {"padding": (0, 2)}),
    "one column": ((1, 3, 40, 1), (4, 3, 5, 1), {"padding": (2, 0), "stride": (2, 1)}),
    "channels on one L1 set": ((1, 1024, 6, 6), (8, 1024, 3, 3), {"padding": 1}),
    "1x1, channels on one L1 set": ((1, 2048, 5, 5), (8, 2048, 1, 1), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_against_the_twin(case: str, thread_counts: int) -> None:
    x, weight, how = CASES[case]
    check("conv2d", array(*x), array(*weight, seed=1), array(weight[0], seed=2), **how)


@settings(max_examples=40)
@given(case=conv_cases())
def test_any_convolution(case: ConvCase) -> None:
    check("conv2d", *case.arrays(), **case.arguments())


@pytest.mark.parametrize("activation", [None, "relu", ("leaky_relu", 0.2), ("clip", 0.0, 6.0)])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_epilogue(activation: Any, groups: int) -> None:
    x, weight, bias = array(2, 8, 9, 9), array(8, 8 // groups, 3, 3, seed=1), array(8, seed=2)
    residual = array(2, 8, 7, 7, seed=3)
    how = {"groups": groups, "residual": residual, "activation": activation}
    check("conv2d", x, weight, bias, **how)
    packed = F.pack_conv2d(weight, bias, groups=groups, activation=activation)
    expected = F.conv2d(x, weight, bias, **how)
    np.testing.assert_array_equal(packed(x, residual=residual), expected)
    out = F.to_channels_last(np.full((2, 8, 7, 7), np.nan, np.float32))
    assert packed(x, residual=residual, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("case", ["3x3", "1x1", "depthwise", "groups"])
def test_layouts_change_nothing(case: str) -> None:
    x_shape, weight_shape, how = CASES[case]
    x, weight = array(*x_shape), array(*weight_shape, seed=1)
    expected = F.conv2d(x, weight, **how)
    grad = array(*expected.shape, seed=2)
    grad_x = F.conv2d_backward_input(grad, weight, x.shape, **how)
    grad_weight = F.conv2d_backward_weight(grad, x, weight.shape, **how)
    for label, other in layouts(x):
        np.testing.assert_array_equal(F.conv2d(other, weight, **how), expected, err_msg=label)
        again = F.conv2d_backward_weight(grad, other, weight.shape, **how)
        np.testing.assert_array_equal(again, grad_weight, err_msg=label)
    for label, other in layouts(weight):
        np.testing.assert_array_equal(F.conv2d(x, other, **how), expected, err_msg=label)
    for label, other in layouts(grad):
        again = F.conv2d_backward_input(other, weight, x.shape, **how)
        np.testing.assert_array_equal(again, grad_x, err_msg=label)


@pytest.mark.parametrize(
    "case", ["3x3", "3x3, stride 2", "1x1", "groups", "depthwise", "7x7, stride 2"]
)
def test_same_bits_at_any_thread_count(case: str) -> None:
    x_shape, weight_shape, how = CASES[case]
    x, weight = array(*x_shape), array(*weight_shape, seed=1)
    before, results = get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            y = F.conv2d(x, weight, **how)
            results.append(
                (
                    y,
                    F.conv2d_backward_input(y, weight, x.shape, **how),
                    F.conv2d_backward_weight(y, x, weight.shape, **how),
                    F.conv2d_backward_bias(y),
                )
            )
    finally:
        set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_change_no_picture() -> None:
    x, weight = array(5, 6, 9, 9), array(7, 6, 3, 3)
    together = F.conv2d(x, weight, padding=1)
    for i in range(5):
        np.testing.assert_array_equal(F.conv2d(x[i : i + 1], weight, padding=1)[0], together[i])


@pytest.mark.parametrize("case", ["3x3", "1x1", "groups", "depthwise", "5x5 on 5x5"])
def test_empty_batch(case: str) -> None:
    x_shape, weight_shape, how = CASES[case]
    x, weight = array(0, *x_shape[1:]), array(*weight_shape)
    y = F.conv2d(x, weight, **how)
    full = F.conv2d(array(1, *x_shape[1:]), weight, **how)
    assert y.shape == (0, *full.shape[1:])
    assert F.conv2d_backward_input(y, weight, x.shape, **how).shape == x.shape
    assert not F.conv2d_backward_weight(y, x, weight.shape, **how).any()
    assert not F.conv2d_backward_bias(y).any()


def test_large_outputs_written_past_the_caches() -> None:
    x, weight = array(3, 1, 300, 300), array(64, 1, 1, 1)
    y = F.conv2d(x, weight, np.ones(64, np.float32), activation="relu")
    assert y.nbytes > 64 << 20
    np.testing.assert_allclose(y, np.maximum(x * weight.reshape(1, 64, 1, 1) + 1, 0), atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_spread_as_in_numpy(bad: float) -> None:
    x = np.ones((1, 3, 9, 9), np.float32)
    x[0, 1, 4, 4] = bad
    check("conv2d", x, np.ones((20, 3, 3, 3), np.float32), padding=1, grads=False)
    check("conv2d", x, np.ones((3, 1, 3, 3), np.float32), groups=3, grads=False)


X, WEIGHT = array(1, 4, 8, 8), array(6, 4, 3, 3)


@pytest.mark.parametrize(
    "error, message, call",
    [
        (TypeError, "conv2d: x must be a NumPy array", lambda: F.conv2d([1.0], WEIGHT)),
        (
            TypeError,
            "conv2d: x must be float32.*int64",
            lambda: F.conv2d(np.ones((1, 4, 8, 8), np.int64), WEIGHT),
        ),
        (
            TypeError,
            "conv2d: weight must be float32.*float64",
            lambda: F.conv2d(X, WEIGHT.astype(np.float64)),
        ),
        (
            ValueError,
            r"conv2d: x must have 4 axes \(shape=\(4, 8, 8\)\)",
            lambda: F.conv2d(X[0], WEIGHT),
        ),
        (ValueError, "conv2d: weight must have 4 axes", lambda: F.conv2d(X, WEIGHT[0])),
        (
            ValueError,
            r"conv2d: weight must have the channels of x.*expected=4, received=3",
            lambda: F.conv2d(X, WEIGHT[:, :3]),
        ),
        (
            ValueError,
            r"conv2d: bias must have one value per channel",
            lambda: F.conv2d(X, WEIGHT, array(5)),
        ),
        (
            ValueError,
            r"conv2d: groups must divide the channels of x \(groups=3, channels=4\)",
            lambda: F.conv2d(X, WEIGHT, groups=3),
        ),
        (
            ValueError,
            r"conv2d: groups must divide the output channels \(groups=4, out_channels=6\)",
            lambda: F.conv2d(X, WEIGHT[:, :1], groups=4),
        ),
        (
            ValueError,
            r"conv2d: groups must be at least 1 \(groups=0\)",
            lambda: F.conv2d(X, WEIGHT, groups=0),
        ),
        (
            ValueError,
            r"conv2d: the dilated kernel must fit the padded input \(kernel_h=9",
            lambda: F.conv2d(X, array(6, 4, 9, 3)),
        ),
        (
            ValueError,
            r"conv2d: the dilated kernel must fit",
            lambda: F.conv2d(X, WEIGHT, dilation=4),
        ),
        (
            ValueError,
            r"conv2d: padding must not be negative \(top=-1",
            lambda: F.conv2d(X, WEIGHT, padding=-1),
        ),
        (
            ValueError,
            r"conv2d: stride must be at least 1 \(stride_h=0",
            lambda: F.conv2d(X, WEIGHT, stride=0),
        ),
        (
            ValueError,
            r"conv2d: dilation must be at least 1",
            lambda: F.conv2d(X, WEIGHT, dilation=0),
        ),
        (
            ValueError,
            r"conv2d: stride must be an int or \(h, w\)",
            lambda: F.conv2d(X, WEIGHT, stride=(1, 1, 1)),
        ),
        (
            TypeError,
            r"conv2d: stride must be made of integers \(stride=1.5\)",
            lambda: F.conv2d(X, WEIGHT, stride=1.5),
        ),
        (
            ValueError,
            r"conv2d: padding must be an int, \(h, w\) or",
            lambda: F.conv2d(X, WEIGHT, padding=(1, 1, 1, 1)),
        ),
        (TypeError, "conv2d: groups must be an integer", lambda: F.conv2d(X, WEIGHT, groups=1.0)),
        (ValueError, "overflows 64 bits", lambda: F.conv2d(X, WEIGHT, padding=2**39)),
        (ValueError, "does not fit 64 bits", lambda: F.conv2d(X, WEIGHT, padding=2**70)),
        (ValueError, "conv2d: activation must be", lambda: F.conv2d(X, WEIGHT, activation="swish")),
        (
            ValueError,
            "conv2d: residual has the wrong shape",
            lambda: F.conv2d(X, WEIGHT, residual=X),
        ),
        (
            ValueError,
            "conv2d: grad_output has the wrong shape",
            lambda: F.conv2d_backward_input(X, WEIGHT, X.shape),
        ),
        (
            ValueError,
            "conv2d: grad_output has the wrong shape",
            lambda: F.conv2d_backward_weight(X, X, WEIGHT.shape),
        ),
        (
            ValueError,
            "conv2d: input_shape must be four sizes",
            lambda: F.conv2d_backward_input(X, WEIGHT, (1, 2)),
        ),
        (
            TypeError,
            "conv2d: input_shape must be an integer",
            lambda: F.conv2d_backward_input(X, WEIGHT, (1, 4, 8, 8.0)),
        ),
        (
            TypeError,
            r"conv2d: input_shape must be a tuple of sizes \(input_shape=3\)",
            lambda: F.conv2d_backward_input(X, WEIGHT, 3),
        ),
        (
            ValueError,
            r"conv2d: x has the wrong number of channels \(expected=4, received=2\)",
            lambda: F.pack_conv2d(WEIGHT)(X[:, :2]),
        ),
        (ValueError, "conv2d: out has the wrong shape", lambda: F.pack_conv2d(WEIGHT)(X, out=X)),
        (
            ValueError,
            "conv2d: out must have channels-last memory",
            lambda: F.pack_conv2d(WEIGHT)(X, out=array(1, 6, 6, 6)),
        ),
        (ValueError, "conv2d: stride must be at least 1", lambda: F.pack_conv2d(WEIGHT, stride=0)),
        (ValueError, "conv2d: groups must be at least 1", lambda: F.pack_conv2d(WEIGHT, groups=0)),
        (
            ValueError,
            r"conv2d: 'fastest' needs the pictures' shape \(input_shape=None\)",
            lambda: F.pack_conv2d(WEIGHT, algorithm="fastest"),
        ),
        (
            ValueError,
            r"conv2d: input_shape must have the weight's channels .*channels=4",
            lambda: F.pack_conv2d(WEIGHT, input_shape=(1, 5, 8, 8)),
        ),
        (
            TypeError,
            r"conv2d: x must be a NumPy array; fastconv.autograd.ops takes tensors \(type=Tensor",
            lambda: F.conv2d(tensor(X), WEIGHT),
        ),
    ],
)
def test_errors(error: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_forced_instruction_set_runs(every_isa: str) -> None:
    assert get_isa() == every_isa
