from __future__ import annotations

import pytest

from benchmarks import layers, tracing
from benchmarks.layers import AvgPool, Conv, Gemm, MaxPool, Network
from benchmarks.subject import Subject
from fastconv.autograd.geometry import pool_lengths


@pytest.mark.parametrize("name", tracing.TRACED)
def test_files_are_what_the_networks_have(name: str) -> None:
    """If this fails, the networks changed: `python -m benchmarks shapes` writes the files anew."""
    assert layers.load(name).dumps() == tracing.trace(Subject.parse(name)).dumps()


# Multiply-accumulates of one picture, in millions.
@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("lenet5", 0.4),
        ("alexnet", 724),
        ("vgg16", 15470),
        ("googlenet", 1583),
        ("resnet18", 1814),
        ("resnet50", 4089),
        ("resnet152", 11514),
    ],
)
def test_multiply_accumulates(name: str, macs: float) -> None:
    assert layers.load(name).flop(1) / 2e6 == pytest.approx(macs, rel=0.05 if macs < 1 else 1e-3)


def test_text_survives_a_round_trip() -> None:
    for name in layers.networks():
        network = layers.load(name)
        assert Network.loads(network.dumps()) == network


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"network must be one of .*vgg16"):
        layers.load("vgg99")
    text = '{"network": "x", "variant": "", "input": [], "layers": [{"name": "", "count": 1, '
    with pytest.raises(ValueError, match="op='fft'"):
        Network.loads(text + '"op": "fft"}]}')


def test_costs_of_a_grouped_convolution() -> None:
    conv = Conv(96, 27, 27, 256, (5, 5), padding=(2, 2), groups=2)
    assert conv.out_shape == (256, 27, 27)
    assert conv.weight_shape == (256, 48, 5, 5)
    assert conv.flop(2) == 2 * 2 * 256 * 27 * 27 * 48 * 25
    assert conv.bytes(1) == 4 * (96 * 27 * 27 + 256 * 27 * 27 + 256 * 48 * 25)
    assert str(conv) == "96x27x27 -> 256, 5x5 p2 g2"
    assert str(Gemm(3, 4, 5, trans_b=True)) == "3 x 4 x 5'"


@pytest.mark.parametrize("ceil_mode", [False, True, "caffe"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [6, 7, 13, 14, 55, 112])
def test_pooled_sizes(ceil_mode: bool | str, padding: int, size: int) -> None:
    for kind, kernel in ((MaxPool, 3), (AvgPool, 2)):
        pool = kind(8, size, size + 1, (kernel, kernel), (2, 2), (padding, padding), ceil_mode)
        sides = ((padding, padding),) * 2
        expected = pool_lengths(
            (size, size + 1), (kernel, kernel), (2, 2), sides, (1, 1), ceil_mode
        )
        assert pool.out_shape == (8, *expected)
