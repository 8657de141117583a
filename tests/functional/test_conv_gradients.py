"""Gradients of convolutions by Winograd's algorithms against the twin in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import reference
from fastconv.autograd import ops, tensor, use_conv_algorithm
from threads import assert_same_bits

pytestmark = pytest.mark.usefixtures("every_isa")

# N, C, H, W, O, kernel, padding, groups: tiles that the picture cuts, blocks of channels that are
# not full, several passes and chunks of tiles, uneven padding.
CASES = [
    (1, 16, 8, 8, 16, 3, 1, 1),
    (2, 17, 9, 11, 33, 3, 1, 1),
    (3, 70, 7, 7, 130, 3, 1, 1),
    (2, 64, 30, 26, 48, 3, 0, 1),
    (2, 40, 13, 12, 40, 3, 2, 2),
    (2, 16, 9, 9, 20, 3, ((2, 0), (1, 2)), 1),
    (2, 32, 13, 12, 24, 5, 2, 1),
    (1, 48, 9, 7, 70, 5, ((2, 1), (0, 3)), 1),
    (4, 32, 14, 14, 64, 5, 2, 2),
    (9, 32, 40, 40, 32, 3, 1, 1),
    (1, 24, 28, 20, 8, 3, 1, 1),  # a position of 35 rows ends within a cache line
]


def arrays(n: int, c: int, h: int, w: int, o: int, kernel: int, padding: Any, groups: int) -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    weight = rng.standard_normal((o, c // groups, kernel, kernel)).astype(np.float32)
    shape = F.conv2d(x, weight, None, 1, padding, 1, groups).shape
    return x, weight, rng.standard_normal(shape).astype(np.float32), (1, padding, 1, groups)


def error(y: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(y - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_against_the_twin(case: Any, thread_counts: int) -> None:
    x, weight, grad, window = arrays(*case)
    exact = [a.astype(np.float64) for a in (x, weight, grad)]
    expected = reference.conv2d_backward_weight(exact[2], exact[0], weight.shape, *window)
    y = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="fastest")
    assert error(y, expected) < 1e-5
    expected = reference.conv2d_backward_input(exact[2], exact[1], x.shape, *window)
    y = F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm="fastest")
    assert error(y, expected) < 1e-5
    expected = reference.conv2d(exact[0], exact[1], None, *window)
    assert error(F.conv2d(x, weight, None, *window, algorithm="fastest"), expected) < 1e-5


# N, C, H, W, O, kernel, stride, groups: one chunk in several blocks, of channels that fill neither
# the blocks nor their tiles; several strips; then several chunks.
@pytest.mark.parametrize(
    "case",
    [
        (3, 131, 13, 12, 77, 3, 2, 1),
        (2, 317, 19, 17, 201, 1, 1, 1),
        (2, 270, 11, 9, 402, 1, 2, 2),
        (2, 45, 21, 19, 35, 3, 2, 1),
    ],
)
def test_direct_gradients_of_weights_in_blocks(case: Any) -> None:
    n, c, h, w, o, kernel, stride, groups = case
    x, weight, _, _ = arrays(n, c, h, w, o, kernel, kernel // 2, groups)
    window = (stride, kernel // 2, 1, groups)
    grad = F.conv2d(x, weight, None, *window)
    expected = reference.conv2d_backward_weight(
        grad.astype(np.float64), x.astype(np.float64), weight.shape, *window
    )
    assert error(F.conv2d_backward_weight(grad, x, weight.shape, *window), expected) < 1e-5
    assert_same_bits(lambda: F.conv2d_backward_weight(grad, x, weight.shape, *window))


def test_large_layers_are_not_computed_directly() -> None:
    x, weight, grad, window = arrays(8, 64, 28, 28, 64, 3, 1, 1)
    direct = F.conv2d_backward_weight(grad, x, weight.shape, *window)
    fastest = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="fastest")
    assert not np.array_equal(direct, fastest)  # other roundings
    assert error(fastest, direct) < 1e-5
    direct = F.conv2d_backward_input(grad, weight, x.shape, *window)
    fastest = F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm="fastest")
    assert not np.array_equal(direct, fastest)
    assert error(fastest, direct) < 1e-5


@pytest.mark.parametrize("stride", [1, 2])
def test_what_winograd_cannot_is_direct(stride: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 32, 12, 12)).astype(np.float32)
    kernel = 1 if stride == 1 else 3
    weight = rng.standard_normal((32, 32, kernel, kernel)).astype(np.float32)
    grad = F.conv2d(x, weight, None, stride)
    for function, args in [
        (F.conv2d_backward_weight, (grad, x, weight.shape, stride)),
        (F.conv2d_backward_input, (grad, weight, x.shape, stride)),
    ]:
        np.testing.assert_array_equal(function(*args, algorithm="fastest"), function(*args))


@pytest.mark.parametrize(("channels", "size"), [(1, (1, 1)), (16, (5, 5)), (7, (4, 3))])
def test_a_kernel_as_large_as_the_picture(channels: int, size: Any, thread_counts: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((30, channels, *size)).astype(np.float32)
    grad = rng.standard_normal((9, 30, 1, 1)).astype(np.float32)
    shape = (9, channels, *size)
    expected = reference.conv2d_backward_input(grad.astype(np.float64), weight, shape)
    for algorithm in ("direct", "fastest"):
        y = F.conv2d_backward_input(grad, weight, shape, algorithm=algorithm)
        assert error(y, expected) < 1e-6


@pytest.mark.parametrize(
    ("shape", "filters", "kernel", "stride", "padding", "groups"),
    [
        ((2, 33, 14, 13), 21, 1, 1, 0, 1),
        ((2, 33, 15, 14), 21, 1, 2, 0, 1),  # most pixels are in no window
        ((2, 10, 9, 11), 12, 3, 2, 1, 2),
        ((2, 64, 20, 20), 64, 3, 1, 1, 1),  # Winograd's, where it may be
        ((2, 6, 9, 8), 6, 3, 1, 1, 6),
        ((5, 7, 4, 3), 30, (4, 3), 1, 0, 1),
    ],
)
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("algorithm", ["direct", "fastest"])
def test_the_gradient_of_the_picture_is_added_in_place(
    shape: Any,
    filters: int,
    kernel: Any,
    stride: int,
    padding: int,
    groups: int,
    channels_last: bool,
    algorithm: str,
) -> None:
    rng = np.random.default_rng(0)
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    weight = rng.standard_normal((filters, shape[1] // groups, height, width)).astype(np.float32)
    window = (stride, padding, 1, groups)
    grad = F.conv2d(rng.standard_normal(shape).astype(np.float32), weight, None, *window)
    total = rng.standard_normal(shape).astype(np.float32)
    if channels_last:
        total = np.ascontiguousarray(total.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    exact = (grad.astype(np.float64), weight.astype(np.float64))
    expected = total.astype(np.float64)
    reference.conv2d_backward_input(*exact, shape, *window, add_to=expected)
    y = F.conv2d_backward_input(grad, weight, shape, *window, algorithm=algorithm, add_to=total)
    assert y is total
    assert error(total, expected) < 1e-5


def test_the_gradient_is_added_to_a_picture_of_its_shape() -> None:
    x, weight, grad, window = arrays(2, 8, 6, 6, 8, 3, 1, 1)
    with pytest.raises(ValueError, match=r"conv2d: add_to must have the input's shape"):
        F.conv2d_backward_input(grad, weight, x.shape, *window, add_to=x[:1])


def test_same_bits_at_any_thread_count() -> None:
    x, weight, grad, window = arrays(6, 70, 20, 20, 100, 3, 1, 1)
    assert_same_bits(
        lambda: (
            F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="fastest"),
            F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm="fastest"),
            F.conv2d(x, weight, None, *window, algorithm="fastest"),
        )
    )


def test_the_tape_computes_as_it_is_told() -> None:
    x, weight, grad, window = arrays(8, 64, 28, 28, 64, 3, 1, 1)
    results = {}
    for algorithm in ("direct", "fastest"):
        w = tensor(weight.copy(), requires_grad=True)
        with use_conv_algorithm(algorithm):
            y = ops.conv2d(tensor(x), w, None, *window)
        y.backward(grad)
        assert w.grad is not None
        expected = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm=algorithm)
        np.testing.assert_array_equal(w.grad, expected)
        results[algorithm] = w.grad
    assert not np.array_equal(results["direct"], results["fastest"])
    with (
        pytest.raises(ValueError, match=r"use_conv_algorithm: .*\(algorithm='fft'\)"),
        use_conv_algorithm("fft"),
    ):
        pass


def test_an_empty_picture_whose_padding_is_convolved() -> None:
    weight = np.ones((8, 16, 3, 3), np.float32)
    y = F.conv2d(np.ones((1, 16, 0, 5), np.float32), weight, padding=2)
    for algorithm in ("direct", "fastest"):
        grad = F.conv2d_backward_input(y, weight, (1, 16, 0, 5), 1, 2, algorithm=algorithm)
        assert grad.shape == (1, 16, 0, 5)


def test_gradients_are_direct_or_fastest() -> None:
    x, weight, grad, window = arrays(1, 16, 8, 8, 16, 3, 1, 1)
    with pytest.raises(ValueError, match="gradient must be direct or fastest"):
        F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm="winograd4")
    with pytest.raises(ValueError, match="gradient must be direct or fastest"):
        F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="winograd2")
