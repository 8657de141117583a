"""Groups of steps that run on a few pictures at a time: same bits, less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import graph_of, randomise
from fastconv import models, nn
from fastconv.compiler import compiled, groups
from fastconv.compiler.groups import Group, find_groups, schedule


class Residual(nn.Module):
    """A stem, a block that adds what it read, branches that are joined, and a head."""

    def __init__(self) -> None:
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.one = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.left = nn.Conv2d(16, 8, 1)
        self.right = nn.Conv2d(16, 24, 5, padding=2)
        self.response = nn.LocalResponseNorm(5)
        self.pool = nn.MaxPool2d(2)
        self.late = nn.Conv2d(32, 16, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = nn.ReLU()(self.stem(x))
        x = nn.ReLU()(self.norm(self.one(x)) + x)
        x = nn.Concat()(self.left(x), self.right(x))
        x = self.late(self.pool(self.response(x)))
        return self.head(nn.Flatten()(nn.AdaptiveAvgPool2d(1)(x)))


@pytest.mark.parametrize("batch", [1, 5, 7])
@pytest.mark.parametrize("parts", [((0, 4, 1),), ((0, 9, 2),), ((1, 3, 3), (4, 10, 2))])
def test_any_groups_give_the_same_bits(monkeypatch, batch, parts):
    net = randomise(Residual())
    x = np.random.default_rng(1).standard_normal((batch, 3, 22, 18)).astype(np.float32)
    expected = fastconv.compile(net, x.shape)(x)
    count = len(graph_of(net, x.shape).nodes)
    forced = tuple(Group(a, min(b, count), n) for a, b, n in parts)
    monkeypatch.setattr(compiled, "find_groups", lambda graph, threads: forced)
    grouped = fastconv.compile(net, x.shape)
    assert grouped._plan.groups == forced
    for _ in range(2):
        np.testing.assert_array_equal(grouped(x), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch, parts", [(2, (0, 13, 2)), (7, (0, 5, 2)), (9, (2, 13, 3))])
def test_threads_that_take_turns_give_the_same_bits(monkeypatch, threads, batch, parts):
    net = randomise(Residual())
    x = np.random.default_rng(1).standard_normal((batch, 3, 22, 18)).astype(np.float32)
    monkeypatch.setattr(compiled, "find_groups", lambda graph, threads: ())
    expected = fastconv.compile(net, x.shape, threads=1)(x)
    first, end, pictures = parts
    end = min(end, len(graph_of(net, x.shape).nodes))
    forced = (Group(first, end, pictures, side_by_side=True),)
    monkeypatch.setattr(compiled, "find_groups", lambda graph, threads: forced)
    network = fastconv.compile(net, x.shape, threads=threads)
    for _ in range(3):
        np.testing.assert_array_equal(network(x), expected)
    assert network._plan.turn_floats > 0
    assert {step.layer for step in network.profile(x, 1).steps} >= {"stem", "late", "head"}


@pytest.mark.parametrize("batch", [4, 18, 64])
def test_threads_share_the_pictures_of_a_small_network(monkeypatch, batch):
    net = randomise(models.lenet5())
    x = np.random.default_rng(2).standard_normal((batch, 1, 28, 28)).astype(np.float32)
    networks = [fastconv.compile(net, x.shape, threads=n) for n in (1, 2, 3)]
    assert not networks[0]._plan.groups
    (group,) = networks[1]._plan.groups
    assert group.side_by_side and group.end == len(networks[1]._graph.nodes)
    for network in networks[1:]:
        np.testing.assert_array_equal(network(x), networks[0](x))


def test_turns_are_even_and_of_two_pictures_or_more(monkeypatch):
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10)).eval()

    def turns(batch: int, threads: int) -> list[int]:
        graph = graph_of(net, (batch, 1, 8, 8))
        groups = find_groups(graph, threads)
        return [count for node, _, count in schedule(graph, groups) if node is graph.nodes[0]]

    assert turns(64, 2) == [32, 32]
    assert turns(64, 1) == [64]
    assert turns(3, 2) == [3]
    assert turns(5, 2) == [5]  # 3 and 2 would leave a thread idle for a sixth of the time
    assert turns(64, 3) == [22, 21, 21]
    assert turns(64, 64) == [64]
    monkeypatch.setattr(groups, "_NEAR_BYTES", 4 * (36 * 8 * 11 + 10))  # the weights just fit
    assert turns(64, 2) == [4] * 16
    monkeypatch.setattr(groups, "_NEAR_BYTES", 4 * 50)
    assert find_groups(graph_of(net, (64, 1, 8, 8)), 2) == ()


def test_early_layers_are_grouped_and_take_less_memory(monkeypatch):
    net = randomise(models.resnet18(num_classes=10))
    x = np.random.default_rng(1).standard_normal((6, 3, 224, 224)).astype(np.float32)
    grouped = fastconv.compile(net, x.shape, threads=1)
    (group,) = grouped._plan.groups
    assert group.first == 0 and group.pictures == 1
    monkeypatch.setattr(compiled, "find_groups", lambda graph, threads: ())
    plain = fastconv.compile(net, x.shape, threads=1)
    assert grouped.arena_bytes < 0.5 * plain.arena_bytes
    np.testing.assert_array_equal(grouped(x), plain(x))
    # Every layer is timed once, however often it runs.
    timed = [[s.layer for s in c.profile(x, 1).steps if s.layer] for c in (grouped, plain)]
    assert timed[0] == timed[1]


def test_a_group_ends_where_weights_outweigh_a_picture(monkeypatch):
    monkeypatch.setattr(groups, "_CACHE_BYTES", 4 * 32 * 32 * (8 + 16))
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(8, 16, 3, padding=1),  # the widest: 24 channels
        nn.MaxPool2d(8),
        nn.Conv2d(16, 64, 3, padding=1),  # 9,280 weights, 1,280 floats of a picture
    )
    graph = graph_of(net.eval(), (10, 3, 32, 32))
    assert find_groups(graph, 1) == (Group(0, 3, 1),)
    assert find_groups(graph, 3) == (Group(0, 3, 3),)  # 10 pictures in 4 turns
    assert find_groups(graph, 10) == ()


def test_a_schedule_runs_a_group_once_for_every_few_pictures():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    graph = graph_of(net.eval(), (5, 3, 4, 4))
    runs = [(graph.nodes.index(node), *some) for node, *some in schedule(graph, (Group(0, 2, 2),))]
    assert runs[:6] == [(0, 0, 2), (1, 0, 2), (0, 2, 2), (1, 2, 2), (0, 4, 1), (1, 4, 1)]
    assert [some for _, *some in runs[6:]] == [[0, 5]] * (len(graph.nodes) - 2)
