"""The promise that results do not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastconv

__all__ = ["assert_same_bits"]


def assert_same_bits(function: Callable[[], Any]) -> None:
    """Call `function` with 1, 2 and 3 threads; its arrays must be the same, bit by bit."""
    previous = fastconv.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fastconv.set_num_threads(threads)
            result = function()
            results.append(result if isinstance(result, tuple) else (result,))
    finally:
        fastconv.set_num_threads(previous)
    for threads, other in zip((2, 3), results[1:], strict=True):
        for i, (a, b) in enumerate(zip(results[0], other, strict=True)):
            assert a.tobytes() == b.tobytes(), f"result {i} differs with {threads} threads"
