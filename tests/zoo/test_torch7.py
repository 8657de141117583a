"""Torch7's files: written here byte by byte, and evaluated in NumPy apart from the reader."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

import fastconv
from fastconv import reference, zoo
from fastconv.data import Preset
from t7_files import Closure, Function, Obj, Storage, Tensor, lua_list, module, write

RNG = np.random.default_rng(5)
ENCODINGS = [{}, {"ascii": True}, {"order": ">"}, {"long_size": 4}, {"order": ">", "long_size": 4}]


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def size(*values: int) -> Storage:
    return Storage(np.array(values))


def convolution(
    kind: str, weight: np.ndarray, bias: Any, stride: int, pad: int, **more: Any
) -> Obj:
    out, into, height, width = weight.shape
    fields = {"nInputPlane": into, "nOutputPlane": out, "kH": height, "kW": width}
    steps = {"dH": stride, "dW": stride, "padH": pad, "padW": pad}
    given = {} if bias is None else {"bias": bias}
    return module(kind, weight=weight, **given, **{**fields, **steps, **more})


def batch_norm(kind: str, channels: int, **more: Any) -> tuple[Obj, tuple[Any, ...]]:
    mean, var = normal(channels), RNG.uniform(0.5, 2, channels).astype(np.float32)
    weight, bias = normal(channels), normal(channels)
    layer = module(
        kind, weight=weight, bias=bias, running_mean=mean, running_var=var, eps=1e-3, momentum=0.1,
        version=2, **more,
    )  # fmt: skip
    return layer, (mean, var, weight, bias, 1e-3)


def pool(kind: str, kernel: int, stride: int, pad: int, **more: Any) -> Obj:
    return module(kind, kW=kernel, kH=kernel, dW=stride, dH=stride, padW=pad, padH=pad, **more)


def load(path: Path, content: Any, **encoding: Any) -> Any:
    file = path / "net.t7"
    file.write_bytes(write(content, **encoding))
    return zoo.load(file)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def check(net: Any, x: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(net(x).numpy(), expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(fastconv.compile(net, x.shape)(x), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_sequential_network(tmp_path: Path, encoding: dict[str, Any]) -> None:
    """An old network: a two-dimensional weight in doubles, sums as poolings, old dropout."""
    kernel, bias = RNG.standard_normal((6, 3, 3, 3)), RNG.standard_normal(6)
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


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_tensors_of_all_kinds(tmp_path: Path, encoding: dict[str, Any]) -> None:
    shared = np.arange(24, dtype=np.float32)
    content = {
        "half": np.array([[1.5, -2]], np.float16),
        "double": np.array([np.pi, -np.inf, np.nan, 1e300]),
        "long": np.array([1, -2, 2**30]),
        "int": np.array([[3], [4]], np.int32),
        "byte": np.array([0, 10, 255], np.uint8),
        "whole": Tensor(shared, (2, 3, 4), (12, 4, 1)),
        "turned": Tensor(shared, (4, 3), (1, 4), offset=13),
        "cuda": Tensor(np.float32([1, 2]), (2,), (1,), device="Cuda"),
        "empty": np.zeros(0, np.float32),
        "deep": {"er": lua_list(np.float32([7]))},
        "expanded": Tensor(np.float32([7]), (3, 5), (0, 0)),
        "passed": lua_list(Function(), Closure(tag=7), Closure(upvalues=lua_list("x")), None),
        "text": "ümläut",
    }  # fmt: skip
    file = tmp_path / "tensors.t7"
    file.write_bytes(write(content, **encoding))
    archive = zoo.read(file)
    assert archive.format == "torch7" and archive.build is None
    found = archive.tensors
    names = ["half", "double", "long", "int", "byte", "whole", "turned", "cuda", "empty"]
    assert list(found) == [*names, "deep.er.1"]
    for name in ("half", "double", "long", "int", "byte"):
        np.testing.assert_array_equal(found[name], content[name])
    assert found["half"].dtype.newbyteorder("=") == np.float16
    np.testing.assert_array_equal(found["whole"], shared.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["turned"], shared[12:].reshape(3, 4).T)
    with pytest.raises(zoo.FormatError, match="names and shapes of the weights"):
        zoo.load(file)


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
    best = net.predict(RNG.integers(0, 256, (250, 300, 3), np.uint8), top=3)
    assert len(best) == 3 and best[0].probability >= best[1].probability
    parts[0].fields["dW"] = 1
    assert load(tmp_path, module("nn.Sequential", *parts)).preset is None


@pytest.mark.donor
def test_another_reader_agrees(tmp_path: Path) -> None:
    """That the files written here are Torch7's, in the eyes of the package torchfile."""
    torchfile = pytest.importorskip("torchfile")
    shared = np.arange(24, dtype=np.float32)
    conv = convolution(
        "nn.SpatialConvolution", normal(6, 6, 3, 3), normal(6), 1, 1, passed=Closure()
    )
    content = {
        "turned": Tensor(shared, (4, 3), (1, 4), offset=13),
        "long": np.array([1, -2, 2**40]),
        "net": module("nn.Sequential", conv, conv, version=None),
    }
    file = tmp_path / "net.t7"
    file.write_bytes(write(content))
    theirs, ours = torchfile.load(str(file)), zoo.read(file).tensors
    np.testing.assert_array_equal(theirs[b"turned"], shared[12:].reshape(3, 4).T)
    np.testing.assert_array_equal(theirs[b"long"], content["long"])
    first, second = theirs[b"net"].modules
    assert first is second and first.torch_typename() == b"nn.SpatialConvolution"
    for key in ("weight", "bias"):
        np.testing.assert_array_equal(first[key.encode()], ours[f"1.{key}"])
    assert (first[b"kW"], first[b"padH"]) == (3, 1)


# What must be refused.


def _nested(depth: int) -> Any:
    inner: Any = 1
    for _ in range(depth):
        inner = lua_list(inner)
    return inner


def _loop() -> Obj:
    loop = module("nn.Sequential")
    loop.fields["modules"] = lua_list(loop)
    return loop


def _explosion() -> Obj:
    part = module("nn.Tanh")
    for _ in range(40):
        part = module("nn.Sequential", part, part)
    return part


def _linear(**fields: Any) -> Obj:
    return module("nn.Sequential", module("nn.View", size=size(294)), module("nn.Linear", **fields))


BAD: dict[str, tuple[Any, str]] = {
    "unknown class": (module("nn.Sequential", module("nn.Weird")), r"class=nn.Weird, place=1"),
    "graph": (module("nn.gModule"), "class=nn.gModule, place=the whole"),
    "loop": (_loop(), "have itself as a part|too many"),
    "explosion": (_explosion(), "too many"),
    "even window": (module("nn.SpatialCrossMapLRN", size=4), r"size must be odd \(size=4\)"),
    "jump": (module("nn.Threshold", threshold=1, val=0), "must not jump"),
    "no modules": (module("nn.DataParallelTable"), "a copy of the network"),
    "weight too small": (
        convolution("nn.SpatialConvolution", normal(4, 3, 3, 3), None, 1, 0, nInputPlane=6),
        r"weight must hold .*expected=\(4, 6, 3, 3\), found=\(4, 3, 3, 3\)",
    ),
    "huge": (
        convolution("nn.SpatialConvolution", normal(4, 3, 3, 3), None, 1, 0, nOutputPlane=1e9),
        "nOutputPlane must be a whole number",
    ),
    "expanded weight": (
        _linear(weight=Tensor(normal(1), (60000, 60000), (0, 0))), "weight must have the axes",
    ),
    "integers": (_linear(weight=np.ones((2, 294), np.int32)), "weight must hold floating point"),
    "not a number": (module("nn.LeakyReLU", negval="0.1"), "negval must be a number"),
    "fraction": (pool("nn.SpatialMaxPooling", 2.5, 1, 0), "kH must be a whole number"),
    "negative": (module("nn.SpatialZeroPadding", pad_l=-1), "pad_l must be a whole number"),
    "groups": (
        convolution("cudnn.SpatialConvolution", normal(4, 3, 1, 1), None, 1, 0, groups=2),
        r"groups must divide the channels",
    ),
    "no view": (module("nn.View", size=size(128, -1)), "the first axis must be the batch's"),
    "no batch": (module("nn.Reshape", size=size(6), batchMode=False), "an axis for the batch"),
    "one picture": (module("nn.Concat", module("nn.Tanh"), dimension=1), "dimension must be 2"),
    "a table": (
        module("nn.Sequential", module("nn.ConcatTable", module("nn.Tanh")), module("nn.Tanh")),
        "must be one tensor",
    ),
    "three to subtract": (
        module(
            "nn.Sequential",
            module("nn.ConcatTable", module("nn.Tanh"), module("nn.Tanh"), module("nn.Tanh")),
            module("nn.CSubTable"),
        ),
        r"there must be two inputs \(inputs=3\)",
    ),
    "no table": (module("nn.Sequential", module("nn.CAddTable")), "a table of tensors"),
    "maps": (
        module("nn.Sequential", module("nn.View", size=size(6)), module("nn.SpatialMaxPooling")),
        "N, C, H, W",
    ),
    "too deep": (_nested(400), "must not lie too deep"),
    "outside": (Tensor(normal(5), (2, 3), (3, 1)), "must hold all its elements"),
    "before": (Tensor(normal(5), (2,), (1,), offset=0), "must hold all its elements"),
    "no fields": (Obj("nn.Tanh", 3), "table of its fields"),
    "no elements": (Obj("torch.StrangeTensor", {}), "a known type"),
    "wide padding": (pool("nn.SpatialMaxPooling", 2, 2, 2), "half the window"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    content, rule = BAD[name]
    with pytest.raises(zoo.FormatError, match=rule):
        load(tmp_path, content)


@pytest.mark.parametrize("encoding", ENCODINGS[:2], ids=str)
def test_cut_files(tmp_path: Path, encoding: dict[str, Any]) -> None:
    whole = write(LAYERS["groups"][0], **encoding)
    file = tmp_path / "cut.t7"
    for length in range(40, len(whole) - 8, 97):
        file.write_bytes(whole[:length])
        with pytest.raises(zoo.FormatError):
            zoo.load(file)


def test_changed_bytes_never_crash(tmp_path: Path) -> None:
    whole = write(LAYERS["tables"][0])
    file = tmp_path / "changed.t7"
    for _ in range(300):
        changed = bytearray(whole)
        for at in RNG.integers(0, len(whole), 3):
            changed[at] = RNG.integers(0, 256)
        file.write_bytes(changed)
        try:
            zoo.load(file)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<3i", 3, 1, 2**31 - 1) + struct.pack("<i", 1) + bytes(60),  # entries
        struct.pack("<4i", 4, 1, 3, 0)[:12] + b"V 1" + struct.pack("<i", 18) + b"torch.FloatStorage"
        + struct.pack("<q", 2**60) + bytes(60),
        struct.pack("<3i", 4, 1, 3) + b"V 1" + struct.pack("<i", 2**30) + b"nn.Sequential",
    ],
    ids=["table", "storage", "name"],
)  # fmt: skip
def test_announced_sizes_are_not_believed(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "huge.t7"
    file.write_bytes(body)
    with pytest.raises(zoo.FormatError, match="announces"):
        zoo.load(file)


def test_a_second_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.t7"
    file.write_bytes(write(module("nn.Tanh")))
    with pytest.raises(zoo.FormatError, match="no second file"):
        zoo.load(file, weights=file)
