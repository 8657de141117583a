"""Caffe's files: networks of every age, against NumPy and against this library's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from caffe_files import (
    caffemodel,
)
from fastconv import reference, zoo

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


def normal(*shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32)


def write(folder: Path, prototxt: str | None, weights: bytes) -> Path:
    """Write a model into a folder and return the file to load."""
    model = folder / "net.caffemodel"
    model.write_bytes(weights)
    if prototxt is None:
        return model
    (folder / "deploy.prototxt").write_text(prototxt, encoding="utf-8")
    return folder / "deploy.prototxt"


def close(actual: Any, expected: Any) -> None:
    actual = actual.numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())


def lenet_weights() -> dict[str, list[Any]]:
    return {
        "conv1": [normal(20, 1, 5, 5), normal(20)],
        "conv2": [normal(50, 20, 5, 5), normal(50)],
        "ip1": [normal(500, 800), normal(500)],
        "ip2": [normal(10, 500), normal(10)],
    }


def lenet(x: Any, w: dict[str, list[Any]]) -> Any:
    x = reference.max_pool2d(reference.conv2d(x, *w["conv1"]), 2, 2, ceil_mode="caffe")
    x = reference.max_pool2d(reference.conv2d(x, *w["conv2"]), 2, 2, ceil_mode="caffe")
    x = np.maximum(x.reshape(len(x), -1) @ w["ip1"][0].T + w["ip1"][1], 0)
    x = np.exp(x @ w["ip2"][0].T + w["ip2"][1])
    return x / x.sum(1, keepdims=True)


@pytest.mark.parametrize("first", ["deploy.prototxt", "net.caffemodel"])
def test_lenet(tmp_path: Path, first: str) -> None:
    weights = lenet_weights()
    write(tmp_path, LENET, caffemodel("LeNet", weights))
    net = zoo.load(tmp_path / first)
    x = normal(2, 1, 28, 28)
    close(net(x), lenet(x, weights))
    close(fastconv.functional.softmax and net(x), fastconv.compile(net, (2, 1, 28, 28))(x))
    assert net.input_shape == (1, 28, 28)
    assert list(net.state_dict())[:2] == ["conv1.weight", "conv1.bias"]
    preset = net.preset
    assert (preset.size, preset.resize, preset.order) == ((28, 28), None, "L")
    assert (preset.mean, preset.scale) == ((0.0,), (1 / 256,))
