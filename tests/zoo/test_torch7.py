"""Networks in Torch7's files: written here byte by byte, and evaluated apart from the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

import fastconv
from fastconv import reference
from fastconv.data import Preset
from t7_files import Obj, lua_list, module
from t7_layers import ENCODINGS, batch_norm, convolution, load, normal, pool, size


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def check(net: Any, x: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(net(x).numpy(), expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(fastconv.compile(net, x.shape)(x), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_sequential_network(tmp_path: Path, encoding: dict[str, Any]) -> None:
    """An old network: a two-dimensional weight in doubles, sums as poolings, old dropout."""
    kernel, bias = normal(6, 3, 3, 3).astype(np.float64), normal(6).astype(np.float64)
    matrix, bias2 = normal(4, 54), normal(4)
    old = convolution("nn.SpatialConvolutionMM", kernel, bias, 1, 0, padding=1)
    old.fields["weight"] = kernel.reshape(6, 27)
    net = load(
        tmp_path,
        module(
            "nn.Sequential",
            old,
            module("nn.Threshold", threshold=0, val=0, inplace=True),
            pool("nn.SpatialMaxPooling", 3, 2, 0, ceil_mode=True),
            module("nn.SpatialAveragePooling", kW=2, kH=2, dW=1, dH=1),
            module("nn.Dropout", p=0.25),
            module("nn.Reshape", size=size(54), nelement=54),
            module("nn.Linear", weight=matrix, bias=bias2),
            module("nn.LogSoftMax"),
        ),
        **encoding,
    )
    x = normal(2, 3, 8, 8)
    y = relu(reference.conv2d(x, kernel, bias, 1, 1))
    y = 4 * reference.avg_pool2d(reference.max_pool2d(y, 3, 2, 0, 1, True), 2, 1)
    y = (0.75 * y).reshape(2, 54) @ matrix.T + bias2
    check(net, x, y - np.log(np.exp(y).sum(1, keepdims=True)))
    assert not net.training and net.preset is None


@pytest.mark.parametrize("package", ["nn", "cudnn"])
def test_inception_network(tmp_path: Path, package: str) -> None:
    stem, one, reduce, three = (
        normal(8, 3, 3, 3),
        normal(4, 8, 1, 1),
        normal(3, 8, 1, 1),
        normal(5, 3, 3, 3),
    )
    biases = [normal(len(w)) for w in (stem, one, reduce, three)]
    norm, statistics = batch_norm(f"{package}.SpatialBatchNormalization", 5)
    matrix, bias = normal(10, 17), normal(10)

    def conv(weight: np.ndarray, i: int, stride: int = 1, pad: int = 0) -> Obj:
        return convolution(f"{package}.SpatialConvolution", weight, biases[i], stride, pad)

    def active() -> Obj:
        return module(f"{package}.ReLU", inplace=True)

    inception = module(
        "nn.Concat",
        module("nn.Sequential", conv(one, 1), active()),
        module("nn.Sequential", conv(reduce, 2), active(), conv(three, 3, 1, 1), norm),
        pool(f"{package}.SpatialMaxPooling", 3, 1, 1, ceil_mode=False),
        dimension=2,
    )
    net = load(
        tmp_path,
        module(
            "nn.Sequential",
            conv(stem, 0, 2, 1),
            module(f"{package}.SpatialCrossMapLRN", size=5, alpha=0.1, beta=0.75, k=2),
            inception,
            pool(f"{package}.SpatialAveragePooling", 5, 1, 0, divide=True, count_include_pad=True),
            module("nn.View", size=size(17), numInputDims=3),
            module("nn.Dropout", p=0.4, v2=True),
            module("nn.Linear", weight=matrix, bias=bias),
            module(f"{package}.SoftMax"),
        ),
    )
    x = normal(3, 3, 10, 10)
    y = reference.local_response_norm(reference.conv2d(x, stem, biases[0], 2, 1), 5, 0.1, 0.75, 2)
    branches = [
        relu(reference.conv2d(y, one, biases[1])),
        reference.batch_norm(
            reference.conv2d(relu(reference.conv2d(y, reduce, biases[2])), three, biases[3], 1, 1),
            *statistics,
        ),
        reference.max_pool2d(y, 3, 1, 1),
    ]
    y = np.concatenate(branches, 1).mean((2, 3)) @ matrix.T + bias
    check(net, x, np.exp(y) / np.exp(y).sum(1, keepdims=True))


@pytest.mark.parametrize("shortcut", ["A", "padding", "B"])
def test_residual_network(tmp_path: Path, shortcut: str) -> None:
    """The blocks of fb.resnet.torch; with a batch norm after the addition, as its ResNet-50 has."""
    stem, first, second = normal(4, 3, 3, 3), normal(8, 4, 3, 3) / 4, normal(8, 8, 3, 3) / 6
    project, matrix = normal(8, 4, 1, 1), normal(10, 8)
    norms = [batch_norm("nn.SpatialBatchNormalization", n) for n in (4, 8, 8, 8)]

    def conv(weight: np.ndarray, stride: int, pad: int) -> Obj:
        return convolution("cudnn.SpatialConvolution", weight, None, stride, pad, groups=1)

    pixels = pool("nn.SpatialAveragePooling", 1, 2, 0, divide=True, ceil_mode=False)
    ways = {
        "A": [
            pixels,
            module(
                "nn.Concat",
                module("nn.Identity"),
                module("nn.MulConstant", constant_scalar=0),
                dimension=2,
            ),
        ],
        "padding": [pixels, module("nn.Padding", dim=1, pad=4, nInputDim=3, value=0, index=1)],
        "B": [conv(project, 2, 0)],
    }
    body = module(
        "nn.Sequential", conv(first, 2, 1), norms[1][0], module("cudnn.ReLU", inplace=True),
        conv(second, 1, 1), norms[2][0],
    )  # fmt: skip
    block = module(
        "nn.Sequential",
        module("nn.ConcatTable", body, module("nn.Sequential", *ways[shortcut])),
        module("nn.CAddTable", inplace=True),
        norms[3][0],
        module("cudnn.ReLU", inplace=True),
    )
    net = load(
        tmp_path,
        module(
            "nn.Sequential", conv(stem, 1, 1), norms[0][0], module("cudnn.ReLU", inplace=True),
            module("nn.Sequential", block), pool("cudnn.SpatialAveragePooling", 4, 1, 0),
            module("nn.View", size=size(8), numInputDims=3),
            module("nn.Linear", weight=matrix, bias=np.zeros(10, np.float32)),
        ),
    )  # fmt: skip
    x = normal(2, 3, 8, 8)

    def norm(y: np.ndarray, i: int) -> Any:
        return reference.batch_norm(y, *norms[i][1])

    y = relu(norm(reference.conv2d(x, stem, None, 1, 1), 0))
    inner = relu(norm(reference.conv2d(y, first, None, 2, 1), 1))
    inner = norm(reference.conv2d(inner, second, None, 1, 1), 2)
    identity = np.concatenate([y[:, :, ::2, ::2], 0 * y[:, :, ::2, ::2]], 1)
    side = reference.conv2d(y, project, None, 2) if shortcut == "B" else identity
    check(net, x, relu(norm(inner + side, 3)).mean((2, 3)) @ matrix.T)
    names = list(net.state_dict())
    assert names[0] == "1.weight" and "4_1_1_1_1.weight" in names


A = normal(2, 6, 7, 7)


def test_shared_layers_and_names(tmp_path: Path) -> None:
    """One object in two places is written once; names are the file's where it has them."""
    conv = convolution("nn.SpatialConvolution", normal(6, 6, 3, 3), normal(6), 1, 1, name="again")
    checkpoint = {"epoch": 3, "model": module("nn.Sequential", conv, conv), "rest": {"lr": 0.1}}
    net = load(tmp_path, checkpoint)
    assert list(net.state_dict()) == [
        f"{n}.{p}" for n in ("again", "again_2") for p in ("weight", "bias")
    ]
    weight, bias = conv.fields["weight"], conv.fields["bias"]
    expected = reference.conv2d(reference.conv2d(A, weight, bias, 1, 1), weight, bias, 1, 1)
    np.testing.assert_allclose(net(A).numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", [None, 1, 3])
def test_copies_for_several_devices(tmp_path: Path, version: int | None) -> None:
    """Its later versions write the devices ahead of the fields, and an object that refers back."""
    copies = module("nn.DataParallelTable", module("nn.Sequential", module("nn.Tanh")))
    copies.version = version
    copies.before = (lua_list(1, 2),) if version == 3 else ()
    copies.fields["impl"] = Obj("nn.DataParallelTable.Basic", {"dpt": copies})
    net = load(tmp_path, {"model": copies, "epoch": 7})
    np.testing.assert_allclose(net(A).numpy(), np.tanh(A), rtol=1e-4)


def test_photos_of_the_residual_networks(tmp_path: Path) -> None:
    parts = [
        convolution("cudnn.SpatialConvolution", normal(64, 3, 7, 7), None, 2, 3),
        batch_norm("nn.SpatialBatchNormalization", 64)[0],
        module("cudnn.ReLU"),
        pool("nn.SpatialMaxPooling", 3, 2, 1),
        pool("cudnn.SpatialAveragePooling", 56, 1, 0),
        module("nn.View", size=size(64), numInputDims=3),
        module("nn.Linear", weight=normal(1000, 64), bias=normal(1000)),
    ]
    net = load(tmp_path, module("nn.Sequential", *parts))
    assert net.preset == Preset.imagenet() and len(net.classes) == 1000
    rng = np.random.default_rng(0)
    best = net.predict(rng.integers(0, 256, (250, 300, 3), np.uint8), top=3)
    assert len(best) == 3 and best[0].probability >= best[1].probability
    parts[0].fields["dW"] = 1
    assert load(tmp_path, module("nn.Sequential", *parts)).preset is None
