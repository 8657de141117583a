"""Exported networks, read again by this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("fastconv.zoo.readers.onnx")

from compiler.networks import layered, pictures, randomise
from fastconv import models, nn, zoo
from fastconv.data import Preset
from zoo.onnx_export import LAYERS, exported


def assert_comes_back(net: nn.Module, path: Path, shape: tuple[int, ...]) -> nn.Module:
    """Export a network and load it; return what was loaded."""
    exported(net, path, shape)
    loaded = zoo.load(path)
    for batch in (shape[0], shape[0] + 2):
        x = pictures(batch, *shape[1:], seed=batch)
        expected, actual = layered(net.eval(), x), layered(loaded, x)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    return loaded


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    assert_comes_back(randomise(make()), tmp_path / "net.onnx", shape)


@pytest.mark.parametrize(
    "name, options, shape",
    [
        ("lenet5", {"variant": "paper"}, (1, 1, 28, 28)),
        ("googlenet", {"variant": "caffe"}, (1, 3, 48, 40)),
        ("googlenet", {"variant": "torchvision", "transform_input": True}, (1, 3, 40, 40)),
        ("resnet18", {}, (1, 3, 40, 40)),
        ("resnet20", {}, (1, 3, 16, 16)),
    ],
)
def test_networks(
    name: str, options: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    with nn.init.skip_init():
        net = randomise(models.get(name, **options))
    assert_comes_back(net, tmp_path / "net.onnx", shape)


def test_preset_and_classes(tmp_path: Path) -> None:
    net = randomise(models.lenet5())
    net.preset = Preset((28, 28), 32, "L", (33.3,), (1 / 78.6,), "bicubic")
    net.classes = tuple("0123456789")
    loaded = assert_comes_back(net, tmp_path / "net.onnx", (1, 1, 28, 28))
    assert loaded.preset == net.preset
    assert loaded.classes == net.classes
