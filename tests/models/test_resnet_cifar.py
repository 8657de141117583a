"""The residual networks for CIFAR-10: the paper's sizes, shortcuts and initialisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import assert_agree, check, layered, pictures, randomise
from fastconv import models, nn, no_grad, tensor, use_backend
from fastconv.models.resnet_cifar import CifarResNet, ZeroPaddedIdentity
from gradients import check_network

# Table 6 of the paper.
MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}


@pytest.mark.parametrize(("layers", "millions"), MILLIONS.items())
def test_parameters_of_the_paper(layers: int, millions: float) -> None:
    net = models.get(f"resnet{layers}")
    count = sum(p.size for p in net.parameters()) / 1e6
    assert round(count, 1 if millions == 1.7 else 2) == millions
    weighted = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == layers
    assert net.input_shape == models.input_shape(f"resnet{layers}") == (3, 32, 32)


def test_shapes_on_the_way() -> None:
    net, seen = models.resnet20(), {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda m, i, out, name=name: seen.update({name: out.shape}))
    with use_backend("shapes"), no_grad():
        net.eval()(np.zeros((2, 3, 32, 32), np.float32))
    assert seen["conv1"] == seen["layer1"] == (2, 16, 32, 32)
    assert seen["layer2"] == (2, 32, 16, 16)
    assert seen["layer3"] == (2, 64, 8, 8)
    assert seen[""] == (2, 10)
    assert fastconv.summary(net).macs == 40_551_040


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_the_shortcut_is_the_identity_with_zeros(backend: str) -> None:
    x = pictures(2, 3, 5, 6)
    with use_backend(backend):
        leaf = tensor(x, requires_grad=True)
        y = ZeroPaddedIdentity(2)(leaf)
        y.backward(np.ones_like(y.data))
    np.testing.assert_array_equal(y.data[:, :3], x[:, :, ::2, ::2])
    np.testing.assert_array_equal(y.data[:, 3:], np.zeros((2, 3, 3, 3)))
    expected = np.zeros_like(x)
    expected[:, :, ::2, ::2] = 1
    np.testing.assert_array_equal(leaf.grad, expected)


def test_compiled_is_the_layers() -> None:
    net = randomise(models.resnet20())
    x = pictures(3, 3, 32, 32)
    assert_agree(fastconv.compile(net, x.shape, winograd=False)(x), layered(net, x))
    assert_agree(fastconv.compile(net, x.shape)(x), layered(net, x), 1e-4)
    check(nn.Sequential(nn.Conv2d(3, 4, 3), ZeroPaddedIdentity(2)), (2, 3, 9, 8))


def test_gradients() -> None:
    fastconv.manual_seed(0)
    net = nn.Sequential(models.resnet20().layer2[0], nn.Flatten())
    x = np.random.default_rng(0).standard_normal((2, 16, 4, 4))
    only = ("0.bn2.weight", "0.bn1.bias")
    check_network(net, x, lambda y: (y * y).sum(), only=only)


def test_initialisation() -> None:
    fastconv.manual_seed(0)
    net = models.resnet56()
    weight = net.layer3[3].conv2.weight.data
    assert weight.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert net.layer2[0].conv1.weight.data.std() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.05)
    assert net.fc.weight.data.std() == pytest.approx((2 / 64) ** 0.5, rel=0.1)
    assert not net.fc.bias.data.any()


@pytest.mark.parametrize("layers", [2, 18, 21])
def test_other_depths_are_errors(layers: Any) -> None:
    with pytest.raises(ValueError, match=rf"CifarResNet: .*6 n \+ 2.*\(layers={layers}\)"):
        CifarResNet(layers)
