"""Parameter groups: what decays, and what learns at its own rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn, optim


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.PReLU(),
        nn.Flatten(),
        nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3, bias=False)),
    )


def names(net: nn.Module, groups: list[dict[str, Any]]) -> list[list[str]]:
    by_id = {id(p): name for name, p in net.named_parameters()}
    return [[by_id[id(p)] for p in group["params"]] for group in groups]


def test_only_weights_decay() -> None:
    net = network()
    groups = optim.decay_groups(net, 0.1)
    assert names(net, groups) == [
        ["0.weight", "4.0.weight", "4.1.weight"],
        ["0.bias", "1.weight", "1.bias", "2.weight", "4.0.bias"],
    ]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    optimizer = optim.SGD(groups, lr=1.0)
    before = {name: p.data.copy() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = np.zeros(p.shape, np.float32)
    optimizer.step()
    for name, p in net.named_parameters():
        factor = 0.9 if p.ndim > 1 else 1.0
        np.testing.assert_allclose(p.data, factor * before[name], rtol=1e-6)


def test_parameters_and_groups_are_split_too() -> None:
    net = network()
    assert names(net, optim.decay_groups(net[1].parameters(), 0.1)) == [["1.weight", "1.bias"]]
    groups = optim.decay_groups(
        [{"params": net[0].parameters(), "lr": 0.5}, {"params": net[2].weight}], 0.1
    )
    assert names(net, groups) == [["0.weight"], ["0.bias"], ["2.weight"]]
    assert [group.get("lr") for group in groups] == [0.5, 0.5, None]


def test_rates_of_layers() -> None:
    net = network()
    groups = optim.layer_groups(net, {"4": 0.1, "4.0.bias": 0.2, "0": 0.3}, lr=0.01)
    assert names(net, groups) == [
        ["4.0.weight", "4.1.weight"],
        ["4.0.bias"],
        ["0.weight", "0.bias"],
        ["1.weight", "1.bias", "2.weight"],
    ]
    assert [group["lr"] for group in groups] == [0.1, 0.2, 0.3, 0.01]
    optimizer = optim.SGD(optim.layer_groups(net, {"4": 0.1}), lr=0.7)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.7]


def test_names_end_at_dots_and_empty_groups_are_left_out() -> None:
    net = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(11)))
    groups = optim.layer_groups(net, {"1": 0.1}, lr=1.0)
    assert names(net, groups)[0] == ["1.weight"]
    groups = optim.layer_groups(net, {"1": 0.1, "1.weight": 0.2})
    assert names(net, groups)[0] == ["1.weight"] and groups[0]["lr"] == 0.2


def test_rates_and_decay() -> None:
    net = network()
    groups = optim.decay_groups(optim.layer_groups(net, {"4": 0.1}, lr=0.01), 5e-4)
    optimizer = optim.AdamW(groups)
    options = [(len(g["params"]), g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert options == [(2, 0.1, 5e-4), (1, 0.1, 0.0), (1, 0.01, 5e-4), (4, 0.01, 0.0)]


def test_unknown_names() -> None:
    message = r"layer_groups: .* \(unknown=\['fc', '4.0.w'\], layers=\['0', '1', '2', '3', '4'\]\)"
    with pytest.raises(ValueError, match=message):
        optim.layer_groups(network(), {"4": 1.0, "fc": 0.1, "4.0.w": 0.1})
