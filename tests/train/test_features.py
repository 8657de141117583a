"""Features of the frozen part: where networks are cut, and that training on them is the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, no_grad, tensor, use_backend
from fastconv.data import Loader, random_shift
from fastconv.train import cached, fit, load_checkpoint, split

RNG = np.random.default_rng(0)


def images(count: int = 6, side: int = 32) -> np.ndarray:
    return RNG.standard_normal((count, 3, side, side)).astype(np.float32)


def kinds(part: nn.Sequential) -> list[str]:
    return [type(stage).__name__ for stage in part]


def test_a_sequence_is_cut_inside_its_stages() -> None:
    net = models.resnet20().freeze(until="layer3.1")
    frozen, head = split(net)
    assert kinds(frozen) == ["Conv2d", "BatchNorm2d", "ReLU"] + ["BasicBlock"] * 7
    assert kinds(head) == ["BasicBlock"] * 2 + ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert head[0] is net.layer3[1]
    x = images()
    with no_grad():
        net.eval()
        np.testing.assert_array_equal(head(frozen(tensor(x))).data, net(x).data)


@pytest.mark.parametrize(
    ("name", "until", "first"),
    [
        ("lenet5", "fc1", "Linear"),
        ("vgg11", "features.10", "Conv2d"),
        ("googlenet", "inception5b", "Inception"),
        ("resnet18", "fc", "Linear"),
    ],
)
def test_models(name: str, until: str, first: str) -> None:
    with nn.init.skip_init():
        net = models.get(name).freeze(until=until)
    frozen, head = split(net)
    assert kinds(head)[0] == first
    assert not any(p.requires_grad for p in frozen.parameters())
    assert sum(p.size for p in net.parameters()) == sum(
        p.size for part in (frozen, head) for p in part.parameters()
    )


def test_what_changes_from_step_to_step_is_not_cached() -> None:
    def net() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(4 * 900, 2),
        )

    assert kinds(split(net().freeze("0"))[1])[0] == "BatchNorm2d"
    one = net().freeze("0")
    one[1].requires_grad_(False)  # its statistics still follow the batches
    assert kinds(split(one)[1])[0] == "BatchNorm2d"
    assert kinds(split(net().freeze("0", "1"))[1])[0] == "Dropout"
    assert kinds(split(net().freeze("0", "1", "2"))[1]) == ["Linear"]


class Own(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(3, 2, 3)
        self.fc = nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.fc(self.conv(x).mean((2, 3)))


class Shuffled(nn.Sequential):
    def forward(self, x: Any) -> Any:
        return self[1](self[0](x))


def test_what_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"split: .*stages\(\).* \(net=Own\)"):
        split(Own().freeze("conv"))
    with pytest.raises(ValueError, match=r"split: .*stages\(\).* \(net=Shuffled\)"):
        split(Shuffled(nn.ReLU(), nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"CifarResNet.freeze.*first stage that learns=Conv2d"):
        split(models.resnet20().freeze("layer1"))
    with pytest.raises(ValueError, match=r"split: a part of the network must learn"):
        split(models.resnet20().freeze())
    with nn.init.skip_init():
        net = models.googlenet(aux_logits=True).freeze(until="fc")
    with pytest.raises(ValueError, match=r"GoogLeNet: .* \(aux_logits=True"):
        split(net)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_features_are_the_frozen_parts_output(backend: str) -> None:
    net = models.resnet20().freeze(until="fc").train()
    x, y = images(5), np.arange(5)
    with use_backend(backend):
        head, (made, labels) = cached(net, (x, y), batch_size=2)
        with no_grad():
            expected = split(net)[0].eval()(x).data
    assert made.shape == (5, 64) and made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels, y)
    assert head[-1] is net.fc


ALL = images(5)


def test_features_of_a_loader_come_in_its_datasets_order() -> None:
    net = models.resnet20().freeze(until="layer3")
    loader = Loader((ALL, np.arange(5)), 2, shuffle=True, seed=3, transform=lambda x, rng: x * 2)
    _, (made, labels) = cached(net, loader)
    _, (expected, _) = cached(net, (2 * ALL, labels), batch_size=2)
    assert made.shape == (5, 32, 16, 16)
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(labels, np.arange(5))


class Batches:
    """As much of a loader as fit asks for."""

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert (number, start) == (0, 0)
        for begin in (3, 0):
            yield ALL[begin : begin + 3], np.arange(5)[begin : begin + 3]


def test_features_of_other_batches() -> None:
    net = models.resnet20().freeze(until="fc")
    _, (made, labels) = cached(net, Batches())
    np.testing.assert_array_equal(labels, [3, 4, 0, 1, 2])
    _, (expected, _) = cached(net, (ALL[:3], labels[2:]))
    np.testing.assert_allclose(made[2:], expected, rtol=1e-6)


def test_pictures_must_not_be_augmented() -> None:
    loader = Loader((ALL, np.arange(5)), 2, transform=random_shift)
    with pytest.raises(ValueError, match=r"cached: .*random numbers \(transform=random_shift\)"):
        cached(models.resnet20().freeze(until="fc"), loader)


def test_training_on_features_is_training_the_network() -> None:
    x, y = images(16), np.arange(16) % 2
    options: Any = {"epochs": 2, "batch_size": 8, "lr": 0.1, "seed": 0, "progress": False}
    histories, nets = [], []
    for caches in (False, True):
        fastconv.manual_seed(0)
        net = models.resnet20(2).freeze(until="layer3.2")
        histories.append(fit(net, (x, y), (x[:9], y[:9]), cache_features=caches, **options))
        nets.append(net)
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-4)
    assert histories[0].accuracy == histories[1].accuracy
    for (name, one), other in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-3, atol=1e-4, err_msg=name)


def test_checkpoints_hold_the_whole_network(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    x, y = images(8), np.arange(8) % 2
    path = tmp_path / "run.safetensors"
    options: Any = {"batch_size": 4, "lr": 0.1, "seed": 0, "progress": False, "checkpoint": path}
    net = models.resnet20(2).freeze(until="fc")
    fit(net, (x, y), epochs=2, cache_features=True, **options)
    saved = load_checkpoint(path).weights
    assert saved.keys() == net.state_dict().keys()
    again = models.resnet20(2).freeze(until="fc")
    history = fit(again, (x, y), epochs=2, cache_features=True, resume=True, **options)
    assert history.steps == 4
    np.testing.assert_array_equal(again.fc.weight.data, net.fc.weight.data)
    np.testing.assert_array_equal(again.conv1.weight.data, net.conv1.weight.data)


def test_mistakes() -> None:
    net = models.resnet20().freeze(until="fc")
    with pytest.raises(ValueError, match=r"one label for each .* \(images=6, labels=\(5,\)\)"):
        cached(net, (images(), np.zeros(5, int)))
    with pytest.raises(ValueError, match=r"random numbers \(transform=random_shift\)"):
        fit(net, (ALL, np.arange(5)), augment=random_shift, cache_features=True)
    with pytest.raises(TypeError, match=r"fit: cache_features .*\(train=Batches\)"):
        fit(net, Batches(), cache_features=True)
