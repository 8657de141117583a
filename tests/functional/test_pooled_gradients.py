"""Gradients of convolutions through maximum pooling against the twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import reference
from threads import assert_same_bits

pytestmark = pytest.mark.usefixtures("every_isa")

# N, C, H, W, O, kernel, padding, pooling kernel, pooling stride: windows of one vector and several,
# of many lines, that overlap or leave out lines, and bands of lines.
FEW: list[Any] = [
    (64, 1, 28, 28, 6, (5, 5), 2, 2, 2),
    (17, 6, 14, 14, 16, (5, 5), 0, 2, 2),
    (16, 3, 19, 23, 7, (3, 3), 1, 3, 2),
    (16, 2, 21, 17, 5, (7, 3), (2, 1), (2, 3), 3),
    (20, 10, 12, 9, 33, (4, 3), ((1, 0), (2, 1)), 2, (2, 3)),
    (16, 31, 9, 9, 4, (1, 1), 0, 2, 2),
    (16, 16, 11, 20, 3, (2, 2), 0, (1, 3), (2, 3)),
    (16, 1, 70, 90, 3, (3, 3), 1, 2, 2),
]
# Of a few pictures, of windows that reach past the picture, and of any other window.
OTHERS: list[Any] = [
    (3, 6, 14, 14, 16, (5, 5), (1, 0, 1, 1), (2, 2, 0, 1, False)),
    (16, 2, 10, 9, 4, (3, 3), (1, 1, 1, 1), (3, 2, 1, 1, True)),
    (16, 4, 12, 11, 6, (3, 2), ((2, 1), 1, 1, 2), (2, 2, 0, (1, 2), False)),
    (16, 2, 9, 9, 4, (2, 2), (1, 0, 1, 1), (3, 3, 0, 1, "caffe")),
]


def arguments(
    n: int, c: int, h: int, w: int, o: int, kernel: Any, window: Any, pooling: Any
) -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    weight = rng.standard_normal((o, c // window[3], *kernel)).astype(np.float32)
    max_pool2d: Any = F.max_pool2d
    y, indices = max_pool2d(F.conv2d(x, weight, None, *window), *pooling, True)
    return rng.standard_normal(y.shape).astype(np.float32), indices, x, weight, window, pooling


def few(n: int, c: int, h: int, w: int, o: int, kernel: Any, padding: Any, *pooling: Any) -> Any:
    window = (1, padding, 1, 1)
    return arguments(n, c, h, w, o, kernel, window, (*pooling, 0, 1, False))


CASES = [*(few(*case) for case in FEW), *(arguments(*case) for case in OTHERS)]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("algorithm", ["direct", "fastest"])
def test_against_the_twin(case: int, algorithm: str, thread_counts: int) -> None:
    grad, indices, x, weight, *windows = CASES[case]
    exact = [a.astype(np.float64) for a in (grad, x, weight)]
    expected = reference.conv2d_max_pool2d_backward(exact[0], indices, exact[1], exact[2], *windows)
    start = F.to_channels_last(x)
    for add_to in (None, start.copy(order="K")):
        results = F.conv2d_max_pool2d_backward(*CASES[case], algorithm=algorithm, add_to=add_to)
        assert add_to is None or results[0] is add_to
        for result, right in zip(results, expected, strict=True):
            assert result is not None
            assert right is not None
            assert result.shape == right.shape
            if result is add_to:
                result = result - start
            assert np.abs(result - right).max() < 2e-6 * np.abs(right).max()


def test_only_what_is_needed() -> None:
    for case in (CASES[0], CASES[-1]):
        both = F.conv2d_max_pool2d_backward(*case, algorithm="fastest")
        for needs in ((True, False), (False, True), (False, False)):
            some = F.conv2d_max_pool2d_backward(*case, algorithm="fastest", needs=needs)
            for result, whole, needed in zip(some, both, needs, strict=True):
                if needed:
                    np.testing.assert_array_equal(result, whole)
                else:
                    assert result is None


def test_the_same_bits_at_any_number_of_threads() -> None:
    for case in CASES[:5]:
        assert_same_bits(lambda case=case: F.conv2d_max_pool2d_backward(*case, algorithm="fastest"))


@pytest.mark.parametrize("wrong", [-1, 2, 27, 28 * 28, 2**31 - 1, -(2**31)])
def test_an_index_outside_of_its_window_is_an_error(wrong: int) -> None:
    grad, indices, *rest = CASES[0]
    indices = indices.copy(order="K")
    indices[3, 2, 0, 0] = wrong
    for needs in ((True, False), (False, True)):
        with pytest.raises(ValueError, match="indices must be those of the window's maxima"):
            F.conv2d_max_pool2d_backward(grad, indices, *rest, algorithm="fastest", needs=needs)


def test_errors() -> None:
    grad, indices, *rest = CASES[1]
    with pytest.raises(ValueError, match="grad_output has the wrong shape"):
        F.conv2d_max_pool2d_backward(grad[:, :, 1:], indices[:, :, 1:], *rest, algorithm="fastest")
    with pytest.raises(ValueError, match="indices must have the shape of grad_output"):
        F.conv2d_max_pool2d_backward(grad, indices[1:], *rest, algorithm="fastest")
    with pytest.raises(TypeError, match="indices must be int32"):
        F.conv2d_max_pool2d_backward(grad, indices.astype(np.int64), *rest, algorithm="fastest")
