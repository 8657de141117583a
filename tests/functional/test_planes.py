"""Pictures with one channel, whose convolution runs along the lines, against the twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import reference
from threads import assert_same_bits

pytestmark = pytest.mark.usefixtures("every_isa")

# N, H, W, O, kernel, padding: odd and even lines, columns around a vector's length, blocks of
# channels that are not full, kernels wider than what fits in registers, several bands and chunks.
CASES: list[Any] = [
    (3, 9, 16, 6, (5, 5), 2),
    (2, 8, 17, 1, (3, 3), 1),
    (1, 7, 31, 2, (1, 7), 0),
    (2, 5, 33, 5, (7, 1), (3, 0)),
    (1, 1, 3, 3, (1, 2), 0),
    (2, 6, 13, 8, (3, 6), ((2, 0), (1, 4))),
    (1, 11, 40, 4, (4, 11), ((0, 3), (9, 10))),
    (1, 70, 9, 3, (2, 3), 1),
    (9, 65, 47, 7, (3, 3), 1),
]


def arrays(n: int, h: int, w: int, o: int, kernel: Any, padding: Any) -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 1, h, w)).astype(np.float32)
    weight = rng.standard_normal((o, 1, *kernel)).astype(np.float32)
    return x, weight, rng.standard_normal(o).astype(np.float32), (1, padding, 1, 1)


@pytest.mark.parametrize("case", CASES)
def test_against_the_twin(case: Any, thread_counts: int) -> None:
    x, weight, bias, window = arrays(*case)
    exact = [a.astype(np.float64) for a in (x, weight, bias)]
    expected = reference.conv2d(*exact, *window, activation="relu")
    y = F.conv2d(x, weight, bias, *window, activation="relu", algorithm="fastest")
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    grad = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    expected = reference.conv2d_backward_weight(
        grad.astype(np.float64), exact[0], weight.shape, *window
    )
    grad_weight = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="fastest")
    assert np.abs(grad_weight - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_same_bits_at_any_number_of_threads() -> None:
    x, weight, bias, window = arrays(9, 65, 47, 7, (3, 3), 1)
    y = F.conv2d(x, weight, bias, *window)
    assert_same_bits(lambda: F.conv2d(x, weight, bias, *window, algorithm="fastest"))
    assert_same_bits(
        lambda: F.conv2d_backward_weight(y, x, weight.shape, *window, algorithm="fastest")
    )


def test_infinities_spread_no_further_than_their_windows() -> None:
    x, weight, _, window = arrays(1, 6, 18, 4, (3, 3), 0)
    x[0, 0, 2, 17] = np.inf  # only the last column of the kernel sees it
    grad = np.ones((1, 4, 4, 16), np.float32)
    y = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm="fastest")
    assert np.isfinite(y[..., :2]).all()
    assert not np.isfinite(y[..., 2]).any()


def test_no_picture_gives_no_gradient() -> None:
    shape = (4, 1, 3, 3)
    x, grad = np.zeros((0, 1, 8, 8), np.float32), np.zeros((0, 4, 6, 6), np.float32)
    for algorithm in ("direct", "fastest"):
        np.full(shape, 7.5, np.float32)  # freed at once: what the result's memory may hold
        grad_weight = F.conv2d_backward_weight(grad, x, shape, algorithm=algorithm)
        np.testing.assert_array_equal(grad_weight, np.zeros(shape, np.float32))
