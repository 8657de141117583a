"""Grad-CAM: its numbers against formulas and finite differences, and the picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, no_grad, plots, use_backend
from fastconv.plots.grad_cam import class_activation

RNG = np.random.default_rng(0)


def pooled(channels: int = 3) -> nn.Sequential:
    """A network whose class outputs are linear in the means of its maps."""
    fastconv.manual_seed(0)
    return nn.Sequential(
        conv=nn.Conv2d(channels, 5, 3),
        relu=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        fc=nn.Linear(5, 4),
    )


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("label", [None, 0, 3])
def test_with_mean_pooling_it_is_the_class_activation_map(backend: str, label: Any) -> None:
    # Section 3.1 of the paper: the weights of the linear layer, but for the number of pixels.
    net = pooled()
    x = RNG.standard_normal((3, 8, 7)).astype(np.float32)
    with use_backend(backend), no_grad():
        maps = net.relu(net.conv(x[None])).data[0]
        chosen = int(net(x[None]).data.argmax()) if label is None else label
        found = class_activation(net, x, label)
    expected = np.maximum(np.einsum("k,khw->hw", net.fc.weight.data[chosen], maps) / 30, 0)
    assert (found.label, found.layer, found.map.shape) == (chosen, "relu", (6, 5))
    assert expected.max() > 0
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-6)


def test_weights_are_finite_differences() -> None:
    fastconv.manual_seed(0)
    net = models.lenet5(variant="paper").astype(np.float64).eval()
    x = RNG.standard_normal((1, 28, 28))
    replaced: list[np.ndarray] = []
    with use_backend("reference"):
        found = class_activation(net, x, 2, "pool1")
        with no_grad():
            maps = net.pool1(net.act1(net.conv1(x[None]))).data
            hook = net.pool1.register_forward_hook(lambda m, i, out: fastconv.tensor(replaced[0]))
            weights = []
            for channel in range(maps.shape[1]):
                # The sum over a map of partial derivatives is one directional derivative.
                step = np.zeros_like(maps)
                step[0, channel] = 1e-5
                ends = []
                for sign in (1, -1):
                    replaced[:] = [maps + sign * step]
                    ends.append(net(x[None]).data[0, 2])
                weights.append((ends[0] - ends[1]) / 2e-5 / maps[0, 0].size)
            hook.remove()
    expected = np.maximum(np.tensordot(weights, maps[0], 1), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(found.map, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "side", "layer", "size"),
    [
        ("lenet5", 28, "act2", 10),
        ("vgg11", 64, "features.19", 4),
        ("googlenet", 64, "inception5b", 2),
        ("resnet18", 64, "layer4", 2),
        ("resnet20", 32, "layer3", 8),
    ],
)
def test_the_layer_that_it_looks_at(name: str, side: int, layer: str, size: int) -> None:
    with nn.init.skip_init():
        net = models.get(name)
    x = np.zeros((net.input_shape[0], side, side), np.float32)
    found = class_activation(net, x, 1)
    assert found.layer == layer
    assert found.map.shape == (size, size)


def test_the_network_is_left_as_it_was() -> None:
    net = models.resnet20().freeze("layer1").train()
    net.bn1.eval()
    before = {key: value.copy() for key, value in net.state_dict().items()}
    learns = [p.requires_grad for p in net.parameters()]
    modes = [m.training for m in net.modules()]
    class_activation(net, RNG.standard_normal((3, 32, 32)).astype(np.float32))
    assert [p.requires_grad for p in net.parameters()] == learns
    assert [m.training for m in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_it_needs_no_gradients_outside() -> None:
    with no_grad():
        assert class_activation(pooled(), np.ones((3, 8, 8), np.float32)).map.shape == (6, 6)


@pytest.mark.parametrize(
    ("picture", "label", "layer", "rule"),
    [
        ((2, 3, 8, 8), None, None, r"one picture \(shape=\(2, 3, 8, 8\)\)"),
        ((8, 8), None, None, r"one picture \(shape=\(8, 8\)\)"),
        ((3, 8, 8), 4, None, r"label must be from 0 to 3 \(label=4\)"),
        ((3, 8, 8), -1, None, r"label must be from 0 to 3 \(label=-1\)"),
        ((3, 8, 8), None, "conv9", r"layer must be one of conv, relu, .*layer='conv9'"),
        ((3, 8, 8), None, nn.ReLU(), r"layer must be one of .*layer=ReLU"),
        ((3, 8, 8), None, "fc", r"must give maps, once \(layer=fc, outputs=\[\(1, 4\)\]\)"),
    ],
)
def test_mistakes(picture: tuple[int, ...], label: Any, layer: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"grad_cam: .*{rule}"):
        class_activation(pooled(), np.zeros(picture, np.float32), label, layer)


def test_a_network_without_maps() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"grad_cam: .* a layer of maps \(net=Sequential\)"):
        class_activation(net, np.zeros((1, 2, 2), np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture(tmp_path: Path, channels: int) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    x = RNG.standard_normal((channels, 8, 8)).astype(np.float32)
    path = tmp_path / "cam.png"
    classes = ["ant", "bee", "cat", "dog"]
    figure = plots.grad_cam(pooled(channels), x, 2, "relu", classes=classes, path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    plain, covered = figure.axes
    assert len(plain.images) == 1 and len(covered.images) == 2
    drawn = np.asarray(plain.images[0].get_array())
    assert drawn.min() == 0 and drawn.max() == 1  # stretched
    expected = class_activation(pooled(channels), x, 2).map
    np.testing.assert_allclose(
        covered.images[1].get_array(), expected / expected.max(), rtol=1e-5, atol=1e-6
    )
    assert [text.get_text() for text in figure.texts] == ["Grad-CAM: cat", "relu"]
    with pytest.raises(ValueError, match=r"1 or 3 channels \(shape=\(2, 8, 8\)\)"):
        plots.grad_cam(pooled(channels), x, shown=np.zeros((2, 8, 8)))
