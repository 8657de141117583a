"""Caffe's networks of every age: against NumPy, and against this library's own networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from caffe_files import blob, caffemodel, legacy_blob, message, number, text, v0_layer, v1_layer
from caffe_networks import alexnet, close, googlenet, inception, layer_text, normal, write
from fastconv import models, nn, reference, zoo

pytest.importorskip("google.protobuf")

LENET = """
name: "LeNet"  # examples/mnist/lenet.prototxt
layer { name: "data" type: "Input" top: "data"
  input_param { shape: { dim: 64 dim: 1 dim: 28 dim: 28 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
  convolution_param { num_output: 20 kernel_size: 5 stride: 1 weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 50 kernel_size: 5 stride: 1 } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1"
  inner_product_param { num_output: 500 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 10 } }
layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }
"""


def softmax(x: Any) -> Any:
    x = np.exp(x - x.max(1, keepdims=True))
    return x / x.sum(1, keepdims=True)


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def max_pool(x: Any, *window: int) -> Any:
    return reference.max_pool2d(x, *window, ceil_mode="caffe")


def conv(x: Any, blobs: Any, stride: int = 1, padding: int = 0) -> Any:
    """A convolution by NumPy alone."""
    weight, bias = blobs
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    out = np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True)
    return out if bias is None else out + bias[:, None, None]


def linear(x: Any, blobs: Any) -> Any:
    return x.reshape(len(x), -1) @ blobs[0].T + blobs[1]


def lenet_weights() -> dict[str, list[Any]]:
    return {
        "conv1": [normal(20, 1, 5, 5), normal(20)],
        "conv2": [normal(50, 20, 5, 5), normal(50)],
        "ip1": [normal(500, 800), normal(500)],
        "ip2": [normal(10, 500), normal(10)],
    }


def lenet(x: Any, w: dict[str, list[Any]]) -> Any:
    x = max_pool(conv(x, w["conv1"]), 2, 2)
    x = max_pool(conv(x, w["conv2"]), 2, 2)
    return softmax(linear(relu(linear(x, w["ip1"])), w["ip2"]))


@pytest.mark.parametrize("first", ["deploy.prototxt", "net.caffemodel"])
def test_lenet(tmp_path: Path, first: str) -> None:
    weights = lenet_weights()
    write(tmp_path, LENET, caffemodel("LeNet", weights))
    net = zoo.load(tmp_path / first)
    x = normal(2, 1, 28, 28)
    close(net(x), lenet(x, weights))
    close(fastconv.compile(net, (2, 1, 28, 28))(x), lenet(x, weights))
    assert net.input_shape == (1, 28, 28)
    assert not net.training
    assert list(net.state_dict())[:2] == ["conv1.weight", "conv1.bias"]


def test_both_files_may_be_named(tmp_path: Path) -> None:
    weights = lenet_weights()
    write(tmp_path, LENET, caffemodel("LeNet", weights))
    (tmp_path / "other").mkdir()
    moved = (tmp_path / "net.caffemodel").rename(tmp_path / "other" / "renamed.bin")
    x = normal(1, 1, 28, 28)
    for files in ((tmp_path / "deploy.prototxt", moved), (moved, tmp_path / "deploy.prototxt")):
        close(zoo.load(files[0], weights=files[1])(x), lenet(x, weights))


@pytest.fixture(scope="module")
def alexnet_weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A file of weights, and the same as a state dict: AlexNet and CaffeNet share names."""
    state = models.alexnet(10, "caffe").state_dict()
    names = dict.fromkeys(name.split(".")[0] for name in state)
    path = tmp_path_factory.mktemp("alexnet") / "net.caffemodel"
    path.write_bytes(
        caffemodel("", {name: [state[f"{name}.weight"], state[f"{name}.bias"]] for name in names})
    )
    return path, state


@pytest.mark.parametrize("variant", ["caffe", "caffenet"])
def test_alexnet_is_ours(
    tmp_path: Path, alexnet_weights: tuple[Path, dict[str, Any]], variant: str
) -> None:
    weights, state = alexnet_weights
    own = models.alexnet(10, variant).eval()
    own.load_state_dict(state)
    (tmp_path / "deploy.prototxt").write_text(alexnet(variant == "caffe", 10))
    net = zoo.load(tmp_path / "deploy.prototxt", weights=weights)
    assert net.state_dict().keys() == own.state_dict().keys()
    x = np.random.default_rng(0).uniform(-120, 120, (2, 3, 227, 227)).astype(np.float32)
    with fastconv.no_grad():
        close(net(x), softmax(own(x).numpy()))
    assert (net.preset.size, net.preset.resize, net.preset.order) == ((227, 227), 256, "BGR")
    assert net.preset.mean == (104.0, 117.0, 123.0)


def test_googlenet_is_ours(tmp_path: Path) -> None:
    own = models.googlenet(10).eval()
    state = own.state_dict()
    names = {"conv1": "conv1/7x7_s2", "conv2": "conv2/3x3_reduce", "conv3": "conv2/3x3"}
    branches = {
        "branch1": "1x1",
        "branch2.0": "3x3_reduce",
        "branch2.1": "3x3",
        "branch3.0": "5x5_reduce",
        "branch3.1": "5x5",
        "branch4.1": "pool_proj",
    }
    for stage in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        for ours, theirs in branches.items():
            names[f"inception{stage}.{ours}"] = f"inception_{stage}/{theirs}"
    weights = {
        theirs: [state[f"{ours}.conv.weight"], state[f"{ours}.conv.bias"]]
        for ours, theirs in names.items()
    }
    weights["loss3/classifier"] = [state["fc.weight"], state["fc.bias"]]
    net = zoo.load(write(tmp_path, googlenet(10, 224), caffemodel("GoogleNet", weights)))
    x = np.random.default_rng(1).uniform(-120, 120, (1, 3, 224, 224)).astype(np.float32)
    with fastconv.no_grad():
        close(net(x), softmax(own(x).numpy()))
    close(fastconv.compile(net, x.shape)(x), net(x).numpy())
    assert net.preset.size == (224, 224)


def test_inception_slice(tmp_path: Path) -> None:
    def conv_text(name: str, bottom: str, width: int, kernel: int, pad: int = 0) -> str:
        param = (
            f"num_output: {width} kernel_h: {kernel} kernel_w: {kernel} pad_h: {pad} pad_w: {pad}"
        )
        return layer_text("Convolution", name, bottom, convolution_param=param) + layer_text(
            "ReLU", f"{name}/relu", name, name
        )

    def pool_text(name: str, bottom: str, rest: str) -> str:
        return layer_text("Pooling", name, bottom, pooling_param=f"pool: MAX {rest}")

    widths = (4, 3, 5, 2, 3, 6)
    prototxt = 'input: "data" input_shape { dim: 1 dim: 7 dim: 9 dim: 8 }\n'
    prototxt += inception("i", "data", widths, conv_text, pool_text)
    sizes = {
        "1x1": (4, 7, 1),
        "3x3_reduce": (3, 7, 1),
        "3x3": (5, 3, 3),
        "5x5_reduce": (2, 7, 1),
        "5x5": (3, 2, 5),
        "pool_proj": (6, 7, 1),
    }
    w = {f"i/{n}": [normal(o, c, k, k), normal(o, seed=k)] for n, (o, c, k) in sizes.items()}
    net = zoo.load(write(tmp_path, prototxt, caffemodel("", w)))
    x = normal(2, 7, 9, 8)
    branch3 = relu(conv(relu(conv(x, w["i/3x3_reduce"])), w["i/3x3"], 1, 1))
    branch5 = relu(conv(relu(conv(x, w["i/5x5_reduce"])), w["i/5x5"], 1, 2))
    pooled = relu(conv(reference.max_pool2d(x, 3, 1, 1), w["i/pool_proj"]))
    close(net(x), np.concatenate([relu(conv(x, w["i/1x1"])), branch3, branch5, pooled], 1))


def resnet_block() -> tuple[str, dict[str, list[Any]], Any]:
    """He's first stage and a bottleneck block, with the averages of a factor that is not 1."""
    text_ = (
        'name: "ResNet-50"\ninput: "data"\ninput_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32\n'
    )
    weights: dict[str, list[Any]] = {}

    def stage(name: str, bottom: str, shape: tuple[int, ...], rest: str, bias: bool = False) -> str:
        rest += f" num_output: {shape[0]} kernel_size: {shape[2]}"
        rest += "" if bias else " bias_term: false"
        weights[name] = [normal(*shape)] + ([normal(shape[0])] if bias else [])
        count = shape[0]
        factor = np.array([999.5], np.float32)
        var = np.abs(normal(count, seed=3)) + 0.5
        weights[f"bn_{name}"] = [normal(count, seed=2) * factor, var * factor, factor]
        weights[f"scale_{name}"] = [normal(count, seed=4), normal(count, seed=5)]
        return (
            layer_text("Convolution", name, bottom, convolution_param=rest)
            + layer_text(
                "BatchNorm", f"bn_{name}", name, name, batch_norm_param="use_global_stats: true"
            )
            + layer_text("Scale", f"scale_{name}", name, name, scale_param="bias_term: true")
        )

    def after(name: str) -> str:
        return layer_text("ReLU", f"{name}_relu", name, name)

    text_ += stage("conv1", "data", (8, 3, 7, 7), "pad: 3 stride: 2", bias=True) + after("conv1")
    text_ += layer_text(
        "Pooling", "pool1", "conv1", pooling_param="kernel_size: 3 stride: 2 pool: MAX"
    )
    text_ += stage("res_1", "pool1", (16, 8, 1, 1), "stride: 2")
    text_ += stage("res_2a", "pool1", (4, 8, 1, 1), "stride: 2") + after("res_2a")
    text_ += stage("res_2b", "res_2a", (4, 4, 3, 3), "pad: 1") + after("res_2b")
    text_ += stage("res_2c", "res_2b", (16, 4, 1, 1), "")
    text_ += layer_text("Eltwise", "res", "res_1 res_2c") + after("res")
    text_ += layer_text(
        "Pooling", "pool5", "res", pooling_param="pool: AVE kernel_size: 4 stride: 1"
    )
    text_ += layer_text("InnerProduct", "fc", "pool5", inner_product_param="num_output: 5")
    weights["fc"] = [normal(5, 16), normal(5)]

    def norm(x: Any, name: str) -> Any:
        mean, var = (weights[f"bn_{name}"][i] / 999.5 for i in (0, 1))
        scale, shift = weights[f"scale_{name}"]
        column = (slice(None), None, None)
        return (x - mean[column]) / np.sqrt(var + 1e-5)[column] * scale[column] + shift[column]

    def forward(x: Any) -> Any:
        def block(x: Any, name: str, *window: int) -> Any:
            weight, bias = (*weights[name], None)[:2]
            return norm(conv(x, (weight, bias), *window), name)

        x = reference.max_pool2d(relu(block(x, "conv1", 2, 3)), 3, 2, 0, ceil_mode="caffe")
        assert x.shape[2] == 8
        left = block(x, "res_1", 2)
        x = relu(block(x, "res_2a", 2))
        x = relu(block(x, "res_2b", 1, 1))
        x = relu(left + block(x, "res_2c"))
        return linear(x.mean((2, 3)), weights["fc"])

    return text_, weights, forward


def test_resnet_block(tmp_path: Path) -> None:
    prototxt, weights, forward = resnet_block()
    net = zoo.load(write(tmp_path, prototxt, caffemodel("", weights)))
    x = normal(2, 3, 32, 32)
    close(net(x), forward(x))
    close(fastconv.compile(net, x.shape)(x), forward(x))
    # The factors and summands became the batch norms'.
    kinds = [type(module) for module in net.children()]
    assert kinds.count(nn.BatchNorm2d) == 5 and nn.Affine not in kinds
    # An output of 5: the classes are not ImageNet's.
    assert net.classes is None


CONVOLUTION, DROPOUT, INNER_PRODUCT, POOLING, RELU, SOFTMAX, SPLIT = 4, 6, 14, 17, 18, 20, 22

VGG = """
name: "VGG_ILSVRC_16_layers"
input: "data"
input_dim: 10 input_dim: 3 input_dim: 32 input_dim: 32
layers { bottom: "data" top: "conv1_1" name: "conv1_1" type: CONVOLUTION
  convolution_param { num_output: 6 pad: 1 kernel_size: 3 } }
layers { bottom: "conv1_1" top: "conv1_1" name: "relu1_1" type: RELU }
layers { bottom: "conv1_1" top: "conv1_2" name: "conv1_2" type: CONVOLUTION
  convolution_param { num_output: 6 pad: 1 kernel_size: 3 } }
layers { bottom: "conv1_2" top: "conv1_2" name: "relu1_2" type: RELU }
layers { bottom: "conv1_2" top: "pool1" name: "pool1" type: POOLING
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layers { bottom: "pool1" top: "fc6" name: "fc6" type: INNER_PRODUCT
  inner_product_param { num_output: 12 } }
layers { bottom: "fc6" top: "fc6" name: "relu6" type: RELU }
layers { bottom: "fc6" top: "fc6" name: "drop6" type: DROPOUT dropout_param { dropout_ratio: 0.5 } }
layers { bottom: "fc6" top: "fc8" name: "fc8" type: INNER_PRODUCT
  inner_product_param { num_output: 1000 } }
layers { bottom: "fc8" top: "prob" name: "prob" type: SOFTMAX }
"""


def test_vgg_v1(tmp_path: Path) -> None:
    w = {
        "conv1_1": [normal(6, 3, 3, 3), normal(6)],
        "conv1_2": [normal(6, 6, 3, 3), normal(6, seed=1)],
        "fc6": [normal(12, 6 * 256), normal(12)],
        "fc8": [normal(1000, 12), normal(1000)],
    }
    kinds = {"conv": CONVOLUTION, "fc": INNER_PRODUCT}
    weights = text(1, "VGG") + b"".join(
        v1_layer(name, kinds[name.rstrip("0123456789_")], map(legacy_blob, blobs))
        for name, blobs in w.items()
    )
    net = zoo.load(write(tmp_path, VGG, weights))
    x = normal(2, 3, 32, 32)
    hidden = relu(conv(relu(conv(x, w["conv1_1"], 1, 1)), w["conv1_2"], 1, 1))
    expected = softmax(linear(relu(linear(max_pool(hidden, 2, 2), w["fc6"])), w["fc8"]))
    close(net(x), expected)
    assert net.preset.mean == (103.939, 116.779, 123.68) and net.preset.order == "BGR"
    assert net.preset.size == (32, 32)
    assert net.classes is not None and len(net.classes) == 1000


V0 = """
name: "old"
input: "data"
input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 8 kernelsize: 5 stride: 2 group: 1 }
  bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.75 }
  bottom: "conv1" top: "norm1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 }
  bottom: "norm1" top: "pool1" }
layers { layer { name: "fc" type: "innerproduct" num_output: 4 biasterm: false }
  bottom: "pool1" top: "fc" }
layers { layer { name: "tanh" type: "tanh" } bottom: "fc" top: "out" }
"""


def test_v0(tmp_path: Path) -> None:
    w = {"conv1": [normal(8, 3, 5, 5), normal(8)], "fc": [normal(4, 8 * 9)]}
    weights = b"".join(
        v0_layer(name, kind, map(legacy_blob, w[name]))
        for name, kind in (("conv1", "conv"), ("fc", "innerproduct"))
    )
    net = zoo.load(write(tmp_path, V0, weights))
    x = normal(2, 3, 12, 12)
    hidden = relu(conv(x, w["conv1"], 2, 2))  # 6x6
    hidden = reference.local_response_norm(hidden.astype(np.float64), 3, 0.5, 0.75, 1.0)
    # The last window of 6 pixels by 3 with stride 2 has two of them: its mean is over those.
    pooled = np.zeros((2, 8, 3, 3))
    for i in range(3):
        for j in range(3):
            pooled[:, :, i, j] = hidden[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].mean((2, 3))
    close(net(x), np.tanh(pooled.reshape(2, -1) @ w["fc"][0].T))


def test_weights_alone_build_what_was_trained(tmp_path: Path) -> None:
    """As Caffe of 2014 saved them: with splits, of the net in training."""
    w = {"conv1": [normal(4, 3, 3, 3), normal(4)], "fc": [normal(10, 4 * 36), normal(10)]}
    train = message(32, number(1, 0))
    crop = message(36, number(3, 8))
    data = v1_layer("data", 5, (), (), ("data", "label"), train, crop)
    layers = [
        data,
        v1_layer(
            "conv1",
            CONVOLUTION,
            map(blob, w["conv1"]),
            ("data",),
            ("conv1",),
            message(10, number(1, 4), number(4, 3)),
        ),
        v1_layer("split", SPLIT, (), ("conv1",), ("conv1_0", "conv1_1")),
        v1_layer("relu", RELU, (), ("conv1_0",), ("conv1_0",)),
        v1_layer("silence", 36, (), ("conv1_1",)),
        v1_layer("drop", DROPOUT, (), ("conv1_0",), ("conv1_0",)),
        v1_layer(
            "fc",
            INNER_PRODUCT,
            map(blob, w["fc"]),
            ("conv1_0",),
            ("fc",),
            message(17, number(1, 10)),
        ),
        v1_layer("accuracy", 1, (), ("fc", "label"), ("accuracy",)),
        v1_layer("loss", 21, (), ("fc", "label"), ("loss",)),
    ]
    net = zoo.load(write(tmp_path, None, text(1, "own") + b"".join(layers)))
    x = normal(2, 3, 8, 8)
    close(net(x), softmax(linear(relu(conv(x, w["conv1"])), w["fc"])))
    assert net.inputs == ("data",) and net.input_shape == (3, 8, 8)
    assert net.preset.size == (8, 8) and net.preset.mean == (0.0, 0.0, 0.0)


def test_light_losses_are_left_out(tmp_path: Path) -> None:
    """Auxiliary classifiers serve training; the network that is tested has one head."""
    ip = "num_output: 3"
    prototxt = (
        'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } '
        "transform_param { crop_size: 6 } }"
        'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } '
        "transform_param { crop_size: 4 mirror: false mean_value: 9 scale: 0.5 } }"
        + layer_text("Convolution", "c", "data", convolution_param="num_output: 2 kernel_size: 1")
        + layer_text("InnerProduct", "aux", "c", inner_product_param=ip)
        + 'layer { name: "l1" type: "SoftmaxWithLoss" bottom: "aux" bottom: "label" top: "l1" '
        "loss_weight: 0.3 }"
        + layer_text("InnerProduct", "fc", "c", inner_product_param=ip)
        + 'layer { name: "l2" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l2" }'
        + 'layer { name: "a" type: "Accuracy" bottom: "fc" bottom: "label" top: "a" '
        "include { phase: TEST stage: 'never' } }"
    )
    w = {
        "c": [normal(2, 1, 1, 1), normal(2)],
        "aux": [normal(3, 32), normal(3)],
        "fc": [normal(3, 32, seed=1), normal(3, seed=1)],
    }
    net = zoo.load(write(tmp_path, prototxt, caffemodel("", w)))
    x = normal(2, 1, 4, 4)
    close(net(x), softmax(linear(conv(x, w["c"]), w["fc"])))
    assert [name for name, _ in net.named_children()] == ["c", "fc/flat", "fc", "l2"]
    assert net.preset == fastconv.data.Preset((4, 4), None, "L", (9.0,), (0.5,))
