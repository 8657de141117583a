"""Exporting networks and computing what the files say: what the tests of ONNX files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from compiler.networks import Apply, layered, pictures
from fastconv import nn, zoo
from fastconv.autograd import ops

__all__ = ["LAYERS", "Evaluate", "assert_same_answers", "exported"]

# A file and an input: what the file computes.
Evaluate = Callable[[Path, np.ndarray], np.ndarray]


def exported(net: nn.Module, path: Path, shape: tuple[int, ...], **options: Any) -> Any:
    """Export a network; return the model after ONNX's own checks, shape inference included."""
    zoo.export_onnx(net, path, shape, **options)
    onnx.checker.check_model(str(path), full_check=True)
    return onnx.load(path)


def assert_same_answers(
    evaluate: Evaluate, net: nn.Module, path: Path, shape: tuple[int, ...], **options: Any
) -> Any:
    """Export a network, and compare what the file computes at two batch sizes; return the model."""
    model = exported(net, path, shape, **options)
    for batch in (shape[0], shape[0] + 2):
        x = pictures(batch, *shape[1:], seed=batch)
        expected = layered(net.eval(), x)
        actual = evaluate(path, x)
        assert actual.shape == expected.shape
        spread = np.abs(expected).max()
        assert spread > 0
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * spread)
    return model


def _forward(function: Callable[..., Any], **parts: nn.Module) -> nn.Module:
    return Apply(
        lambda self, x: function(x, **{name: getattr(self, name) for name in parts}), **parts
    )


def _constant(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)


# Networks of one layer, or one operation, and the shapes of their inputs, by what they show.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (lambda: nn.Conv2d(3, 4, 3), (1, 3, 7, 6)),
    "conv without bias": (lambda: nn.Conv2d(3, 4, 1, bias=False), (2, 3, 5, 5)),
    "conv, all options": (
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), ((1, 2), (0, 3)), (1, 2), 2),
        (2, 4, 9, 8),
    ),
    "transposed conv": (lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), (1, 3, 4, 5)),
    "transposed conv, all options": (
        lambda: nn.ConvTranspose2d(
            4, 6, (3, 2), (2, 3), ((1, 0), (0, 2)), (1, 0), 1, False, (1, 2)
        ),
        (2, 4, 5, 4),
    ),
    "transposed conv in groups": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (2, 4, 5, 4)),
    "linear": (lambda: nn.Linear(5, 3), (2, 5)),
    "linear without bias": (lambda: nn.Linear(5, 3, bias=False), (1, 5)),
    "linear of maps": (lambda: nn.Linear(5, 3), (2, 3, 4, 5)),
    "linear of rows, no bias": (
        lambda: nn.Sequential(nn.Reshape(0, 4, 5), nn.Linear(5, 3, bias=False)),
        (2, 20),
    ),
    "matmul": (lambda: _forward(lambda x: x @ _constant(5, 3)), (2, 5)),
    "batch norm": (lambda: nn.BatchNorm2d(4), (2, 4, 5, 3)),
    "batch norm, not affine": (lambda: nn.BatchNorm2d(4, affine=False), (2, 4, 5, 3)),
    "batch norm, large eps": (lambda: nn.BatchNorm2d(4, eps=0.5), (2, 4, 5, 3)),
    "affine": (lambda: nn.Affine(4), (2, 4, 5, 3)),
    "affine without bias": (lambda: nn.Affine(4, bias=False), (2, 4)),
    "lrn": (lambda: nn.LocalResponseNorm(5, 0.3, 0.6, 2.0), (2, 9, 4, 3)),
    "lrn of one": (lambda: nn.LocalResponseNorm(1, 0.3), (2, 2, 4, 3)),
    "relu": (nn.ReLU, (2, 3, 4, 4)),
    "relu6": (nn.ReLU6, (2, 30)),
    "clip below": (lambda: nn.Clip(min=-0.5), (2, 3, 4, 4)),
    "clip above": (lambda: nn.Clip(max=0.5), (2, 3, 4, 4)),
    "leaky relu": (lambda: nn.LeakyReLU(0.2), (2, 3, 4, 4)),
    "prelu": (nn.PReLU, (2, 3, 4, 4)),
    "prelu by channel": (lambda: nn.PReLU(3), (2, 3, 4, 4)),
    "prelu by feature": (lambda: nn.PReLU(3), (2, 3)),
    "sigmoid": (nn.Sigmoid, (2, 3, 4, 4)),
    "tanh": (nn.Tanh, (2, 3, 4, 4)),
    "softmax": (nn.Softmax, (2, 7)),
    "softmax of channels": (nn.Softmax, (2, 7, 3, 2)),
    "softmax of rows": (lambda: nn.Softmax(-1), (2, 7, 3, 2)),
    "log softmax": (nn.LogSoftmax, (2, 7)),
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.5), nn.ReLU()), (2, 7)),
    "identity": (nn.Identity, (2, 7)),
    "flatten": (nn.Flatten, (2, 3, 4, 5)),
    "flatten maps": (lambda: nn.Flatten(2), (2, 3, 4, 5)),
    "reshape": (lambda: nn.Reshape(0, 5, -1), (2, 3, 4, 5)),
    "permute": (lambda: nn.Permute(0, 2, 3, 1), (2, 3, 4, 5)),
    "permute nothing": (lambda: nn.Permute(0, 1, 2, 3), (2, 3, 4, 5)),
    "zero pad": (lambda: nn.ZeroPad2d((1, 2, 3, 0)), (2, 3, 4, 5)),
    "pad with a value": (lambda: _forward(lambda x: ops.pad(x, 1, 2.5)), (2, 3, 4, 5)),
    "concat": (lambda: _forward(lambda x: ops.concat([x, x * 2, x])), (2, 3, 4, 5)),
    "concat columns": (lambda: _forward(lambda x: ops.concat([x, x], 3)), (2, 3, 4, 5)),
    "add with relu": (lambda: _forward(lambda x: ops.add(x, x * 2, "relu")), (2, 3, 4, 5)),
    "slice channels": (lambda: _forward(lambda x: x[:, 1:3]), (2, 4, 4, 5)),
    "channels by number": (
        lambda: _forward(lambda x: ops.index(x, (slice(None), np.array([2, 0, 0, -1])))),
        (2, 4, 4, 5),
    ),
    "slice maps": (lambda: _forward(lambda x: x[:, :, 1:, ::2]), (2, 3, 4, 5)),
    "numbers": (lambda: _forward(lambda x: 3 - (2 * x + 1) / 4), (2, 3, 4, 5)),
    "negative": (lambda: _forward(lambda x: -x), (2, 3)),
    "divided by a result": (lambda: _forward(lambda x: 1 / (x * x + 1)), (2, 3)),
    "constants": (lambda: _forward(lambda x: x * _constant(3, 1, 1) + _constant(5)), (2, 3, 4, 5)),
    "constant left": (lambda: _forward(lambda x: _constant(4, 5) - x), (2, 3, 4, 5)),
    "two results": (lambda: _forward(lambda x: (x - x * 3) * x / (x * x + 1)), (2, 3, 4, 5)),
    "squeeze and excitation": (
        lambda: _forward(lambda x: x * ops.sigmoid(x.mean((2, 3), keepdim=True))),
        (2, 3, 4, 5),
    ),
    "mean": (lambda: _forward(lambda x: x.mean((2, 3))), (2, 3, 4, 5)),
    "mean of channels": (lambda: _forward(lambda x: x.mean(1, keepdim=True)), (2, 3, 4, 5)),
    "sum": (lambda: _forward(lambda x: x.sum((-1, -2), keepdim=True)), (2, 3, 4, 5)),
    "max pool": (lambda: nn.MaxPool2d(2), (2, 3, 6, 4)),
    "max pool, one side": (lambda: nn.MaxPool2d(3, 2, ((0, 1), (1, 0))), (2, 3, 8, 7)),
    "max pool, ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), (2, 3, 8, 7)),
    "max pool, ceil, padded": (lambda: nn.MaxPool2d(2, 2, 1, ceil_mode=True), (2, 3, 8, 7)),
    "max pool, ceil, far apart": (lambda: nn.MaxPool2d(2, 5, ceil_mode=True), (2, 3, 11, 13)),
    "max pool, ceil, dilated": (
        lambda: nn.MaxPool2d(2, 2, 1, dilation=3, ceil_mode=True),
        (2, 3, 8, 9),
    ),
    "max pool, caffe": (lambda: nn.MaxPool2d(3, 2, ceil_mode="caffe"), (2, 3, 8, 7)),
    "max pool, caffe, padded": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode="caffe"), (2, 3, 8, 7)),
    "avg pool": (lambda: nn.AvgPool2d(3, 2), (2, 3, 8, 7)),
    "avg pool, padded": (lambda: nn.AvgPool2d(3, 2, 1), (2, 3, 8, 7)),
    "avg pool, pad apart": (
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        (2, 3, 8, 7),
    ),
    "avg pool, one side": (lambda: nn.AvgPool2d(3, 2, ((0, 1), (1, 0))), (2, 3, 8, 7)),
    "avg pool, ceil": (lambda: nn.AvgPool2d(3, 2, ceil_mode=True), (2, 3, 8, 7)),
    "avg pool, ceil, padded": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 7)),
    "avg pool, ceil, drops one": (lambda: nn.AvgPool2d(2, 2, 1, ceil_mode=True), (2, 3, 7, 9)),
    "avg pool, ceil, pad apart": (
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        (2, 3, 8, 7),
    ),
    "avg pool, caffe": (lambda: nn.AvgPool2d(3, 2, ceil_mode="caffe"), (2, 3, 8, 7)),
    "avg pool, caffe, padded": (lambda: nn.AvgPool2d(4, 3, 1, ceil_mode="caffe"), (2, 3, 9, 8)),
    "adaptive to one": (lambda: nn.AdaptiveAvgPool2d(1), (2, 3, 8, 7)),
    "adaptive to a divisor": (lambda: nn.AdaptiveAvgPool2d((4, 1)), (2, 3, 8, 7)),
    "adaptive to a column": (lambda: nn.AdaptiveAvgPool2d((None, 1)), (2, 3, 8, 7)),
    "adaptive to others": (lambda: nn.AdaptiveAvgPool2d((3, 5)), (2, 3, 8, 7)),
    "adaptive to more": (lambda: nn.AdaptiveAvgPool2d(7), (2, 3, 2, 3)),
}
