"""What tracing records, and what it refuses: errors that name the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import Apply, check, pictures
from fastconv import models, nn
from fastconv.autograd import Function, ops
from fastconv.compiler.trace import trace


def test_nodes_carry_layers() -> None:
    graph = trace(models.get("resnet18"), (1, 3, 64, 64))
    layers = [node.layer for node in graph.nodes]
    assert layers[:4] == ["conv1", "bn1", "bn1", "maxpool"]
    assert "layer2.0.downsample.0" in layers
    assert layers[-1] == "fc"
    assert graph.input.shape == (1, 3, 64, 64)
    assert graph.output.shape == (1, 1000)


def test_the_network_is_left_as_it_was() -> None:
    net = models.lenet5()
    net.conv1.eval()
    before = {path: dict(vars(module)) for path, module in net.named_modules()}
    fastconv.compile(net)
    after = {path: dict(vars(module)) for path, module in net.named_modules()}
    assert before == after
    assert net.training and not net.conv1.training


def test_control_flow_that_does_not_depend_on_values() -> None:
    def forward(self: Any, x: Any) -> Any:
        for _ in range(3 if x.shape[2] > 4 else 1):
            x = self.conv(x)
        return x

    net = Apply(forward, conv=nn.Conv2d(2, 2, 3, padding=1))
    assert len(trace(net, (1, 2, 8, 8)).nodes) == 3
    assert len(trace(net, (1, 2, 4, 8)).nodes) == 1
    check(net, (2, 2, 8, 8))


@pytest.mark.parametrize(
    "function", [lambda x: x[:1], lambda x: x.reshape(1, -1), lambda x: x + float(len(x) > 1)]
)
def test_what_fits_one_batch_only(function: Callable[[Any], Any]) -> None:
    compiled = check(Apply(lambda self, x: ops.relu(function(x))), (1, 3, 4, 5))
    message = (
        r"compile: x must have the compiled batch; a layer depends on it \(expected=1, batch=2"
    )
    with pytest.raises(ValueError, match=message):
        compiled(np.zeros((2, 3, 4, 5), np.float32))


def test_constants_are_computed_at_once() -> None:
    table = np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4, 1, 1)
    net = Apply(lambda self, x: self.conv(x) + ops.relu(table), conv=nn.Conv2d(3, 4, 1))
    assert [node.op for node in trace(net, (1, 3, 5, 5)).nodes] == ["conv2d", "arithmetic"]
    check(net, (1, 3, 5, 5))


@pytest.mark.parametrize(
    "arithmetic",
    [
        lambda x: x * 2 + 1,
        lambda x: 3 - x,
        lambda x: 2 * x - 0.5,
        lambda x: -x / 4,
        lambda x: x + np.arange(3, dtype=np.float32).reshape(3, 1, 1),
        lambda x: np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1, 1) - x,
        lambda x: (x - x / 2) + x,
        lambda x: x * x,
        lambda x: x / (x * x + 1) - (x + 3) * x,
        lambda x: 1 / (x * x + 1),
        lambda x: x + np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 4, 5),
        lambda x: np.linspace(-1, 1, 4, dtype=np.float32).reshape(4, 1) - x,
        lambda x: x / np.arange(1, 6, dtype=np.float32),
        lambda x: x * x.mean((2, 3), keepdim=True),
        lambda x: x.mean((2, 3), keepdim=True) - x,
        lambda x: x[:, :1] + x[:, :, :1] * x[:, :, :, 1:2],
        lambda x: x[:, :1, :1, :1] + np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3),
        lambda x: x.reshape(len(x), 15, 4) * x.reshape(len(x), 15, 4).mean(1, keepdim=True),
    ],
)
def test_arithmetic(arithmetic: Callable[[Any], Any]) -> None:
    check(Apply(lambda self, x: arithmetic(x)), (2, 3, 4, 5))


@pytest.mark.parametrize(
    "moving",
    [
        lambda x: ops.permute(x, (0, 2, 3, 1)),
        lambda x: ops.permute(x, (0, 3, 1, 2)),
        lambda x: ops.permute(x, (0, 1, 3, 2)),
        lambda x: ops.permute(x.reshape(len(x), 6, 20), (0, 2, 1)),
        # A channel shuffle.
        lambda x: ops.permute(x.reshape(len(x), 2, 3, 4, 5), (0, 2, 1, 3, 4)).reshape(x.shape),
        lambda x: x[:, :, 1:, ::2],
        lambda x: x[:, 1::2, :3],
        lambda x: x[..., 4:],
        lambda x: x[:, np.array([5, 0, 3, 3, -1])],
        lambda x: x.reshape(len(x), -1)[:, np.random.default_rng(0).permutation(120)],
        lambda x: x.reshape(len(x), 6, 20)[..., np.arange(0, 20, 3)],
        lambda x: x.reshape(len(x), 6, 20)[:, 1:5, 3::4],
        lambda x: x[:, 2:5] + ops.relu(x[:, :3]),
        lambda x: ops.concat([x[:, :, ::2], x[:, :, 1::2]], 1),
    ],
)
def test_moving_elements(moving: Callable[[Any], Any]) -> None:
    check(Apply(lambda self, x: moving(x)), (2, 6, 4, 5))
    conv = nn.Conv2d(3, 6, 3, padding=1)
    check(Apply(lambda self, x: ops.tanh(moving(self.conv(x))), conv=conv), (1, 3, 4, 5))


@pytest.mark.parametrize("axes", [1, 2, 3, -1, (2, 3), (1, 3), (1, 2), (1, 2, 3)])
@pytest.mark.parametrize("keepdim", [True, False])
def test_sums_and_means(axes: Any, keepdim: bool) -> None:
    net = Apply(lambda self, x: ops.relu(x).mean(axes, keepdim), relu=nn.ReLU())
    check(net, (2, 3, 4, 5))
    check(Apply(lambda self, x: ops.relu(x).sum(axes, keepdim)), (2, 3, 4, 5))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(6, 4, 3),
        nn.ConvTranspose2d(6, 4, 1, bias=False),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2),
        nn.ConvTranspose2d(6, 4, 2, stride=3, padding=((2, 1), (0, 3)), output_padding=2),
        nn.ConvTranspose2d(6, 4, (1, 3), stride=(1, 2), dilation=(1, 2)),
    ],
    ids=repr,
)
def test_transposed_convolutions(layer: nn.Module) -> None:
    check(nn.Sequential(layer, nn.ReLU()), (2, 6, 4, 5))


def test_linear_on_more_than_rows() -> None:
    check(nn.Linear(5, 7), (2, 3, 4, 5))
    check(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Linear(5, 4), nn.ReLU()), (2, 3, 4, 5))
    net = nn.Sequential(nn.Reshape(0, 2, 3, 2, 5), nn.Linear(5, 4))
    check(net, (2, 3, 4, 5))


def test_products_with_constant_matrices() -> None:
    left, right = pictures(6, 4, seed=1), pictures(5, 3, seed=2)

    class Between(Function):
        @staticmethod
        def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
            product: np.ndarray = np.matmul(np.matmul(left, x), right)
            return product

    check(Apply(lambda self, x: ops.relu(Between.apply(x))), (2, 3, 4, 5))


CANNOT: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: x if x.data.max() > 0 else -x, r"needs the values of its input \(max\)"),
    (lambda x: x if x.mean() > 0 else -x, r"takes the mean over axes None"),
    (lambda x: x if bool(x) else -x, r"needs the values of its input \(__bool__\)"),
    (lambda x: x * float(x.data[0, 0, 0, 0]), r"indexes with \(0, 0, 0, 0\)"),
    (lambda x: np.maximum(x.data, 0), r"uses np.maximum"),
    (lambda x: np.concatenate([x.data, x.data]), r"uses np.concatenate"),
    (lambda x: x.data.T, r"needs the values of its input \(T\)"),
    (lambda x: x * np.asarray(x).mean(), r"computes with values outside fastconv's operations"),
    (lambda x: x * x.reshape(1, -1), r"np.multiply on results of different numbers of axes"),
    (lambda x: x + np.array(["a"]), r"uses np.add on <U1, which is no number"),
    (lambda x: x[:0], r"indexes with slice\(None, 0, None\)"),
    (lambda x: x[:, ::-1], r"indexes with \(slice"),
    (lambda x: x[:, :, np.arange(2)], r"indexes with \(slice"),
    (lambda x: x[:, np.arange(4) > 1], r"indexes by other than the numbers of channels"),
    (lambda x: x[:, np.arange(2), 1:], r"indexes by other than the numbers of channels"),
    (lambda x: x[:, 1], r"indexes with \(slice"),
    (lambda x: ops.permute(x, (1, 0, 2, 3)), r"moves the first axis, the batch"),
    (lambda x: ops.permute(x, (0, 1, 2)), r"does not fit its input: permute: dims must name every"),
    (lambda x: x.mean((1, 4)), r"does not fit its input: mean: axes must be axes of x"),
    (lambda x: x.sum((0, 1)), r"takes the sum over axes \(0, 1\)"),
    (lambda x: x.reshape(-1), r"changes the first axis, the batch"),
    (lambda x: ops.concat([x, x], 0), r"changes the first axis, the batch"),
    (lambda x: ops.softmax(x, 0), r"takes the softmax over the batch"),
    (lambda x: np.matmul(x.data, x.data), r"uses np.matmul on other than one matrix of constants"),
    (lambda x: ops.conv2d(x, x), r"computes its weight from its input"),
    (lambda x: ops.batch_norm_training(x)[0], r"normalises by the statistics of its batch"),
    (lambda x: ops.cross_entropy(x, np.zeros(1, np.int64)), r"uses cross_entropy"),
]


@pytest.mark.parametrize("function, message", CANNOT)
def test_what_cannot_be_compiled(function: Callable[[Any], Any], message: str) -> None:
    inner = Apply(lambda self, x: function(self.conv(x)), conv=nn.Conv2d(3, 4, 3, padding=1))
    net = nn.Sequential(nn.ReLU(), nn.Sequential(inner))
    with pytest.raises(ValueError, match=rf"^compile: 1\.0 \(Apply\) .*{message}"):
        fastconv.compile(net, (3, 8, 8))
    assert net.training


def test_layers_that_do_not_fit() -> None:
    net = nn.Sequential(a=nn.Conv2d(3, 4, 3), b=nn.Sequential(nn.Conv2d(3, 4, 3)))
    message = r"^compile: b\.0 \(Conv2d\) does not fit its input: conv2d: weight must take the chan"
    with pytest.raises(ValueError, match=message):
        fastconv.compile(net, (3, 9, 9))
    message = r"^compile: conv3 \(Conv2d\) does not fit its input: conv2d: the window must fit"
    with pytest.raises(ValueError, match=message):
        fastconv.compile(models.lenet5(), (1, 20, 20))
    message = r"^compile: conv1 \(Conv2d\) cannot be traced: weight must be a float32 array"
    with pytest.raises(TypeError, match=message):
        fastconv.compile(models.lenet5().astype(np.float64))


def test_results_that_are_not_one_tensor() -> None:
    with pytest.raises(TypeError, match=r"compile: Apply must return one tensor \(type=tuple\)"):
        fastconv.compile(Apply(lambda self, x: (x, x)), (3, 8, 8))
    with pytest.raises(ValueError, match=r"compile: the output of Apply does not depend on"):
        fastconv.compile(Apply(lambda self, x: fastconv.tensor([[1.0]])), (3, 8, 8))


def test_errors_of_other_kinds_come_through() -> None:
    def forward(self: Any, x: Any) -> Any:
        raise KeyError("mine")

    net = Apply(forward)
    with pytest.raises(KeyError, match="mine"):
        fastconv.compile(net, (3, 8, 8))
    assert net.training
