"""The backend of shapes agrees with the NumPy twin, and takes no memory."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest

from fastconv import reference
from fastconv.autograd import shapes
from operations import STEPS


def agree(name: str, *args: Any, **options: Any) -> None:
    outs = []
    for module in (shapes, reference):
        try:
            out = getattr(module, name)(*args, **options)
        except ValueError:
            out = None
        outs.append(out)
    assert (outs[0] is None) == (outs[1] is None), (name, args[1:], options)
    if outs[0] is None:
        return
    pairs = zip(*(o if isinstance(o, tuple) else (o,) for o in outs), strict=True)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape, (name, args[1:], options)
        assert ours.dtype == theirs.dtype, name
        assert all(stride == 0 for stride in ours.strides)


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def test_convolutions() -> None:
    x = zeros(2, 4, 9, 8)
    for kernel, stride, padding, dilation, groups in itertools.product(
        [(1, 1), (3, 2), (5, 5)], [1, (2, 3)], [0, (1, 2), ((0, 1), (2, 0))], [1, 2], [1, 2]
    ):
        agree("conv2d", x, zeros(6, 4 // groups, *kernel), None, stride, padding, dilation, groups)
    for stride, padding, size in itertools.product([1, 2], [0, 1], [3, 4, 5]):
        grad, weight = zeros(2, 6, 3, 3), zeros(6, 4, 3, 3)
        agree("conv2d_backward_input", grad, weight, (2, 4, size, size), stride, padding)
    with pytest.raises(ValueError, match=r"conv2d: weight must take the channels of x"):
        shapes.conv2d(x, zeros(6, 3, 1, 1))
    with pytest.raises(ValueError, match=r"conv2d: the window must fit into x"):
        shapes.conv2d(x, zeros(6, 4, 10, 1))
    with pytest.raises(ValueError, match=r"conv2d: x must have the axes \(N, C, H, W\)"):
        shapes.conv2d(zeros(4, 9, 8), zeros(6, 4, 1, 1))


def test_poolings() -> None:
    for size, kernel, stride, padding, ceil in itertools.product(
        [(7, 8), (9, 5), (3, 3)],
        [2, 3, (3, 2)],
        [None, 1, 2, (3, 2)],
        [0, 1, 2, (1, 0), ((0, 1), (1, 0))],
        [False, True, "caffe"],
    ):
        x = zeros(2, 3, *size)
        agree("avg_pool2d", x, kernel, stride, padding, ceil)
        agree("max_pool2d", x, kernel, stride, padding, 1, ceil, True)
        agree("max_pool2d", x, kernel, stride, padding, 2, ceil)
    for size in (1, (2, 3), (None, 4)):
        agree("adaptive_avg_pool2d", zeros(2, 3, 7, 5), size)
    agree("global_avg_pool2d", zeros(2, 3, 7, 5))


def test_the_rest() -> None:
    x, c = zeros(2, 3, 7, 5), zeros(3)
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "clip", "softmax", "log_softmax"):
        agree(name, x)
    agree("dropout", x, 0.5, 1)
    agree("prelu", x, c)
    agree("to_channels_last", x)
    agree("to_contiguous", x)
    agree("local_response_norm", x, 3)
    agree("batch_norm", x, c, c + 1, c, c)
    agree("batch_norm", x, zeros(4), zeros(4))
    agree("batch_norm_training", x, c, c)
    agree("batch_norm_training", x, zeros(4), zeros(4))
    agree("pad", x, ((1, 2), (3, 4)), 0.0)
    agree("add", x, x, activation="relu")
    agree("add", x, zeros(2, 3, 7, 4))
    agree("concat", [x, zeros(2, 4, 7, 5)])
    agree("concat", [x, zeros(2, 3, 7, 4)], -1)
    agree("concat", [x, zeros(2, 3, 7, 4)])
    agree("concat", [])
    agree("linear", zeros(2, 3, 5), zeros(4, 5), zeros(4))
    agree("linear", zeros(2, 6), zeros(4, 5))
    agree("gemm", zeros(5, 2), zeros(4, 5), trans_a=True, trans_b=True)
    agree("gemm", zeros(5, 2), zeros(4, 5))
    target = np.zeros(2, np.int64)
    agree("cross_entropy", zeros(2, 3), target)
    agree("cross_entropy", zeros(2, 3), target, "none", -100, 0.1)
    agree("cross_entropy", zeros(3, 3), target)


def test_every_forward_kernel_is_there() -> None:
    forward = {
        name
        for name in reference.__all__
        if "backward" not in name and inspect.isfunction(getattr(reference, name))
    }
    # A transposed convolution runs this one forward.
    assert forward - STEPS | {"conv2d_backward_input"} == set(shapes.__all__)
