"""The memory plan: what may share memory does, and what is read again stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.networks import check, graph_of
from fastconv import models, nn
from fastconv.compiler.plan import plan_memory


def test_a_residual_read_for_the_last_time_gives_its_place_to_the_result() -> None:
    graph = graph_of(models.resnet18(), (1, 3, 64, 64))
    places = plan_memory(graph, converts_input=True).places
    shared = [
        places[node.inputs[1]] == places[node.output]
        for node in graph.nodes
        if node.op == "conv2d" and len(node.inputs) > 1
    ]
    assert shared == [True] * 8


class _ReadAgain(nn.Module):
    """conv(x) + y, where y is needed once more afterwards."""

    def __init__(self) -> None:
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Any) -> Any:
        y = self.first(x)
        return self.second(y) + y + y


def test_a_residual_that_is_read_again_stays() -> None:
    check(_ReadAgain(), (2, 3, 9, 9))


def test_many_blocks_of_k_keep_the_residual() -> None:
    # 1,200 channels of 3x3 are several blocks of k on any cache.
    net = nn.Sequential(nn.Conv2d(3, 1200, 1), _Residual(1200))
    check(net, (1, 3, 5, 5))


def test_a_residual_that_the_convolution_reads_as_well_stays() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(3, 8, 1), _Residual(8)), (1, 3, 9, 9))
    places = plan_memory(graph, converts_input=True).places
    (node,) = (node for node in graph.nodes if len(node.inputs) > 1)
    assert node.inputs[0] is node.inputs[1]
    x, y = places[node.inputs[0]], places[node.output]
    assert x.memory != y.memory or x.offset != y.offset


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.normal_(self.conv.weight, 0.0, 1 / np.sqrt(9 * channels))

    def forward(self, x: Any) -> Any:
        return self.conv(x) + x


def test_pixels_that_would_share_cache_sets_are_spaced() -> None:
    # The second convolution adds its input back, so that the two results are spaced alike.
    net = nn.Sequential(nn.Conv2d(3, 1024, 1), _Residual(1024), nn.Conv2d(1024, 8, 1))
    graph = graph_of(net, (1, 3, 6, 5))
    places = plan_memory(graph, converts_input=True).places
    assert [places[node.output].pixel for node in graph.nodes] == [1040, 1040, 8]
    check(net, (2, 3, 6, 5))


def test_pixels_that_a_step_needs_dense_are_not_spaced() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1024, 1), nn.Sigmoid(), nn.Conv2d(1024, 1024, 1))
    graph = graph_of(net, (1, 3, 6, 5))
    places = plan_memory(graph, converts_input=True).places
    assert {places[node.output].pixel for node in graph.nodes} == {1024}
    check(net, (1, 3, 6, 5))
