"""Whole networks on the C++ kernels against the same networks on the float64 twins.

Weights are as a trained network's: He's initialisation, and batch norms whose statistics have
settled on what flows through them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, no_grad, use_backend

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("lenet5", {}),
    ("lenet5", {"variant": "paper"}),
    ("alexnet", {}),
    ("alexnet", {"variant": "torchvision"}),
    ("vgg16", {}),
    ("vgg11_bn", {}),
    ("googlenet", {}),
    ("googlenet", {"variant": "torchvision"}),
    ("resnet18", {}),
    ("resnet50", {}),
    ("resnet50", {"variant": "caffe"}),
    ("resnet152", {}),
]


def settle(net: nn.Module, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    """Give batch norms the statistics of some batches."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 0.5
    net.train()
    for _ in range(3):
        net(rng.standard_normal((2, *shape)).astype(np.float32))


@pytest.mark.parametrize(
    "name, options", NETWORKS, ids=lambda v: v if isinstance(v, str) else "-".join(v.values())
)
def test_output_is_the_twins(name: str, options: dict[str, Any]) -> None:
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    net = models.get(name, **options)
    x = rng.standard_normal((1, *net.input_shape)).astype(np.float32)
    with no_grad():
        settle(net, net.input_shape, rng)
        net.eval()
        y = net(x).numpy()
        net.astype(np.float64)
        with use_backend("reference"):
            expected = net(x.astype(np.float64)).numpy()
    assert y.shape == (1, 10 if name == "lenet5" else 1000) and y.dtype == np.float32
    assert np.abs(expected).max() > 0.01
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()


def test_training_step_is_the_twins() -> None:
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 3, 64, 64)).astype(np.float32)
    target = np.array([1, 5, 0])

    def gradients(net: nn.Module, pictures: np.ndarray) -> dict[str, np.ndarray]:
        net.zero_grad()
        nn.CrossEntropyLoss()(net(pictures), target).backward()
        return {key: p.grad.copy() for key, p in net.named_parameters()}

    net = models.resnet18(num_classes=7)
    net.train()
    native = gradients(net, x)
    net.astype(np.float64)
    with use_backend("reference"):
        expected = gradients(net, x.astype(np.float64))
    for key, gradient in native.items():
        scale = np.abs(expected[key]).max()
        assert np.abs(gradient - expected[key]).max() <= 1e-3 * scale, key


def test_same_bits_at_any_thread_count() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    net = models.resnet18(num_classes=7)
    before, results = fastconv.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fastconv.set_num_threads(threads)
            net.train()
            net.zero_grad()
            nn.CrossEntropyLoss()(net(x), np.array([1, 2])).backward()
            net.eval()
            results.append([p.grad.copy() for p in net.parameters()])
    finally:
        fastconv.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
