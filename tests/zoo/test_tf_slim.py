"""TF-slim's checkpoints: the networks written again with TensorFlow's operations, after
tensorflow/models, research/slim/nets, and VGG, which is too large for that, by its kernels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import models, nn, zoo
from fastconv.zoo.archive import Archive, FormatError
from fastconv.zoo.labels import labels
from fastconv.zoo.scheme import in_order
from fastconv.zoo.schemes import tf_slim

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RNG = np.random.default_rng(5)


def scheme(name: str) -> Any:
    return next(found for found in tf_slim.SCHEMES if found.name == f"tf-slim {name}")


def archive(tensors: dict[str, np.ndarray]) -> Archive:
    return Archive("tensorflow checkpoint", Path("slim.ckpt"), tensors)


class Slim:
    """slim.conv2d and its like, in a graph of TensorFlow 1."""

    def __init__(self, tf: Any, eps: float, gamma: bool) -> None:
        self.tf, self.v1, self.eps, self.gamma = tf, tf.compat.v1, eps, gamma

    def variable(self, name: str, value: np.ndarray) -> Any:
        return self.v1.get_variable(name, initializer=self.tf.constant(value.astype(np.float32)))

    def conv(
        self, x: Any, name: str, size: int, kernel: int, stride: int = 1, *,
        padding: str = "SAME", norm: bool = True, relu: bool = True,
    ) -> Any:  # fmt: skip
        shape = (kernel, kernel, int(x.shape[-1]), size)
        with self.v1.variable_scope(name):
            scale = (2 / (kernel * kernel * shape[2])) ** 0.5
            w = self.variable("weights", RNG.normal(0, scale, shape))
            x = self.tf.nn.conv2d(x, w, stride, padding)
            if not norm:
                x = x + self.variable("biases", RNG.normal(0, 0.1, size))
                return self.tf.nn.relu(x) if relu else x
            with self.v1.variable_scope("BatchNorm"):
                ones = np.ones(size)
                gamma = self.variable("gamma", RNG.uniform(0.5, 1, size)) if self.gamma else ones
                beta = self.variable("beta", RNG.normal(0, 0.1, size))
                mean = self.variable("moving_mean", RNG.normal(0, 0.1, size))
                var = self.variable("moving_variance", RNG.uniform(0.5, 2, size))
                x = self.tf.nn.batch_normalization(x, mean, var, beta, gamma, self.eps)
            return self.tf.nn.relu(x) if relu else x

    def conv_same(self, x: Any, name: str, size: int, kernel: int, stride: int) -> Any:
        if stride == 1:
            return self.conv(x, name, size, kernel)
        pads = [(kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2]
        x = self.tf.pad(x, [[0, 0], pads, pads, [0, 0]])
        return self.conv(x, name, size, kernel, stride, padding="VALID")


def resnet_v1_50(slim: Slim, x: Any) -> Any:
    tf, v1 = slim.tf, slim.v1
    with v1.variable_scope("resnet_v1_50"):
        x = slim.conv_same(x, "conv1", 64, 7, 2)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for block, (units, width) in enumerate(
            zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1
        ):
            for unit in range(1, units + 1):
                stride = 2 if unit == units and block < 4 else 1
                with v1.variable_scope(f"block{block}/unit_{unit}/bottleneck_v1"):
                    if int(x.shape[-1]) == 4 * width:
                        shortcut = tf.nn.max_pool2d(x, 1, stride, "SAME")
                    else:
                        shortcut = slim.conv(x, "shortcut", 4 * width, 1, stride, relu=False)
                    y = slim.conv(x, "conv1", width, 1)
                    y = slim.conv_same(y, "conv2", width, 3, stride)
                    x = tf.nn.relu(shortcut + slim.conv(y, "conv3", 4 * width, 1, relu=False))
        x = tf.reduce_mean(x, [1, 2], keepdims=True)
        x = slim.conv(x, "logits", 1000, 1, norm=False, relu=False)
    return tf.squeeze(x, [1, 2])


# Kernels of the branches: 1x1; 3x3 reduce, 3x3; the other 3x3, too; pooling's projection.
INCEPTION = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


def inception_v1(slim: Slim, x: Any) -> Any:
    tf, v1 = slim.tf, slim.v1
    with v1.variable_scope("InceptionV1"):
        x = slim.conv(x, "Conv2d_1a_7x7", 64, 7, 2)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        x = slim.conv(x, "Conv2d_2b_1x1", 64, 1)
        x = slim.conv(x, "Conv2d_2c_3x3", 192, 3)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for name, (a, b1, b2, c1, c2, d) in INCEPTION.items():
            if name == "4b":
                x = tf.nn.max_pool2d(x, 3, 2, "SAME")
            if name == "5b":
                x = tf.nn.max_pool2d(x, 2, 2, "SAME")
            with v1.variable_scope(f"Mixed_{name}"):
                one = slim.conv(x, "Branch_0/Conv2d_0a_1x1", a, 1)
                two = slim.conv(x, "Branch_1/Conv2d_0a_1x1", b1, 1)
                two = slim.conv(two, "Branch_1/Conv2d_0b_3x3", b2, 3)
                three = slim.conv(x, "Branch_2/Conv2d_0a_1x1", c1, 1)
                odd = "Branch_2/Conv2d_0a_3x3" if name == "5b" else "Branch_2/Conv2d_0b_3x3"
                three = slim.conv(three, odd, c2, 3)
                four = tf.nn.max_pool2d(x, 3, 1, "SAME")
                four = slim.conv(four, "Branch_3/Conv2d_0b_1x1", d, 1)
                x = tf.concat([one, two, three, four], 3)
        x = tf.nn.avg_pool2d(x, 7, 1, "VALID")
        x = slim.conv(x, "Logits/Conv2d_0c_1x1", 1001, 1, norm=False, relu=False)
    return tf.squeeze(x, [1, 2])


@pytest.mark.donor
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "name, eps, gamma", [("resnet_v1_50", 1e-5, True), ("inception_v1", 1e-3, False)]
)
def test_network_of_a_checkpoint(
    tmp_path: Path, name: str, eps: float, gamma: bool, version: int
) -> None:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 224, 224, 3])
        y = globals()[name](Slim(tf, eps, gamma), x)
        v1.get_variable("global_step", initializer=7)
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=version).save(
            session, str(tmp_path / "slim.ckpt"), write_meta_graph=False
        )
        photo = RNG.standard_normal((1, 224, 224, 3)).astype(np.float32)
        expected = session.run(y, {x: photo})
    net = zoo.load(tmp_path / "slim.ckpt")
    out = net(np.ascontiguousarray(photo.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.ptp(expected))
    assert net.preset == scheme(name).preset
    assert net.classes is not None and len(net.classes) == out.shape[1]
    assert (net.classes[0] == "background") == (name == "inception_v1")


@pytest.mark.parametrize("layers", [16, 19])
def test_vgg(layers: int) -> None:
    scope = f"vgg_{layers}"
    depths = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[layers]
    tensors: dict[str, np.ndarray] = {"global_step": np.array(3)}

    def layer(name: str, *shape: int) -> None:
        tensors[f"{scope}/{name}/weights"] = RNG.standard_normal(shape).astype(np.float32)
        tensors[f"{scope}/{name}/biases"] = RNG.standard_normal(shape[-1]).astype(np.float32)

    channels = 3
    for stage, depth in enumerate(depths, 1):
        for number in range(1, depth + 1):
            layer(f"conv{stage}/conv{stage}_{number}", 3, 3, channels, stage + 3)
            channels = stage + 3
    layer("fc6", 7, 7, channels, 6)
    layer("fc7", 1, 1, 6, 5)
    layer("fc8", 1, 1, 5, 4)
    assert scheme(scope).matches(archive(tensors))
    state = scheme(scope).state_dict(archive(tensors))
    with nn.init.skip_init():
        assert list(state) == list(models.get(f"vgg{layers}").state_dict())
    for number, name in ((0, "conv1/conv1_1"), (2, "conv1/conv1_2")):
        np.testing.assert_array_equal(
            state[f"features.{number}.weight"],
            tensors[f"{scope}/{name}/weights"].transpose(3, 2, 0, 1),
        )
    pooled = RNG.standard_normal((7, 7, channels)).astype(np.float32)
    np.testing.assert_allclose(
        state["classifier.0.weight"] @ pooled.transpose(2, 0, 1).ravel(),
        np.einsum("hwc,hwco->o", pooled, tensors[f"{scope}/fc6/weights"]),
        rtol=1e-4,
    )  # fmt: skip
    np.testing.assert_array_equal(
        state["classifier.6.weight"], tensors[f"{scope}/fc8/weights"][0, 0].T
    )
    del tensors[f"{scope}/fc7/biases"]
    with pytest.raises(FormatError, match=r"must hold all layers \(name=vgg_.*/fc7/biases"):
        scheme(scope).state_dict(archive(tensors))


@pytest.mark.parametrize("layers", [101, 152])
def test_deeper_resnets(layers: int) -> None:
    scope = f"resnet_v1_{layers}"
    tensors = {}

    def layer(name: str) -> None:
        tensors[f"{scope}/{name}/weights"] = np.zeros((1, 1, 2, 2), np.float32)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            tensors[f"{scope}/{name}/BatchNorm/{part}"] = np.zeros(2, np.float32)

    layer("conv1")
    for block, units in enumerate({101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[layers], 1):
        for unit in range(1, units + 1):
            for name in ("conv1", "conv2", "conv3", *(["shortcut"] if unit == 1 else [])):
                layer(f"block{block}/unit_{unit}/bottleneck_v1/{name}")
    tensors[f"{scope}/logits/weights"] = np.zeros((1, 1, 2, 3), np.float32)
    tensors[f"{scope}/logits/biases"] = np.zeros(3, np.float32)
    fitting = [s.name for s in tf_slim.SCHEMES if s.matches(archive(tensors))]
    assert fitting == [f"tf-slim {scope}"]
    with nn.init.skip_init():
        own = models.get(f"resnet{layers}").state_dict()
    expected = {name for name in own if not name.endswith("num_batches_tracked")}
    assert set(scheme(scope).state_dict(archive(tensors))) == expected


def test_the_first_of_1001_classes_is_the_background() -> None:
    names = labels(nn.Linear(2, 1001))
    assert names is not None and len(names) == 1001
    assert names[:2] == ("background", "tench")
    assert labels(nn.Linear(2, 1002)) is None


@pytest.mark.parametrize("shape", [(), (3,), (5, 130), (3, 70, 2), (9, 5, 3, 3), (4, 0), (0, 4, 2)])
def test_weights_are_copied_in_order(shape: tuple[int, ...]) -> None:
    array = RNG.standard_normal(shape[::-1]).T
    for dtype in (None, np.float32):
        copied = in_order(array, dtype)
        assert copied.flags.c_contiguous and not np.shares_memory(copied, array)
        assert copied.dtype == (dtype or array.dtype)
        np.testing.assert_array_equal(copied, array.astype(copied.dtype))
