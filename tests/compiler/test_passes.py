"""Passes, by the steps that are left and by the numbers that come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.networks import Apply, check, graph_of, randomise, steps
from fastconv import models, nn
from fastconv.autograd import ops
from fastconv.compiler.passes import PASSES
from fastconv.compiler.trace import trace


def build(name: str, **options: Any) -> nn.Module:
    with nn.init.skip_init():
        return randomise(models.get(name, **options))


def test_passes_leave_their_graph_alone() -> None:
    graph = trace(build("googlenet", variant="torchvision"), (1, 3, 64, 64))
    for run in PASSES:
        nodes = graph.nodes
        after = run(graph)
        assert graph.nodes is nodes
        graph = after


def test_resnet_is_convolutions_and_little_else() -> None:
    for name, count in (("resnet18", 20), ("resnet50", 53), ("resnet152", 155)):
        wanted = {"conv2d": count, "max_pool2d": 1, "adaptive_avg_pool2d": 1, "linear": 1}
        assert steps(build(name), (1, 3, 64, 64)) == wanted


def test_googlenet_copies_nothing() -> None:
    # Of 57 convolutions, the heads of three branches are one in each of nine modules.
    wanted = {"conv2d": 57 - 18, "max_pool2d": 13, "adaptive_avg_pool2d": 1, "linear": 1}
    assert steps(build("googlenet"), (1, 3, 64, 64)) == wanted | {"local_response_norm": 2}
    net = build("googlenet", variant="torchvision", transform_input=True)
    assert steps(net, (1, 3, 64, 64)) == wanted | {"affine": 1}


def test_vgg_at_its_own_size_has_no_adaptive_pooling() -> None:
    net = build("vgg11_bn")
    assert steps(net, (1, 3, 224, 224)) == {
        "conv2d_max_pool2d": 1,
        "conv2d": 7,
        "max_pool2d": 4,
        "to_nchw": 1,
        "linear": 3,
    }
    assert steps(net, (1, 3, 64, 64))["adaptive_avg_pool2d"] == 1


def test_dropout_identities_and_dead_layers_are_dropped() -> None:
    def forward(self: Any, x: Any) -> Any:
        self.dead(x)
        return ops.dropout(self.last(ops.pad(ops.to_contiguous(x), 0)[:, :]))

    parts = {"dead": nn.Conv2d(3, 3, 1), "last": nn.Sequential(nn.Identity(), nn.ReLU())}
    net = Apply(forward, **parts)
    assert steps(net, (1, 3, 4, 4)) == {"activation": 1}
    # And one dropout that only inference leaves out.
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(), nn.ReLU(), nn.AdaptiveAvgPool2d(4))
    assert steps(net, (1, 3, 4, 4)) == {"conv2d": 1}
    check(net, (1, 3, 4, 4))


@pytest.mark.parametrize("groups, bias", [(1, False), (2, True), (4, True)])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.1), nn.ReLU6(), nn.Clip(-1, 1)])
def test_batch_norm_and_activation_fold_into_convolutions(
    groups: int, bias: bool, activation: Any
) -> None:
    conv = nn.Conv2d(4, 8, 3, groups=groups, bias=bias)
    net = nn.Sequential(conv, nn.BatchNorm2d(8), activation)
    assert steps(net, (2, 4, 7, 6)) == {"conv2d": 1}
    check(net, (2, 4, 7, 6))


def test_what_is_read_twice_is_not_folded() -> None:
    parts = {"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4)}

    def forward(self: Any, x: Any) -> Any:
        x = self.conv(x)
        return self.norm(x) + x

    net = Apply(forward, **parts)
    assert steps(net, (1, 3, 6, 6)) == {"conv2d": 1, "affine": 1, "add": 1}
    check(net, (2, 3, 6, 6))


def test_affines_alone_become_one() -> None:
    net = nn.Sequential(nn.BatchNorm2d(5), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2))
    assert steps(net, (2, 5, 6, 7)) == {"affine": 1, "max_pool2d": 1}
    check(net, (2, 5, 6, 7))


def test_linear_layers_fold_too() -> None:
    scale = np.linspace(0.5, 2, 7, dtype=np.float32)
    net = Apply(lambda self, x: ops.relu(self.fc(x) * scale + 1), fc=nn.Linear(9, 7))
    assert steps(net, (3, 9)) == {"linear": 1}
    check(net, (3, 9))


def test_padding_folds_into_convolutions_if_it_is_zero() -> None:
    net = nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(3, 4, 3, padding=1))
    assert steps(net, (1, 3, 6, 6)) == {"conv2d": 1}
    check(net, (2, 3, 6, 6))
    net = Apply(lambda self, x: self.conv(ops.pad(x, 1, 2.5)), conv=nn.Conv2d(3, 4, 3))
    assert steps(net, (1, 3, 6, 6)) == {"conv2d": 1, "pad": 1}
    check(net, (2, 3, 6, 6))


def residual(order: str, activation: Any = "relu") -> nn.Module:
    def forward(self: Any, x: Any) -> Any:
        if order == "shortcut first":
            y = self.shortcut(x)
            z = self.conv(x)
        else:
            z = self.conv(x)
            y = self.shortcut(x)
        return ops.add(z, y, activation=activation)

    norm = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5))
    return Apply(forward, conv=norm, shortcut=nn.Conv2d(3, 5, 1))


@pytest.mark.parametrize("order", ["shortcut first", "shortcut last"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_last_convolution_adds(order: str, activation: Any) -> None:
    net = residual(order, activation)
    nodes = graph_of(net, (1, 3, 6, 6)).nodes
    assert [len(node.inputs) for node in nodes] == [1, 2]
    last = nodes[-1]["weight"].shape
    assert last == ((5, 3, 3, 3) if order == "shortcut first" else (5, 3, 1, 1))
    check(net, (2, 3, 6, 6))


def test_additions_without_convolutions_stay() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = ops.max_pool2d(x, 3, 1, 1)
        return ops.add(y, ops.avg_pool2d(x, 3, 1, 1), activation="relu") + y

    assert steps(Apply(forward), (1, 3, 6, 6)) == {"max_pool2d": 1, "avg_pool2d": 1, "add": 2}
    check(Apply(forward), (2, 3, 6, 6))


def test_adding_a_result_to_itself() -> None:
    net = Apply(lambda self, x: self.conv(x) + self.conv(x), conv=nn.Conv2d(3, 4, 1))
    check(net, (1, 3, 4, 4))

    def twice(self: Any, x: Any) -> Any:
        x = self.conv(x)
        return x + x

    net = Apply(twice, conv=nn.Conv2d(3, 4, 1))
    assert steps(net, (1, 3, 4, 4)) == {"conv2d": 1, "add": 1}
    check(net, (1, 3, 4, 4))


def test_flattening_small_maps_reorders_weights() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(4 * 4 * 5, 6))
    assert steps(net, (1, 3, 6, 7)) == {"conv2d": 1, "activation": 1, "linear": 1}
    check(net, (2, 3, 6, 7))


def test_flattening_for_others_moves_elements() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Softmax(1))
    assert steps(net, (1, 3, 6, 7)) == {"conv2d": 1, "to_nchw": 1, "softmax": 1}
    check(net, (2, 3, 6, 7))


@pytest.mark.parametrize(
    "shapes",
    [((4, 3, 5), (60,)), ((4, 3, 5), (12, 5)), ((60,), (4, 3, 5)), ((4, 3, 5), (2, 6, 5))],
)
def test_reshapes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    before, after = shapes
    net = Apply(lambda self, x: x.reshape(x.shape[0], *before).reshape(x.shape[0], *after))
    check(net, (2, 60))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_softmax_along_every_axis(dim: int) -> None:
    check(nn.Sequential(nn.Softmax(dim), nn.LogSoftmax(dim)), (2, 5, 3, 4))


def test_every_other_layer() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=(2, 1), padding=((0, 1), (2, 0)), dilation=(1, 2)),
        nn.PReLU(8),
        nn.LocalResponseNorm(5, alpha=0.3),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.PReLU(),
        nn.Sigmoid(),
        nn.MaxPool2d(2, 1, dilation=2, ceil_mode="caffe"),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(2),
        nn.Linear(6, 5),
        nn.Flatten(),
        nn.Linear(40, 4),
        nn.LogSoftmax(),
    )
    assert steps(net, (2, 3, 17, 16))["linear"] == 2
    check(net, (2, 3, 17, 16))


def test_means_and_matrix_products() -> None:
    weight = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)

    def forward(self: Any, x: Any) -> Any:
        return self.conv(x).mean((2, 3)) @ weight

    net = Apply(forward, conv=nn.Conv2d(3, 4, 3))
    assert steps(net, (1, 3, 6, 6)) == {"conv2d": 1, "adaptive_avg_pool2d": 1, "linear": 1}
    check(net, (2, 3, 6, 6))
