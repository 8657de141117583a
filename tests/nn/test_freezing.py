"""Freezing: what learns, what is recorded, what batch norms and dropout do, and names."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

from fastconv import functional, models, nn, use_backend
from fastconv.autograd import Function

LABELS = np.array([1, 0])


def images(side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 3, side, side)).astype(np.float32)


def learning(net: nn.Module) -> set[str]:
    """The layers of which a parameter learns."""
    return {
        name.rpartition(".")[0]
        for name, parameter in net.named_parameters()
        if parameter.requires_grad
    }


def frozen(net: nn.Module) -> set[str]:
    return {name for name, module in net.named_modules() if module.frozen}


def small() -> nn.Sequential:
    return nn.Sequential(
        conv1=nn.Conv2d(3, 4, 3),
        bn1=nn.BatchNorm2d(4),
        drop=nn.Dropout(0.5),
        body=nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        fc=nn.Linear(4, 2),
    )


def test_by_name() -> None:
    net = small()
    assert net.freeze("conv1", "body.2") is net
    assert learning(net) == {"bn1", "body.0", "fc"}
    assert frozen(net) == {"conv1", "body.2"}
    net.freeze("body")
    assert learning(net) == {"bn1", "fc"}
    assert frozen(net) == {"conv1", "body", "body.0", "body.1", "body.2"}
    net.freeze("fc.bias")
    assert not net.fc.bias.requires_grad and net.fc.weight.requires_grad
    assert not net.fc.frozen


def test_until() -> None:
    net = small().freeze(until="body")
    assert learning(net) == {"body.0", "body.2", "fc"}
    assert frozen(net) == {"conv1", "bn1", "drop"}
    net = small().freeze(until="body.2")
    assert learning(net) == {"body.2", "fc"}
    assert frozen(net) == {"conv1", "bn1", "drop", "body.0", "body.1"}
    net = small().freeze("fc", until="bn1")
    assert frozen(net) == {"conv1", "fc"}
    assert frozen(small().freeze(until="conv1")) == set()


def test_until_a_stage_of_resnet() -> None:
    net = models.resnet20().freeze(until="layer3")
    assert {name.split(".")[0] for name in learning(net)} == {"layer3", "fc"}
    assert "layer2.2.bn2" in frozen(net) and "" not in frozen(net)


def test_everything_and_back() -> None:
    net = small().freeze()
    assert learning(net) == set()
    assert net.frozen
    net.unfreeze("body.2", "fc.weight")
    assert learning(net) == {"body.2", "fc"}
    # What holds a part that learns is not frozen itself.
    assert frozen(net) == {"conv1", "bn1", "drop", "body.0", "body.1", "pool", "flat"}
    assert not net.fc.bias.requires_grad
    net.unfreeze()
    assert frozen(net) == set()
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_old_gradients_are_forgotten() -> None:
    net = small()
    nn.CrossEntropyLoss()(net(images()), LABELS).backward()
    net.freeze("conv1")
    assert net.conv1.weight.grad is None
    assert net.fc.weight.grad is not None


def test_batch_norms_keep_their_statistics() -> None:
    net = small().freeze("bn1").train()
    net.bn1.running_mean[...] = 0.5
    before = {name: array.copy() for name, array in net.named_buffers()}
    with use_backend("reference"):
        seen: list[Any] = []
        net.bn1.register_forward_hook(
            lambda m, inputs, out: seen.append((inputs[0].data, out.data))
        )
        net(images())
    for name, array in net.named_buffers():
        np.testing.assert_array_equal(array, before[name])
    (x, y) = seen[0]
    np.testing.assert_allclose(y, (x - 0.5) / np.sqrt(1 + 1e-5), rtol=1e-5, atol=1e-6)
    net.unfreeze("bn1")
    net(images())
    assert net.bn1.num_batches_tracked == 1


def test_dropout_does_nothing() -> None:
    net = nn.Sequential(nn.Dropout(0.9)).freeze()
    x = images()
    np.testing.assert_array_equal(net(x).data, x)
    assert (net.unfreeze()(x).data == 0).any()


class Counting:
    """The native backend, and how often each of its functions was called."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return getattr(functional, name)(*args, **options)

        return call


def nodes_behind(loss: Any) -> list[Function]:
    found, waiting = [], [loss.node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function) and node not in found:
            found.append(node)
            waiting += node.edges or ()
    return found


def test_nothing_is_computed_below_what_learns() -> None:
    net = models.resnet20().freeze(until="layer3.2").train()
    backend = Counting()
    with use_backend(backend):
        loss = nn.CrossEntropyLoss()(net(images(32)), LABELS)
        kinds = Counter(type(node).__name__ for node in nodes_behind(loss))
        assert backend.calls["conv2d"] == 19
        loss.backward()
    # One block of two convolutions, and the head.
    assert kinds["Conv2d"] == kinds["BatchNormTraining"] == 2
    assert kinds["Linear"] == 1
    assert kinds["BatchNorm"] == kinds["Concat"] == 0
    assert backend.calls["conv2d_backward_weight"] == 2
    assert backend.calls["conv2d_backward_input"] == 1  # of the first nobody asks
    assert backend.calls["batch_norm_backward"] == 2
    assert net.conv1.weight.grad is None and net.layer3[2].conv1.weight.grad is not None


def test_frozen_layers_keep_no_activations() -> None:
    net = models.resnet20().freeze(until="layer3").train()
    seen: dict[str, Any] = {}
    for name, module in net.named_modules():
        module.register_forward_hook(
            lambda m, inputs, out, name=name: seen.update({name: weakref.ref(out.data)})
        )
    loss = nn.CrossEntropyLoss()(net(images(32)), LABELS)
    gc.collect()
    alive = {name for name, array in seen.items() if array() is not None}
    assert "layer3.0.conv1" in alive and "layer3.1.bn1" in alive
    # What the first layer that learns reads is kept for its gradient, and is made by three modules.
    below = {
        name for name in alive if name.startswith(("conv1", "bn1", "relu", "layer1", "layer2"))
    }
    assert below == {"layer2", "layer2.2", "layer2.2.bn2"}
    loss.backward()


@pytest.mark.parametrize("method", ["freeze", "unfreeze"])
def test_unknown_names(method: str) -> None:
    net = models.resnet20()
    before = learning(net)
    rule = r": names must be .* of CifarResNet \(name='layer4', near=layer[123], layer[123]"
    with pytest.raises(ValueError, match=method + rule):
        getattr(net, method)("layer1", "layer4")
    assert learning(net) == before  # nothing changed
    with pytest.raises(ValueError, match=r"\(name='xyz', near=conv1, bn1, layer1"):
        getattr(net, method)("xyz")
    with pytest.raises(ValueError, match=r"\(name='', near=conv1"):
        getattr(net, method)("")
    with pytest.raises(TypeError, match=method + r": names must be strings \(type=int\)"):
        getattr(net, method)(3)


def test_unknown_until() -> None:
    with pytest.raises(ValueError, match=r"freeze: names .*\(name='lyer2', near=layer2"):
        models.resnet20().freeze(until="lyer2")
