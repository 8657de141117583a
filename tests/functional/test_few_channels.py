"""Gradients of convolutions of few channels against the twin: windows that are added up, and
channels that are joined with their neighbours'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import reference
from threads import assert_same_bits

pytestmark = pytest.mark.usefixtures("every_isa")

# N, C, H, W, O, kernel, stride, padding, dilation: windows that the picture cuts on each side, that
# leave out lines and columns, that lie in the padding alone, and several blocks of lines.
CASES: list[Any] = [
    (16, 6, 9, 8, 16, (5, 5), 1, 0, 1),
    (17, 8, 7, 11, 5, (3, 3), (2, 3), ((2, 0), (1, 3)), 1),
    (16, 1, 8, 9, 35, (4, 2), (1, 3), (3, 0), (2, 1)),
    (18, 7, 5, 4, 3, (3, 6), 1, ((0, 1), (7, 2)), 1),
    (16, 3, 40, 33, 4, (7, 7), 2, 3, 1),
    (2, 32, 9, 10, 17, (3, 3), (1, 2), ((0, 2), (2, 1)), (2, 1)),
    (2, 19, 9, 10, 40, (2, 3), 2, 0, 1),
]


def arrays(n: int, c: int, h: int, w: int, o: int, kernel: Any, *window: Any) -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    weight = rng.standard_normal((o, c, *kernel)).astype(np.float32)
    shape = F.conv2d(x, weight, None, *window).shape
    return x, weight, rng.standard_normal(shape).astype(np.float32), window


def assert_near(y: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("algorithm", ["direct", "fastest"])
def test_against_the_twin(case: Any, algorithm: str, thread_counts: int) -> None:
    x, weight, grad, window = arrays(*case)
    exact = [a.astype(np.float64) for a in (x, weight, grad)]
    expected = reference.conv2d_backward_weight(exact[2], exact[0], weight.shape, *window)
    y = F.conv2d_backward_weight(grad, x, weight.shape, *window, algorithm=algorithm)
    assert_near(y, expected)
    expected = reference.conv2d_backward_input(exact[2], exact[1], x.shape, *window)
    y = F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm=algorithm)
    assert_near(y, expected)
    start = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = F.conv2d_backward_input(
        grad, weight, x.shape, *window, algorithm=algorithm, add_to=start.copy(order="K")
    )
    assert_near(y, expected + exact[0])


def test_the_same_bits_at_any_number_of_threads() -> None:
    for case in CASES:
        x, weight, grad, window = arrays(*case)
        assert_same_bits(
            lambda: (
                F.conv2d_backward_input(grad, weight, x.shape, *window, algorithm="fastest"),  # noqa: B023
                F.conv2d_backward_weight(grad, x, weight.shape, *window),  # noqa: B023
                F.conv2d_backward_bias(grad),  # noqa: B023
            )
        )


@pytest.mark.parametrize("shape", [(1, 3, 8, 17), (2, 1, 9, 16), (3, 15, 7, 43), (2, 7, 1, 64)])
def test_sums_of_few_channels(shape: Any) -> None:
    grad = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = grad.astype(np.float64).sum((0, 2, 3))
    np.testing.assert_allclose(F.conv2d_backward_bias(grad), expected, rtol=1e-5, atol=1e-4)
