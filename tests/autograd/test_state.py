"""Which kernels run, and that threads do not disturb each other."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fastconv import no_grad, reference, tensor, use_backend
from fastconv.autograd import is_grad_enabled, kernels, ops


def test_backends_nest() -> None:
    with use_backend("reference"):
        assert kernels() is reference
        with use_backend("shapes"):
            assert kernels().__name__ == "fastconv.autograd.shapes"
        assert kernels() is reference


def test_any_object_with_kernels_is_a_backend() -> None:
    class Doubling:
        @staticmethod
        def relu(x: np.ndarray) -> np.ndarray:
            return 2 * x

    with use_backend(Doubling):
        assert ops.relu(np.ones(1)).item() == 2


def test_backend_is_restored_after_an_error() -> None:
    with use_backend("reference"):
        with pytest.raises(KeyError), use_backend("shapes"):
            raise KeyError
        assert kernels() is reference


def test_unknown_backend() -> None:
    message = r"use_backend: backend must be one of 'native', .* \(backend='cuda'\)"
    with pytest.raises(ValueError, match=message), use_backend("cuda"):
        pass


def test_backward_uses_the_kernels_of_its_forward() -> None:
    x = tensor(np.array([-1.0, 2.0]), requires_grad=True)
    with use_backend("reference"):
        y = ops.relu(x).sum()
    with use_backend("shapes"):
        y.backward()
    np.testing.assert_allclose(x.grad, [0.0, 1.0])


def test_threads_have_settings_of_their_own() -> None:
    seen = []

    def look() -> None:
        with use_backend("shapes"):
            seen.append((is_grad_enabled(), kernels().__name__))

    with no_grad(), use_backend("reference"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert kernels() is reference and not is_grad_enabled()
    assert seen == [(True, "fastconv.autograd.shapes")]
