"""Replacing the classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, no_grad, use_backend


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("lenet5", {}, "fc2"),
        ("alexnet", {}, "fc8"),
        ("alexnet", {"variant": "torchvision"}, "classifier.6"),
        ("vgg11", {}, "classifier.6"),
        ("googlenet", {}, "fc"),
        ("resnet18", {}, "fc"),
        ("resnet20", {}, "fc"),
    ],
)
def test_the_last_linear_is_replaced(name: str, options: Any, head: str) -> None:
    with nn.init.skip_init():
        net = models.get(name, **options)
    before = net.state_dict()
    assert net.replace_head(7) is net
    after = net.state_dict()
    assert list(after) == list(before)  # the order of definition, too
    changed = {key for key in before if after[key] is not before[key]}
    assert changed == {f"{head}.weight", f"{head}.bias"}
    assert after[f"{head}.weight"].any()
    with use_backend("shapes"), no_grad():
        assert net.eval()(np.zeros((2, *net.input_shape), np.float32)).shape == (2, 7)


def test_auxiliary_heads_are_replaced_too() -> None:
    with nn.init.skip_init():
        net = models.googlenet(aux_logits=True).replace_head(3)
    with use_backend("shapes"), no_grad():
        out = net(np.zeros((2, 3, 224, 224), np.float32))
    assert [head.shape for head in out] == [(2, 3)] * 3


def test_a_new_head_learns_in_a_frozen_network() -> None:
    net = models.resnet20().freeze().replace_head(2)
    learning = [name for name, p in net.named_parameters() if p.requires_grad]
    assert learning == ["fc.weight", "fc.bias"]
    assert not net.fc.frozen and not net.frozen and net.layer1.frozen


def test_it_is_drawn_as_a_linear_layer() -> None:
    net = nn.Sequential(nn.Linear(8, 5, bias=False)).astype(np.float64).eval()
    fastconv.manual_seed(3)
    net.replace_head(4)
    fastconv.manual_seed(3)
    expected = nn.Linear(8, 4, bias=False).weight.data
    np.testing.assert_array_equal(net[0].weight.data, expected)
    assert net[0].bias is None
    assert net[0].weight.dtype == np.float64
    assert not net[0].training


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"replace_head: .* \(net=Sequential\)"):
        nn.Sequential(nn.ReLU()).replace_head(2)
    with pytest.raises(ValueError, match=r"replace_head: .* \(net=Linear\)"):
        nn.Linear(2, 2).replace_head(2)
    with pytest.raises(ValueError, match=r"replace_head: num_classes .* \(num_classes=0\)"):
        models.lenet5().replace_head(0)
