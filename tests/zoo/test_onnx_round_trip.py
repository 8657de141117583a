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


@pytest.mark.parametrize(
    "name, options, size",
    [("lenet5", {"variant": "paper"}, 28), ("resnet20", {}, 16), ("resnet18", {}, 40)],
)
def test_the_network_of_models(name: str, options: Any, size: int, tmp_path: Path) -> None:
    with nn.init.skip_init():
        net = randomise(models.get(name, **options)).replace_head(7).eval()
    path = tmp_path / "net.onnx"
    net.license = "MIT"
    channels = 1 if name == "lenet5" else 3
    zoo.export_onnx(net, path, (channels, size, size))
    loaded = zoo.load(path)
    assert isinstance(loaded, nn.GraphModule) and loaded.license == "MIT"
    again = zoo.load(path, name)
    assert again.architecture == (name, {**net.architecture[1], "num_classes": 7})
    assert repr(again) == repr(net) and again.license == "MIT"
    x = pictures(2, channels, size, size)
    np.testing.assert_array_equal(layered(again, x), layered(net, x))
    with pytest.raises(zoo.FormatError, match=f"architecture=vgg16, holds={name}"):
        zoo.load(path, "vgg16")


def test_networks_that_have_no_name_or_not_all_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    changed = models.lenet5(variant="paper")
    changed.act1 = nn.ReLU()
    headless = models.lenet5()
    headless.fc1 = headless.fc2 = nn.Identity()
    for net in (changed, headless):
        zoo.export_onnx(net, path, (1, 28, 28))
        assert zoo.read(path).architecture is None
        with pytest.raises(zoo.FormatError, match="must be those of a known network"):
            zoo.load(path, "lenet5")
    with nn.init.skip_init():
        heads = randomise(models.googlenet(variant="torchvision", aux_logits=True))
    zoo.export_onnx(heads, path, (3, 40, 40))
    assert zoo.read(path).architecture is None
