"""Convolution, activation and pooling in one pass: few input channels, and Winograd's tiles."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import (
    assert_agree,
    check,
    graph_of,
    layered,
    pictures,
    randomise,
    steps,
)
from fastconv import models, nn, use_backend
from fastconv.autograd import use_conv_algorithm
from fastconv.compiler import CompiledNetwork
from fastconv.compiler.compiled import Options
from fastconv.compiler.packing import choice_key
from fastconv.compiler.passes import pool_tiles


@pytest.fixture(params=fastconv.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = fastconv.get_isa()
    fastconv.set_isa(request.param)
    yield request.param
    fastconv.set_isa(before)


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize(
    "channels, kernel, padding, shape",
    [
        (6, 5, 2, (1, 28, 28)),
        (1, 1, 0, (2, 2, 2)),
        (7, 3, (0, 2), (3, 9, 37)),  # an odd line and an odd column are left out
        (20, 5, 0, (2, 28, 28)),
        (24, (2, 7), (1, 3), (1, 70, 67)),  # several bands
        (11, (5, 3), 4, (2, 5, 130)),  # as much padding as picture
        (16, (3, 5), (1, 0), (2, 40, 37)),
        (5, 5, 1, (2, 6, 70)),
        (4, (1, 5), (0, 4), (1, 3, 3)),
    ],
)
def test_agrees_with_its_layers(isa, channels, kernel, padding, shape, winograd):
    batch, height, width = shape
    net = nn.Sequential(nn.Conv2d(1, channels, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2))
    assert steps(net, (batch, 1, height, width)) == {"conv2d_max_pool2d": 1}
    check(net, (batch, 1, height, width), winograd)


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize(
    "inputs, outputs, kernel, padding, shape",
    [
        (6, 16, 5, 0, (3, 14, 14)),
        (3, 9, 1, 0, (2, 2, 3)),
        (2, 33, (4, 3), (0, 2), (3, 11, 37)),
        (8, 16, 3, 1, (1, 71, 31)),  # several bands and tiles
        (5, 24, (2, 5), 4, (2, 5, 6)),
        (7, 20, (3, 5), 2, (2, 37, 31)),  # several bands and tiles, an odd line and column
        (2, 9, (1, 5), (0, 4), (1, 3, 3)),
        (8, 17, (1, 5), (0, 2), (1, 9, 1500)),  # bands of few lines
        (7, 20, 5, 2, (2, 37, 31)),  # Winograd's in both directions, several bands and tiles
        (2, 33, 5, (0, 4), (3, 7, 15)),
        (8, 9, 5, (2, 0), (1, 9, 600)),
        (3, 9, 5, 0, (2, 6, 6)),
    ],
)
def test_several_channels_agree_with_their_layers(
    isa, inputs, outputs, kernel, padding, shape, winograd
):
    batch, height, width = shape
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding)
    net = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2))
    assert steps(net, (batch, inputs, height, width)) == {"conv2d_max_pool2d": 1}
    check(net, (batch, inputs, height, width), winograd)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("activation", [None, nn.ReLU6(), nn.LeakyReLU(0.2)])
def test_activations_that_never_fall(activation, channels):
    parts = [nn.Conv2d(channels, 10, 3), *([activation] if activation else []), nn.MaxPool2d(2)]
    net = nn.Sequential(*parts)
    assert steps(net, (2, channels, 12, 14)) == {"conv2d_max_pool2d": 1}
    check(net, (2, channels, 12, 14))


@pytest.mark.parametrize(
    "parts",
    [
        [nn.Conv2d(1, 8, 3), nn.LeakyReLU(-0.2), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2)],
        [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2, padding=1)],
        [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)],  # of 11 lines
        [nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(2, 8, 3), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(8, 64, 5), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(9, 16, 3), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(2, 16, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)],
    ],
)
def test_others_are_left_alone(parts):
    net = nn.Sequential(*parts)
    shape = (1, net[0].in_channels, 13, 14)
    assert "conv2d_max_pool2d" not in steps(net, shape)
    check(net, shape)


@pytest.mark.parametrize("kernel", [3, 5])  # 5: Winograd's, a pair of pixels for each maximum
@pytest.mark.parametrize("inputs, outputs", [(1, 3), (3, 9)])
def test_nan_reaches_its_maxima(inputs, outputs, kernel):
    net = randomise(nn.Sequential(nn.Conv2d(inputs, outputs, kernel), nn.MaxPool2d(2)))
    x = pictures(1, inputs, 10, 10)
    x[0, 0, 4, 5] = np.nan
    y = fastconv.compile(net, x.shape)(x)
    with use_conv_algorithm("direct"):  # others may spread a NaN over more pixels
        expected = net(x).numpy()
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    assert np.isnan(y).sum() == outputs * (4 if kernel == 3 else 9)


def test_the_same_bits_at_any_number_of_threads():
    net = randomise(models.lenet5())
    x = pictures(67, 1, 28, 28)
    expected = fastconv.compile(net, x.shape, threads=1)(x)
    for threads in (2, 3):
        np.testing.assert_array_equal(fastconv.compile(net, x.shape, threads=threads)(x), expected)


def test_windows_of_five_columns_may_multiply_less():
    def algorithms(**options):
        compiled = fastconv.compile(models.lenet5(), (2, 1, 28, 28), **options)
        return [step.algorithm for step in compiled.profile(repeats=1).steps][:2]

    assert algorithms() == ["winograd2"] * 2
    assert algorithms(winograd=False) == ["direct"] * 2


def test_lenets_first_layer_is_one_step_in_its_table():
    net = models.lenet5()
    assert [node.op for node in graph_of(net, (1, 1, 28, 28)).nodes][:2] == [
        "conv2d_max_pool2d",
        "conv2d_max_pool2d",
    ]
    first = repr(fastconv.compile(net, (1, 1, 28, 28))).splitlines()[4]
    assert "conv 5x5 + relu + max pool 2x2/2" in first
    assert "117,600" in first  # multiply-adds


ALGORITHMS = ["direct", "winograd2", "winograd4", "winograd6"]


def pooled_with(
    algorithm: str, net: nn.Module, shape: tuple[int, ...], threads: int = 2
) -> CompiledNetwork:
    """The network with its convolutions pooled, whether that is estimated to pay or not."""
    graph = pool_tiles(graph_of(net, shape), lambda node: True)
    assert not any(node.op == "max_pool2d" for node in graph.nodes)
    options = Options("net", True, "fp32", threads, True, None, None)
    choices = {choice_key(node): algorithm for node in graph.nodes if node.op == "conv2d"}
    return CompiledNetwork(graph, options, choices)


def check_pooled(algorithm: str, net: nn.Module, shape: tuple[int, ...]) -> None:
    """As `check`, at one, two and three threads."""
    randomise(net)
    x = pictures(*shape)
    y = pooled_with(algorithm, net, shape, 1)(x)
    for threads in (2, 3):
        np.testing.assert_array_equal(pooled_with(algorithm, net, shape, threads)(x), y)
    net.astype(np.float64)
    with use_backend("reference"):
        assert_agree(y, layered(net, x.astype(np.float64)), 4e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize(
    "shape",  # whole tiles of 6 and 4 pixels, and 1 to 5 less, which are left out or seen twice
    [(2, 17, 24, 12), (3, 9, 23, 14), (1, 33, 22, 9), (2, 64, 8, 7), (1, 20, 6, 30), (1, 9, 5, 4)],
)
def test_tiles_agree_with_their_layers(isa, algorithm, kernel, shape):
    if algorithm == "winograd6" and kernel > 3:
        pytest.skip("F(6, 3) alone")
    conv = nn.Conv2d(shape[1], 37, kernel, padding=kernel // 2)
    check_pooled(algorithm, nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)), shape)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "activation, groups, padding",
    [(None, 1, 0), (nn.LeakyReLU(0.2), 1, 2), (nn.ReLU6(), 2, 1), (nn.ReLU(), 2, (0, 3))],
)
def test_tiles_with_other_activations_groups_and_padding(algorithm, activation, groups, padding):
    conv = nn.Conv2d(18, 48, 3, padding=padding, groups=groups)
    net = nn.Sequential(conv, *([activation] if activation else []), nn.MaxPool2d(2))
    check_pooled(algorithm, net, (2, 18, 15, 20))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_windows_without_a_whole_line_have_no_maxima(algorithm):
    net = randomise(nn.Sequential(nn.Conv2d(9, 16, 3), nn.MaxPool2d(2)))
    with pytest.raises(ValueError, match="max_pool2d"):
        net(pictures(1, 9, 3, 8))
    assert pooled_with(algorithm, net, (1, 9, 4, 4))(pictures(1, 9, 4, 4)).shape == (1, 16, 1, 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_nan_reaches_the_maxima_of_its_tiles(isa, algorithm):
    net = randomise(nn.Sequential(nn.Conv2d(9, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)))
    x = pictures(1, 9, 36, 36)
    x[0, 3, 13, 14] = np.nan
    y = pooled_with(algorithm, net, x.shape)(x)
    assert np.isnan(y[:, :, 6:8, 6:8]).all()
    assert np.isfinite(y[:, :, :3]).all() and np.isfinite(y[:, :, :, 10:]).all()


def wide() -> nn.Module:
    """Layers that Winograd's algorithms compute on any machine: many channels, many pixels."""
    parts = [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return randomise(nn.Sequential(*parts, nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()))


def test_tiles_are_pooled_where_winograds_algorithms_are_chosen():
    net, shape = wide(), (2, 64, 40, 44)
    x = pictures(*shape)
    compiled = fastconv.compile(net, shape)
    done = [step.step for step in compiled.profile(repeats=1).steps]
    assert "conv 3x3 + relu + max pool 2x2/2" in done and "max pool 2x2/2" not in done
    assert f"{2 * 9 * 64 * 64 * 40 * 44:,}" in repr(compiled)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(compiled))(x), compiled(x))
    assert_agree(compiled(x), fastconv.compile(net, shape, winograd=False)(x), 4e-5)
    assert_agree(compiled(x[:1]), compiled(x)[:1], 4e-5)  # another batch
    plain = fastconv.compile(net, shape, winograd=False).profile(repeats=1)
    assert "max pool 2x2/2" in [step.step for step in plain.steps]


def test_what_others_read_too_is_not_pooled():
    def parts(x: Any) -> Any:
        y = net[1](net[0](x))
        return net[2](y), y

    net = wide()

    class Both(nn.Module):
        def __init__(self) -> None:
            self.net = net
            self.up = nn.Conv2d(64, 64, 2, stride=2)

        def forward(self, x: Any) -> Any:
            pooled, whole = parts(x)
            return pooled + self.up(whole)

    both = randomise(Both())
    compiled = fastconv.compile(both, (2, 64, 40, 44))
    assert "max pool 2x2/2" in [step.step for step in compiled.profile(repeats=1).steps]
    x = pictures(2, 64, 40, 44)
    assert_agree(compiled(x), layered(both, x), 4e-5)


def test_tuning_measures_pooled_convolutions(tmp_path: Path) -> None:
    net, shape = wide(), (1, 64, 40, 44)
    compiled = fastconv.compile(net, shape, tune=tmp_path / "tuning.json")
    algorithms = [step.algorithm for step in compiled.profile(repeats=1).steps if step.flop]
    assert len(algorithms) == 2 and set(algorithms) <= set(ALGORITHMS)
    assert "input 1x40x44, max pool" in (tmp_path / "tuning.json").read_text()
    x = pictures(*shape)
    assert_agree(compiled(x), layered(net, x), 4e-5)
