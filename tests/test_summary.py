"""Summaries: published costs, formulas of output sizes, and that the network is left as it was."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn
from fastconv.summary import Summary, summary


def build(name: str, **options: Any) -> nn.Module:
    with nn.init.skip_init():
        return models.get(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "macs"),
    [
        ("lenet5", {}, "0.42 M"),
        ("alexnet", {}, "724 M"),
        ("alexnet", {"variant": "torchvision"}, "714 M"),
        ("vgg11", {}, "7.61 G"),
        ("vgg16", {}, "15.5 G"),
        ("vgg19", {}, "19.6 G"),
        ("googlenet", {}, "1.58 G"),
        ("googlenet", {"variant": "torchvision"}, "1.50 G"),
        ("resnet18", {}, "1.81 G"),
        ("resnet34", {}, "3.66 G"),
        ("resnet50", {}, "4.09 G"),
        ("resnet50", {"variant": "caffe"}, "3.86 G"),
        ("resnet101", {}, "7.80 G"),
        ("resnet152", {}, "11.5 G"),
    ],
)
def test_multiply_accumulates(name: str, options: Any, macs: str) -> None:
    number, unit = macs.split()
    scale = {"M": 1e6, "G": 1e9}[unit]
    half_a_digit = 0.5 * 10.0 ** -len(number.partition(".")[2])
    found = summary(build(name, **options)).macs / scale
    assert abs(found - float(number)) <= half_a_digit + 1e-9


def test_rows_of_alexnet() -> None:
    result = summary(build("alexnet"), (3, 227, 227))
    rows = {row.name: row for row in result.rows}
    assert rows["conv1"].size == "(227 - 11 + 2*0)/4 + 1 = 55"
    assert rows["conv1"].shape == (1, 96, 55, 55)
    assert rows["conv1"].parameters == 96 * (3 * 11 * 11 + 1)
    assert rows["conv1"].macs == 96 * 55 * 55 * 3 * 11 * 11
    assert rows["conv1"].memory == 96 * 55 * 55 * 4
    assert rows["conv2"].macs == 256 * 27 * 27 * 48 * 25  # two groups
    assert rows["pool1"].size == "(55 - 3)/2 + 1 = 27"
    assert rows["flatten"].size == "256*6*6 = 9216"
    assert rows["fc6"].size == "9216 -> 4096"
    assert rows["fc6"].kind == "Linear"
    assert rows["drop6"].memory == 0  # hands on its input
    assert result.parameters == 60_965_224
    assert result.parameter_memory == 4 * 60_965_224
    assert result.activation_memory == sum(row.memory for row in result.rows)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(2, 2, 3, 2, 1), "floor((10 - 3 + 2*1)/2) + 1 = 5, (11 - 3 + 2*1)/2 + 1 = 6"),
        (
            nn.Conv2d(2, 2, 3, 1, ((1, 2), (0, 0)), dilation=(1, 2)),
            "(10 - 3 + 1 + 2)/1 + 1 = 11, (11 - (2*(3 - 1) + 1) + 2*0)/1 + 1 = 7",
        ),
        (
            nn.MaxPool2d(3, 2, ceil_mode=True),
            "ceil((10 - 3)/2) + 1 = 5, (11 - 3)/2 + 1 = 5",
        ),
        (
            nn.AvgPool2d(2, 2, 1, ceil_mode="caffe"),
            "(10 - 2 + 2*1)/2 + 1 = 6, ceil((11 - 2 + 2*1)/2) + 1 - 1 = 6",
        ),
        (nn.AdaptiveAvgPool2d((5, None)), "10 -> 5, 11 -> 11"),
        (nn.ZeroPad2d((1, 2, 3, 4)), "10 + 7 = 17, 11 + 3 = 14"),
        (nn.ReLU(), ""),
    ],
)
def test_formulas(layer: nn.Module, text: str) -> None:
    (row,) = summary(layer, (2, 10, 11)).rows
    assert row.size == text
    assert row.name == type(layer).__name__


def test_batches() -> None:
    net = build("lenet5")
    one, four = summary(net, (1, 28, 28)), summary(net, (4, 1, 28, 28))
    assert one.input_shape == (1, 1, 28, 28) and four.input_shape == (4, 1, 28, 28)
    assert four.macs == 4 * one.macs
    assert four.activation_memory == 4 * one.activation_memory
    assert four.parameters == one.parameters
    assert summary(nn.Linear(3, 2), (3,)).input_shape == (1, 3)


def test_layers_called_twice_and_layers_not_run() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 3)
            self.idle = nn.Linear(3, 5)

        def forward(self, x: Any) -> Any:
            return self.layer(self.layer(x))

    result = summary(Twice(), (3,))
    assert [row.parameters for row in result.rows] == [12, 0]
    assert result.macs == 18 and result.parameters == 32
    assert "20 of the parameters belong to layers that do not run here" in str(result)


def test_the_network_is_left_as_it_was() -> None:
    net = build("resnet18")
    net.layer1.eval()
    modes = [m.training for m in net.modules()]
    state = {name: array.copy() for name, array in net.state_dict().items()}
    summary(net)
    assert [m.training for m in net.modules()] == modes
    assert not any(m._forward_hooks for m in net.modules())
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_errors_leave_the_network_as_it_was() -> None:
    net = build("lenet5")
    with pytest.raises(ValueError, match=r"linear: the last axis of x must be the inputs"):
        summary(net, (1, 32, 32))
    with pytest.raises(ValueError, match=r"conv2d: weight must take the channels of x"):
        summary(net, (3, 28, 28))
    assert net.training and not any(m._forward_hooks for m in net.modules())
    with pytest.raises(ValueError, match=r"summary: shape is needed for a Linear"):
        summary(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"summary: shape must have one to four sizes"):
        summary(net, (1, 1, 1, 28, 28))
    with pytest.raises(TypeError, match=r"summary: shape must be an integer"):
        summary(net, (1, 28.0, 28))


def test_table() -> None:
    net = nn.Sequential(conv=nn.Conv2d(3, 8, 3), pool=nn.MaxPool2d(2), flat=nn.Flatten())
    assert str(summary(net, (2, 3, 8, 8))).splitlines() == [
        "Sequential, input 2x3x8x8",
        "-" * 79,
        "layer  type       output size              output   parameters    MACs   memory",
        "-" * 79,
        "conv   Conv2d     (8 - 3 + 2*0)/1 + 1 = 6  2x8x6x6         224  15,552  2.2 KiB",
        "pool   MaxPool2d  (6 - 2)/2 + 1 = 3        2x8x3x3                        576 B",
        "flat   Flatten    8*3*3 = 72               2x72                           576 B",
        "-" * 79,
        "total                                                      224  15,552",
        "memory: activations 0.00 MiB, parameters 0.00 MiB",
    ]


def test_the_module_is_the_function() -> None:
    code = (
        "import fastconv, fastconv.summary; from fastconv import nn; "
        "assert fastconv.summary(nn.Linear(3, 2), (3,)).macs == 6; "
        "assert fastconv.summary.summary(nn.Linear(3, 2), (3,)).macs == 6"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert isinstance(fastconv.summary(nn.Linear(3, 2), (3,)), Summary)


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, fastconv; "
        "assert not [m for m in sys.modules if m.startswith('fastconv.')], sys.modules; "
        "assert 'numpy' not in sys.modules; "
        "assert 'nn' in dir(fastconv); "
        "assert not hasattr(fastconv, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
