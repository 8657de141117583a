"""Every twin takes any memory layout, and leaves its arguments alone."""

from __future__ import annotations

import numpy as np
import pytest

from compare import layouts
from fastconv import reference
from operations import OPERATIONS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 6, 5))
C = RNG.uniform(0.5, 1.5, 4)
WEIGHT = RNG.standard_normal((3, 5))
CALLS = {
    "gemm": lambda f, x: f(x[0, 0], x[0, 1].T),
    "linear": lambda f, x: f(x, WEIGHT),
    "conv2d": lambda f, x: f(x, X[:1, :, :3, :3], padding=1),
    "max_pool2d": lambda f, x: f(x, 2),
    "avg_pool2d": lambda f, x: f(x, 2),
    "adaptive_avg_pool2d": lambda f, x: f(x, 3),
    "local_response_norm": lambda f, x: f(x, 3),
    "batch_norm": lambda f, x: f(x, C, C),
    "prelu": lambda f, x: f(x, C),
    "cross_entropy": lambda f, x: f(x[:, :, 0, 0], np.array([0, 1])),
    "add": lambda f, x: f(x, x),
    "concat": lambda f, x: f([x, x]),
    "pad": lambda f, x: f(x, 1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_layout(name):
    call = CALLS.get(name, lambda f, x: f(x))
    results = []
    for _, x in layouts(X):
        before = x.copy()
        result = call(getattr(reference, name), x)
        results.append(result if isinstance(result, tuple) else (result,))
        np.testing.assert_array_equal(x, before)
    for result in results[1:]:
        for one, first in zip(result, results[0], strict=True):
            np.testing.assert_allclose(one, first, rtol=1e-12, atol=1e-13)
