"""Few output channels: neighbouring pixels that are computed together, against the twin."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import reference

pytestmark = pytest.mark.usefixtures("every_isa")

# Output channels up to and over half of the lanes of every instruction set.
CHANNELS = (1, 2, 3, 4, 6, 8, 9)
# C, kernel, stride, padding (top, bottom), (left, right)
GEOMETRY: list[Any] = [
    (1, (5, 5), (1, 1), ((2, 2), (2, 2))),
    (3, (3, 3), (1, 2), ((0, 1), (1, 0))),
    (2, (2, 4), (2, 3), ((0, 0), (2, 1))),
    (5, (1, 7), (1, 2), ((0, 0), (0, 3))),
]


@pytest.mark.parametrize(("geometry", "out"), list(itertools.product(GEOMETRY, CHANNELS)))
def test_against_the_twin(geometry: Any, out: int, thread_counts: int) -> None:
    channels, kernel, stride, padding = geometry
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((out, channels, *kernel)).astype(np.float32)
    bias = rng.standard_normal(out).astype(np.float32)
    how: dict[str, Any] = {"stride": stride, "padding": padding, "activation": "relu"}
    for width in range(9, 21):  # results of all widths, most with some multiple of 2, 3 or 4
        x = rng.standard_normal((2, channels, 8, width)).astype(np.float32)
        packed = F.pack_conv2d(weight, bias, algorithm="fastest", input_shape=x.shape, **how)
        for picture in (x, x[:1, :, :6], x[:, :, :, 1:]):  # others than it was packed for, too
            expected = reference.conv2d(picture, weight, bias, **how)
            residual = rng.standard_normal(expected.shape).astype(np.float32)
            np.testing.assert_allclose(packed(picture), expected, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(
                packed(picture, residual=residual),
                reference.conv2d(picture, weight, bias, residual=residual, **how),
                rtol=1e-5,
                atol=1e-5,
            )


@pytest.mark.parametrize(("geometry", "out"), list(itertools.product(GEOMETRY, CHANNELS)))
def test_unpacked_against_the_twin(geometry: Any, out: int, thread_counts: int) -> None:
    channels, kernel, stride, padding = geometry
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((out, channels, *kernel)).astype(np.float32)
    bias = rng.standard_normal(out).astype(np.float32)
    how: dict[str, Any] = {"stride": stride, "padding": padding, "activation": "relu"}
    for width in range(9, 21):
        x = rng.standard_normal((2, channels, 8, width)).astype(np.float32)
        expected = reference.conv2d(x, weight, bias, **how)
        residual = rng.standard_normal(expected.shape).astype(np.float32)
        for added in (None, residual):
            np.testing.assert_allclose(
                F.conv2d(x, weight, bias, residual=added, algorithm="fastest", **how),
                reference.conv2d(x, weight, bias, residual=added, **how),
                rtol=1e-5,
                atol=1e-5,
            )


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("kernel", "padding"),
    [((4, 4), ((1, 2), (2, 1))), ((1, 7), ((0, 0), (6, 0))), ((2, 3), ((0, 3), (0, 0)))],
)
def test_picture_gradients(kernel: Any, padding: Any, channels: int, thread_counts: int) -> None:
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((5, channels, *kernel)).astype(np.float32)
    for width in range(9, 21):
        shape = (2, channels, 8, width)
        grad = rng.standard_normal(
            reference.conv2d(np.zeros(shape, np.float32), weight, padding=padding).shape
        ).astype(np.float32)
        np.testing.assert_allclose(
            F.conv2d_backward_input(grad, weight, shape, padding=padding, algorithm="fastest"),
            reference.conv2d_backward_input(grad, weight, shape, padding=padding),
            rtol=1e-5,
            atol=1e-5,
        )
