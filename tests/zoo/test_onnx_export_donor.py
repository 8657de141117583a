"""Exported networks against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from compiler.networks import randomise  # noqa: E402
from fastconv import models, nn  # noqa: E402
from zoo.onnx_export import LAYERS, assert_same_answers  # noqa: E402

pytestmark = pytest.mark.donor


def evaluate(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (input,) = session.get_inputs()
    result: np.ndarray = session.run(None, {input.name: x})[0]
    return result


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("opset", [13, 17, 21])
def test_layers(name: str, opset: int, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    net = randomise(make())
    assert_same_answers(evaluate, net, tmp_path / "net.onnx", shape, opset=opset)


NETWORKS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("lenet5", {}, (1, 1, 28, 28)),
    ("lenet5", {"variant": "paper"}, (2, 1, 28, 28)),
    ("alexnet", {"variant": "caffe"}, (1, 3, 227, 227)),
    ("alexnet", {"variant": "caffenet", "num_classes": 3}, (1, 3, 227, 227)),
    ("alexnet", {"variant": "torchvision"}, (1, 3, 96, 130)),
    ("vgg11", {"num_classes": 5}, (1, 3, 32, 40)),
    ("vgg16_bn", {"num_classes": 5}, (1, 3, 48, 32)),
    ("googlenet", {"variant": "caffe"}, (1, 3, 96, 80)),
    ("googlenet", {"variant": "caffe", "aux_logits": True}, (1, 3, 65, 70)),
    ("googlenet", {"variant": "torchvision"}, (1, 3, 65, 70)),
    ("googlenet", {"variant": "torchvision", "transform_input": True}, (1, 3, 64, 64)),
    ("resnet18", {"variant": "torchvision"}, (1, 3, 64, 64)),
    ("resnet18", {"variant": "caffe"}, (1, 3, 65, 33)),
    ("resnet50", {"variant": "torchvision"}, (1, 3, 64, 64)),
    ("resnet50", {"variant": "caffe", "conv1_bias": True}, (1, 3, 64, 64)),
    ("resnet20", {}, (2, 3, 32, 32)),
]


@pytest.mark.parametrize("name, options, shape", NETWORKS)
def test_networks(
    name: str, options: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    with nn.init.skip_init():
        net = randomise(models.get(name, **options))
    model = assert_same_answers(evaluate, net, tmp_path / "net.onnx", shape)
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for key, array in net.state_dict().items():
        if not key.endswith("num_batches_tracked") and not key.startswith("aux"):
            np.testing.assert_array_equal(tensors[key], array, err_msg=key)


def test_a_network_that_a_file_described(tmp_path: Path) -> None:
    net = nn.GraphModule(["data"], ["prob"])
    net.append("conv1", nn.Conv2d(3, 8, 3, padding=1), "data", "a")
    net.append("bn1", nn.BatchNorm2d(8), "a", "a")
    net.append("scale1", nn.Affine(8), "a", "a")
    net.append("relu1", nn.ReLU(), "a", "a")
    net.append("left", nn.MaxPool2d(3, 2, ceil_mode="caffe"), "a", "left")
    net.append("right", nn.AvgPool2d(3, 2, ceil_mode="caffe"), "a", "right")
    net.append("join", nn.Concat(), ["left", "right"], "b")
    net.append("twice", nn.Mul(), ["b", "b"], "c")
    net.append("less", nn.Sub(), ["b", "c"], "c")
    net.append("shuffle1", nn.Reshape(0, 2, 8, 4, 4), "c", "d")
    net.append("shuffle2", nn.Permute(0, 2, 1, 3, 4), "d", "d")
    net.append("shuffle3", nn.Reshape(0, 16, 4, 4), "d", "d")
    net.append("sum", nn.Add(), ["b", "c", "d"], "e")
    net.append("flat", nn.Flatten(), "e", "e")
    net.append("fc", nn.Linear(256, 5), "e", "e")
    net.append("prob", nn.Softmax(), "e", "prob")
    assert_same_answers(evaluate, randomise(net), tmp_path / "net.onnx", (1, 3, 8, 8))
