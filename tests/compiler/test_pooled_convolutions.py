"""Few input channels: convolution, activation and pooling in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fastconv
from compiler.networks import check, graph_of, pictures, randomise, steps
from fastconv import models, nn
from fastconv.autograd import use_conv_algorithm


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
