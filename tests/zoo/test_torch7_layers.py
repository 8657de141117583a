"""Torch7's layers, one by one, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

import fastconv
from fastconv import reference
from t7_files import Obj, module
from t7_layers import batch_norm, convolution, load, normal, pool, size


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


A = normal(2, 6, 7, 7)


def _full_average(x: np.ndarray) -> np.ndarray:
    """cuDNN's mean, rounded up: a window that hangs over counts as whole."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 4), (1, 4)))
    out = np.zeros((*x.shape[:2], 4, 4))
    for i in range(4):
        for j in range(4):
            out[:, :, i, j] = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].sum((2, 3)) / 9
    return out


GROUPED, DILATED, SLOPES, MEAN = normal(4, 3, 3, 3), normal(2, 6, 3, 3), normal(6), normal(6)
LAYERS: dict[str, tuple[Obj, Callable[[np.ndarray], Any]]] = {
    "groups": (
        convolution("cudnn.SpatialConvolution", GROUPED, None, 2, 1, groups=2, nInputPlane=6),
        lambda x: reference.conv2d(x, GROUPED, None, 2, 1, 1, 2),
    ),
    "dilated": (
        convolution("nn.SpatialDilatedConvolution", DILATED, None, 1, 0, dilationW=2, dilationH=2),
        lambda x: reference.conv2d(x, DILATED, None, 1, 0, 2),
    ),
    "average over what is there": (
        pool(
            "nn.SpatialAveragePooling", 3, 2, 1, divide=True, ceil_mode=True,
            count_include_pad=False,
        ),
        lambda x: reference.avg_pool2d(x, 3, 2, 1, "caffe", False),
    ),
    "average over all": (
        pool("cudnn.SpatialAveragePooling", 3, 2, 1, ceil_mode=True),
        lambda x: _full_average(x),
    ),
    "inn": (
        pool("inn.SpatialMaxPooling", 2, 2, 0),
        lambda x: reference.max_pool2d(x, 2, 2, 0, 1, True),
    ),
    "adaptive": (
        module("nn.SpatialAdaptiveAveragePooling", W=2, H=3),
        lambda x: reference.adaptive_avg_pool2d(x, (3, 2)),
    ),
    "response": (
        module("inn.SpatialCrossResponseNormalization", size=3, alpha=0.5, beta=0.5, k=1),
        lambda x: reference.local_response_norm(x, 3, 0.5, 0.5, 1.0),
    ),
    "zeros": (
        module("nn.SpatialZeroPadding", pad_l=1, pad_r=2, pad_t=0, pad_b=3),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 3), (1, 2))),
    ),
    "channels before": (
        module("nn.Padding", dim=1, pad=-8, nInputDim=3, value=0),
        lambda x: np.pad(x, ((0, 0), (8, 0), (0, 0), (0, 0))),
    ),
    "rows below": (
        module("nn.Padding", dim=3, pad=2, value=0),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 0))),
    ),
    "one slope": (
        module("nn.PReLU", nOutputPlane=0, weight=np.full(1, 0.3, np.float32)),
        lambda x: np.where(x > 0, x, 0.3 * x),
    ),
    "a slope each": (
        module("nn.PReLU", nOutputPlane=6, weight=SLOPES),
        lambda x: np.where(x > 0, x, SLOPES[:, None, None] * x),
    ),
    "leaky": (module("nn.LeakyReLU", negval=0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "threshold": (module("nn.Threshold", threshold=0.5, val=0.5), lambda x: np.maximum(x, 0.5)),
    "hard tanh": (module("nn.HardTanh", min_val=-1, max_val=0.5), lambda x: np.clip(x, -1, 0.5)),
    "relu6": (module("nn.ReLU6"), lambda x: np.clip(x, 0, 6)),
    "clipped": (module("cudnn.ClippedReLU", ceiling=0.7), lambda x: np.clip(x, 0, 0.7)),
    "tanh": (module("cudnn.Tanh"), np.tanh),
    "sigmoid": (module("nn.Sigmoid"), lambda x: 1 / (1 + np.exp(-x))),
    "times": (module("nn.MulConstant", constant_scalar=2.5), lambda x: 2.5 * x),
    "plus": (module("nn.AddConstant", constant_scalar=2), lambda x: 2 + x),
    "old dropout": (module("nn.Dropout", p=0.25), lambda x: 0.75 * x),
    "dropout": (module("nn.Dropout", p=0.25, v2=True), lambda x: x),
    "dropout of channels": (module("nn.SpatialDropout", p=0.5), lambda x: 0.5 * x),
    "means": (
        module("nn.Sequential", module("nn.Mean", dimension=3), module("nn.Mean", dimension=3)),
        lambda x: x.mean((2, 3)),
    ),
    "mean of width": (
        module("nn.Sum", dimension=3, nInputDims=3, sizeAverage=True), lambda x: x.mean(3),
    ),
    "flat": (module("nn.View", size=size(-1)), lambda x: x.reshape(2, -1)),
    "view": (module("nn.View", size=size(-1, 6, 49)), lambda x: x.reshape(2, 6, 49)),
    "reshape": (
        module("nn.Reshape", size=size(3, 98), batchMode=True),
        lambda x: x.reshape(2, 3, 98),
    ),
    "spatial softmax": (
        module("nn.SpatialSoftMax"), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ),
    "shared in place": (  # Torch's second branch sees what the first one did to their input
        module(
            "nn.Sequential",
            module("nn.ConcatTable", module("nn.ReLU", inplace=True), module("nn.Identity")),
            module("nn.CAddTable"),
        ),
        lambda x: 2 * relu(x),
    ),
    "shared": (
        module(
            "nn.Sequential",
            module("nn.ConcatTable", module("nn.ReLU", inplace=False), module("nn.Identity")),
            module("nn.CAddTable"),
        ),
        lambda x: relu(x) + x,
    ),
    "tables": (
        module(
            "nn.Sequential",
            module(
                "nn.ConcatTable",
                module("nn.ConcatTable", module("nn.Tanh"), module("nn.Identity")),
                module("nn.MulConstant", constant_scalar=3),
            ),
            module("nn.FlattenTable"),
            module("nn.ParallelTable", module("nn.ReLU"), module("nn.Tanh"), module("nn.Identity")),
            module(
                "nn.ConcatTable",
                module("nn.JoinTable", dimension=1, nInputDims=3),
                module("nn.SelectTable", index=-1),
            ),
            module("nn.JoinTable", dimension=-3),
        ),
        lambda x: np.concatenate([relu(np.tanh(x)), np.tanh(x), 3 * x, 3 * x], 1),
    ),
    "differences": (
        module(
            "nn.Sequential",
            module("nn.ConcatTable", module("nn.Tanh"), module("nn.Sigmoid")),
            module("nn.CSubTable"),
        ),
        lambda x: np.tanh(x) - 1 / (1 + np.exp(-x)),
    ),
    "depth": (
        module(
            "nn.DepthConcat",
            module("nn.Identity"),
            pool("nn.SpatialMaxPooling", 2, 1, 0),
            dimension=2,
        ),
        lambda x: np.concatenate(
            [x, np.pad(reference.max_pool2d(x, 2, 1), ((0, 0), (0, 0), (0, 1), (0, 1)))], 1
        ),
    ),
    "first of several": (
        module("nn.DataParallelTable", module("nn.Tanh"), module("nn.Sigmoid")), np.tanh,
    ),
    "inverse deviation": (
        module(
            "nn.SpatialBatchNormalization",
            running_mean=MEAN,
            running_std=np.full(6, 0.5, np.float32),
            eps=1e-5,
        ),
        lambda x: (x - MEAN[:, None, None]) * 0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(tmp_path: Path, name: str) -> None:
    layer, expected = LAYERS[name]
    net = load(tmp_path, layer)
    np.testing.assert_allclose(net(A).numpy(), expected(A), rtol=2e-4, atol=2e-5)


def test_products(tmp_path: Path) -> None:
    both = module("nn.ConcatTable", module("nn.Tanh"), module("nn.AddConstant", constant_scalar=9))
    for name, out in (("CMul", np.tanh(A) * (A + 9)), ("CDiv", np.tanh(A) / (A + 9))):
        net = load(tmp_path, module("nn.Sequential", both, module(f"nn.{name}Table")))
        np.testing.assert_allclose(net(A).numpy(), out, rtol=2e-4, atol=1e-6)


def test_normalised_rows(tmp_path: Path) -> None:
    layer, (mean, var, weight, bias, eps) = batch_norm("nn.BatchNormalization", 294)
    net = load(tmp_path, module("nn.Sequential", module("nn.View", size=size(294)), layer))
    x = A.reshape(2, 294)
    expected = (x - mean) / np.sqrt(var + eps) * weight + bias
    np.testing.assert_allclose(net(A).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_old_dropout_in_training_masks_only(tmp_path: Path) -> None:
    net = load(tmp_path, module("nn.Dropout", p=0.5)).train()
    fastconv.manual_seed(0)
    ratio = net(np.ones((1, 1, 100, 100), np.float32)).numpy()
    assert set(np.unique(ratio)) == {0, 1} and 0.45 < ratio.mean() < 0.55
