"""Winograd's convolutions against the twin, and the choice among algorithms."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fastconv import _core, get_num_threads, reference, set_num_threads
from fastconv import functional as F

pytestmark = pytest.mark.usefixtures("every_isa")

ALGORITHMS = ["winograd2", "winograd4"]
ALL = [*ALGORITHMS, "winograd6"]  # of 3x3
FORMS = [*itertools.product(ALGORITHMS, (3, 4, 5)), ("winograd6", 3)]
# How much worse than the sum itself, relative to the largest output.
ERROR = {("winograd2", 3): 2e-6, ("winograd4", 3): 6e-6, ("winograd6", 3): 3e-5}
ERROR |= {("winograd2", 4): 3e-6, ("winograd4", 4): 2e-5}
ERROR |= {("winograd2", 5): 6e-6, ("winograd4", 5): 3e-5}
# How much wider than the others' the bounds of a test on 3x3 are.
WIDER = {"winograd2": 1, "winograd4": 1, "winograd6": 3}

# N, C, H, W, O: below, at and above the tiles of 2 and 4 pixels, of 14 rows and of 16 lanes.
SIZES = [
    (1, 3, 8, 8, 5),
    (2, 17, 9, 11, 33),
    (1, 64, 14, 14, 70),
    (3, 20, 7, 7, 40),
    (1, 5, 3, 3, 16),
    (1, 1, 1, 1, 1),
    (1, 1024, 6, 6, 8),
    (2, 16, 30, 50, 64),
]


def arrays(n: int, c: int, h: int, w: int, o: int, kernel: int = 3) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    weight = rng.standard_normal((o, c, kernel, kernel)) / np.sqrt(kernel * kernel * c)
    weight = weight.astype(np.float32)
    return x, weight, rng.standard_normal(o).astype(np.float32)


@pytest.mark.parametrize(("algorithm", "kernel"), FORMS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", [0, 1, 2, ((2, 0), (1, 3))])
def test_against_the_twin(
    algorithm: str, kernel: int, size: Any, padding: Any, thread_counts: int
) -> None:
    x, weight, bias = arrays(*size, kernel)
    margin = (0, 2, 4, 2)[(0, 1, 2).index(padding) if isinstance(padding, int) else 3]
    if x.shape[2] + margin < kernel:
        return
    expected = reference.conv2d(
        x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64), padding=padding
    )
    y = F.pack_conv2d(weight, bias, padding=padding, algorithm=algorithm)(x)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= ERROR[algorithm, kernel] * np.abs(expected).max()


# Few tiles and many weights, which are then transformed block by block: 64 channels or the rest,
# whole panels and less. And so many tiles that weights are transformed before.
FRESH = [(3, 130, 9, 7, 70), (1, 129, 6, 6, 33), (2, 64, 7, 7, 128), (1, 80, 40, 41, 20)]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", FRESH)
def test_fresh_weights(kernel: int, size: Any) -> None:
    x, weight, bias = arrays(*size, kernel)
    padding, before = kernel // 2, get_num_threads()
    exact = [array.astype(np.float64) for array in (x, weight, bias)]
    expected = reference.conv2d(*exact, padding=padding)
    grad = np.random.default_rng(1).standard_normal(expected.shape).astype(np.float32)
    grad_x = reference.conv2d_backward_input(
        grad.astype(np.float64), exact[1], x.shape, padding=padding
    )

    algorithms = ALL if kernel == 3 else ALGORITHMS

    def results() -> list[Any]:
        y = [F.conv2d(x, weight, bias, padding=padding, algorithm=how) for how in algorithms]
        back = F.conv2d_backward_input(grad, weight, x.shape, padding=padding, algorithm="fastest")
        return [*y, back]

    try:
        runs = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            runs.append(results())
    finally:
        set_num_threads(before)
    for how, result in zip(algorithms, runs[0], strict=False):
        assert np.abs(result - expected).max() <= 2e-5 * WIDER[how] * np.abs(expected).max()
    assert np.abs(runs[0][-1] - grad_x).max() <= 2e-5 * np.abs(grad_x).max()
    for run in runs[1:]:
        assert all(map(np.array_equal, runs[0], run))


# Kernels and strides: the phases of a kernel are 3x3, 4x4 or 5x5, some of them with lines of zeros.
STRIDED = [(5, 2), (6, 2), (7, 2), (9, 2), (10, 2), (7, 3), (9, 3), (10, 3), (11, 4)]
STRIDED_FORMS = [
    (how, *window)
    for how in ALL
    for window in STRIDED
    if (how, -(-window[0] // window[1])) in ERROR
]


@pytest.mark.parametrize(("algorithm", "kernel", "stride"), STRIDED_FORMS)
@pytest.mark.parametrize("padding", [0, 3, ((2, 0), (1, 4))])
def test_strides_against_the_twin(
    algorithm: str, kernel: int, stride: int, padding: Any, thread_counts: int
) -> None:
    for size in ((2, 3, 39, 50, 33), (1, 6, 23, 17, 20)):
        x, weight, bias = arrays(*size, kernel)
        exact = [array.astype(np.float64) for array in (x, weight, bias)]
        expected = reference.conv2d(*exact, stride=stride, padding=padding)
        y = F.pack_conv2d(weight, bias, stride, padding, algorithm=algorithm)(x)
        phases = -(-kernel // stride)
        assert np.abs(y - expected).max() <= ERROR[algorithm, phases] * np.abs(expected).max()


def test_strides_in_groups_with_residual() -> None:
    x, _, bias = arrays(2, 8, 30, 33, 36)
    weight = np.random.default_rng(1).standard_normal((36, 4, 7, 7)).astype(np.float32) / 20
    how = {"stride": 2, "padding": 3, "groups": 2, "activation": "relu"}
    expected = F.conv2d(x, weight, bias, **how)
    residual = np.random.default_rng(2).standard_normal(expected.shape).astype(np.float32)
    expected = F.conv2d(x, weight, bias, residual=residual, **how)
    packed = F.pack_conv2d(weight, bias, algorithm="winograd4", **how)
    np.testing.assert_allclose(packed(x, residual=residual), expected, atol=2e-5)


@pytest.mark.parametrize("algorithm", ALL)
def test_epilogue(algorithm: str) -> None:
    x, weight, bias = arrays(2, 20, 13, 10, 24)
    residual = np.random.default_rng(1).standard_normal((2, 24, 13, 10)).astype(np.float32)
    packed = F.pack_conv2d(weight, bias, padding=1, activation="relu", algorithm=algorithm)
    expected = F.conv2d(x, weight, bias, padding=1, residual=residual, activation="relu")
    atol = 1e-5 * WIDER[algorithm]
    np.testing.assert_allclose(packed(x, residual=residual), expected, atol=atol)


@pytest.mark.parametrize("activation", [None, "relu", ("leaky_relu", 0.3), ("clip", -0.2, 0.4)])
@pytest.mark.parametrize("with_residual", [False, True])
def test_activations(activation: Any, with_residual: bool) -> None:
    x, weight, bias = arrays(2, 20, 13, 10, 40)  # whole and partial vectors and tiles
    residual = np.random.default_rng(1).standard_normal((2, 40, 13, 10)).astype(np.float32)
    added = residual if with_residual else None
    expected = F.conv2d(x, weight, bias, padding=1, residual=added, activation=activation)
    for algorithm in ALL:
        packed = F.pack_conv2d(weight, bias, padding=1, activation=activation, algorithm=algorithm)
        atol = 1e-5 * WIDER[algorithm]
        np.testing.assert_allclose(packed(x, residual=added), expected, atol=atol)


@pytest.mark.parametrize("algorithm", ALL)
def test_groups(algorithm: str) -> None:
    x, _, bias = arrays(2, 24, 13, 13, 36)
    weight = np.random.default_rng(1).standard_normal((36, 12, 3, 3)).astype(np.float32) / 10
    how = {"padding": 1, "groups": 2, "activation": "relu"}
    residual = np.random.default_rng(2).standard_normal((2, 36, 13, 13)).astype(np.float32)
    expected = F.conv2d(x, weight, bias, residual=residual, **how)
    packed = F.pack_conv2d(weight, bias, algorithm=algorithm, **how)
    atol = 2e-5 * WIDER[algorithm]
    np.testing.assert_allclose(packed(x, residual=residual), expected, atol=atol)


@pytest.mark.parametrize(
    ("algorithm", "kernel", "stride"),
    [*((how, *window) for how in ALGORITHMS for window in ((3, 1), (7, 2))), ("winograd6", 3, 1)],
)
def test_same_bits_at_any_thread_count_and_in_any_batch(
    algorithm: str, kernel: int, stride: int
) -> None:
    x, weight, bias = arrays(5, 40, 15, 15, 70, kernel)
    packed = F.pack_conv2d(weight, bias, stride, padding=1, algorithm=algorithm)
    before, results = get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            results.append(packed(x))
    finally:
        set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    for i in range(5):
        np.testing.assert_array_equal(packed(x[i : i + 1])[0], results[0][i])


def test_only_kernels_of_three_to_five_strides_have_it() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
    assert F.pack_conv2d(weight, algorithm="winograd4").algorithm == "winograd4"
    fastest: Any = {"algorithm": "fastest", "input_shape": (16, 4, 56, 56)}
    assert F.pack_conv2d(weight, stride=2, **fastest).algorithm == "direct"
    assert F.pack_conv2d(weight, dilation=2, **fastest).algorithm == "direct"
    assert F.pack_conv2d(weight[:, :, :1, :1], **fastest).algorithm == "direct"
    assert F.pack_conv2d(weight).algorithm == "direct"
    wide = rng.standard_normal((64, 3, 7, 7)).astype(np.float32)
    picture = (16, 3, 224, 224)
    for stride, expected in ((2, "winograd4"), (1, "direct"), (4, "direct"), ((2, 3), "direct")):
        packed = F.pack_conv2d(wide, stride=stride, algorithm="fastest", input_shape=picture)
        assert packed.algorithm == expected
    fastest["input_shape"] = (16, 8, 56, 56)
    assert F.pack_conv2d(weight[:, :1], groups=8, **fastest).algorithm == "direct"
    with pytest.raises(ValueError, match=r"conv2d: algorithm must be .*\(algorithm=fft\)"):
        F.pack_conv2d(weight, algorithm="fft")
    with pytest.raises(ValueError, match=r"conv2d: winograd needs .*stride_h=2"):
        F.pack_conv2d(weight, stride=2, algorithm="winograd4")
    with pytest.raises(ValueError, match=r"conv2d: winograd needs .*\(winograd6: 3\).*kernel_h=7"):
        F.pack_conv2d(wide, stride=2, algorithm="winograd6")


def test_a_nan_stays_in_the_tiles_that_see_it() -> None:
    x, weight, bias = arrays(1, 4, 20, 20, 6)
    x[0, 2, 1, 1] = np.nan
    y = F.pack_conv2d(weight, bias, padding=1, algorithm="winograd4")(x)
    assert np.isnan(y[0, :, :3, :3]).all()
    assert np.isfinite(y[0, :, 8:, :]).all() and np.isfinite(y[0, :, :, 8:]).all()


def test_weights_from_memory_never_ask_for_more_of_them() -> None:
    # Floats of weights a channel pair: the more, the longer memory takes to deliver them.
    size = {"direct": 9, "winograd2": 16, "winograd4": 36, "winograd6": 64}
    differ = 0
    for channels, side in itertools.product((32, 64, 128, 256, 512), (5, 7, 10, 14, 20, 28)):
        weight = np.zeros((channels, channels, 3, 3), np.float32)
        how = ((1, 1), (1, 1, 1, 1), (1, 1), 1, None, "fastest", 1, (side, side))
        near = _core.PackedConv2d(weight, None, *how, True).algorithm
        far = _core.PackedConv2d(weight, None, *how, False).algorithm
        assert size[far] <= size[near]
        differ += near != far
    assert differ > 0


def test_many_sizes_from_many_threads() -> None:
    """A packed convolution keeps the plans of a few sizes; others come and go."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((24, 8, 3, 3)).astype(np.float32) / 8
    pictures = [rng.standard_normal((1, 8, 5 + i, 9)).astype(np.float32) for i in range(9)]
    for algorithm in ("direct", *ALL):
        packed = F.pack_conv2d(weight, padding=1, algorithm=algorithm)
        expected = [reference.conv2d(x, weight, padding=1) for x in pictures]

        atol = 2e-5 * WIDER.get(algorithm, 1)

        def run(
            start: int, packed: Any = packed, expected: Any = expected, atol: float = atol
        ) -> None:
            for i in range(start, start + 200):
                y = packed(pictures[i % 9])
                np.testing.assert_allclose(y, expected[i % 9], atol=atol)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
