"""TensorFlow's own files: what it computes from them is what the network computes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, zoo

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

pytestmark = [
    pytest.mark.donor,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
tf = pytest.importorskip("tensorflow", exc_type=ImportError)
tf1 = tf.compat.v1

RNG = np.random.default_rng(11)


def weights(*shape: int) -> np.ndarray:
    """Values of such a size that activations keep theirs."""
    fan_in = max(1, int(np.prod(shape[:-1])))
    return RNG.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)


def vector(size: int, low: float = -0.5, high: float = 0.5) -> np.ndarray:
    return RNG.uniform(low, high, size).astype(np.float32)


def pictures(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def check(net: nn.Module, x: np.ndarray, expected: np.ndarray, compiled: bool = True) -> None:
    """Within 1e-5 of the range, compiled as well; feature maps are NCHW here."""
    expected = pictures(expected)
    for run in (net, *([fastconv.compile(net, pictures(x).shape)] if compiled else [])):
        out = run(pictures(x))
        out = out if isinstance(out, np.ndarray) else out.numpy()
        assert out.shape == expected.shape
        assert np.ptp(expected) > 1e-3, "nothing is compared"
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def frozen(
    path: Path, function: Callable[[Any], Any], *shape: int | None, dtype: Any = None
) -> Path:
    """Write what TensorFlow 2 makes of a function."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    spec = tf.TensorSpec(shape, dtype or tf.float32)
    graph = convert_variables_to_constants_v2(tf.function(function).get_concrete_function(spec))
    path.write_bytes(graph.graph.as_graph_def().SerializeToString())
    return path


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    "kernel, stride, dilation", [(3, 1, 1), (3, 2, 1), (2, 2, 1), (5, 3, 1), (1, 2, 1), (3, 1, 2)]
)
def test_windows(
    tmp_path: Path, size: int, padding: str, kernel: int, stride: int, dilation: int
) -> None:
    w, d = weights(kernel, kernel, 3, 6), weights(kernel, kernel, 6, 2)

    def function(x: Any) -> Any:
        x = tf.nn.conv2d(x, w, stride, padding, dilations=dilation)
        x = tf.nn.depthwise_conv2d(
            x, d, [1, 1, 1, 1] if dilation > 1 else [1, stride, stride, 1], "SAME",
            dilations=[1, 1],
        )  # fmt: skip
        x = tf.concat(
            [
                tf.nn.max_pool2d(x, kernel, stride, "SAME"),
                tf.nn.avg_pool2d(x, kernel, stride, "SAME"),
            ],
            3,
        )
        return x

    x = RNG.standard_normal((2, size, size, 3)).astype(np.float32)
    net = zoo.load(frozen(tmp_path / "net.pb", function, None, size, size, 3))
    check(net, x, function(x).numpy())


def test_explicit_padding_and_groups(tmp_path: Path) -> None:
    w, g = weights(3, 3, 4, 8), weights(3, 3, 2, 8)

    def function(x: Any) -> Any:
        x = tf.nn.conv2d(x, w, 2, [[0, 0], [2, 1], [0, 3], [0, 0]])
        x = tf.pad(x, [[0, 0], [1, 1], [0, 2], [0, 0]])
        x = tf.nn.conv2d(x, g, 1, "VALID")
        return tf.nn.max_pool2d(tf.pad(x - 5.0, [[0, 0], [1, 0], [0, 1], [0, 0]]), 2, 2, "VALID")

    x = RNG.standard_normal((2, 11, 9, 4)).astype(np.float32)
    try:
        expected = function(x).numpy()
    except tf.errors.UnimplementedError:
        pytest.skip("this build has no grouped convolutions")
    net = zoo.load(frozen(tmp_path / "net.pb", function, None, 11, 9, 4))
    assert not any(
        isinstance(m, nn.ZeroPad2d) and isinstance(n, nn.Conv2d)
        for m, n in zip(net.children(), list(net.children())[1:], strict=False)
    )
    check(net, x, expected)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: tf.nn.relu(x),
    "relu6": lambda x: tf.nn.relu6(4 * x),
    "leaky": lambda x: tf.nn.leaky_relu(x, 0.1),
    "sigmoid": lambda x: tf.sigmoid(x),
    "tanh": lambda x: tf.tanh(x),
    "softmax": lambda x: tf.nn.softmax(x),
    "log_softmax": lambda x: tf.nn.log_softmax(x),
    "clip": lambda x: tf.clip_by_value(x, -0.3, 0.4),
    "limits": lambda x: tf.minimum(tf.maximum(x, -0.3), 0.6),
    "hard swish": lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6),
    "neg": lambda x: tf.add_n([-x, x * x, x]),
    "one minus": lambda x: 1.0 - x / 3.0,
    "quotient": lambda x: x / (tf.sigmoid(x) + 1.0),
    "gate": lambda x: x * tf.sigmoid(tf.reduce_mean(x, [1, 2], keepdims=True)),
    "lrn": lambda x: tf.nn.local_response_normalization(x, 2, 1.5, 0.7, 0.6),
    "global max": lambda x: tf.reduce_max(x, [1, 2]),
    "global mean": lambda x: tf.reduce_mean(x, [2, 1]),
    "squeeze": lambda x: tf.squeeze(tf.reduce_mean(x, [1, 2], keepdims=True), [1, 2]),
    "expand": lambda x: x - tf.expand_dims(tf.expand_dims(tf.reduce_mean(x, [1, 2]), 1), 1),
    "shuffle": lambda x: tf.reshape(
        tf.transpose(tf.reshape(x, [-1, 7, 8, 2, 3]), [0, 1, 2, 4, 3]), [-1, 7, 8, 6]
    ),
    "transposes": lambda x: tf.transpose(tf.transpose(x, [0, 3, 1, 2]) * 2.0, [0, 2, 3, 1]),
    "turned": lambda x: tf.transpose(x, [0, 2, 1, 3]),
}  # fmt: skip


# `compile` knows no products of values, nor other orders of axes.
NOT_COMPILED = {"hard swish", "neg", "quotient", "gate", "expand", "shuffle", "turned"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_operations(tmp_path: Path, name: str) -> None:
    w, b = weights(3, 3, 3, 6), vector(6)

    def function(x: Any) -> Any:
        return ACTIVATIONS[name](tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b))

    x = RNG.standard_normal((2, 7, 8, 3)).astype(np.float32)
    net = zoo.load(frozen(tmp_path / "net.pb", function, None, 7, 8, 3))
    check(net, x, function(x).numpy(), name not in NOT_COMPILED)


def test_flatten_keeps_the_order_of_features(tmp_path: Path) -> None:
    w, a, b = weights(3, 3, 3, 5), weights(4 * 6 * 5, 7), weights(7, 4)
    scale, shift = vector(120), vector(120)

    def function(x: Any) -> Any:
        x = tf.nn.conv2d(x, w, 1, "SAME")
        x = tf.reshape(x, [tf.shape(x)[0], -1])
        x = tf.nn.relu(x * scale + shift)
        return tf.matmul(tf.matmul(x, a) + 0.3, b), tf.concat([x, x], 1)

    x = RNG.standard_normal((3, 4, 6, 3)).astype(np.float32)
    net = zoo.load(frozen(tmp_path / "net.pb", function, None, 4, 6, 3))
    for out, expected in zip(net(pictures(x)), function(x), strict=True):
        np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=0, atol=1e-5)
    assert sum(isinstance(m, nn.Permute) for m in net.modules()) == 1  # for the second output


def test_batch_norms(tmp_path: Path) -> None:
    w, gamma, beta, mean = weights(3, 3, 3, 6), vector(6, 0.5, 2), vector(6), vector(6)
    var = vector(6, 0.5, 2)

    def function(x: Any) -> Any:
        x = tf.nn.conv2d(x, w, 1, "SAME")
        x, *_ = tf1.nn.fused_batch_norm(x, gamma, beta, mean, var, 0.01, is_training=False)
        x = tf.nn.batch_normalization(x, mean, var, beta, gamma, 1e-3)
        return tf1.nn.batch_norm_with_global_normalization(x, mean, var, beta, gamma, 0.1, True)

    x = RNG.standard_normal((2, 6, 6, 3)).astype(np.float32)
    net = zoo.load(frozen(tmp_path / "net.pb", function, None, 6, 6, 3))
    check(net, x, function(x).numpy())
    assert any(
        isinstance(m, nn.BatchNorm2d) and m.eps == pytest.approx(0.01) for m in net.modules()
    )
    assert all(type(m).__name__ != "Sub" for m in net.modules())


def test_nchw_graph(tmp_path: Path) -> None:
    """TensorFlow cannot run it on CPUs everywhere: compared with the same network in NHWC."""
    w, b, m = weights(3, 3, 3, 6), vector(6), weights(6 * 4 * 4, 5)
    gamma, var = vector(6, 0.5, 2), vector(6, 0.5, 2)

    def function(x: Any, order: str) -> Any:
        axes = [1, 2] if order == "NHWC" else [2, 3]
        x = tf.nn.conv2d(x, w, 2, "SAME", order)
        x = tf.nn.bias_add(x, b, order)
        x, *_ = tf1.nn.fused_batch_norm(x, gamma, b, b, var, data_format=order, is_training=False)
        x = x * tf.reduce_mean(x, axes, keepdims=True)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME", order)
        if order == "NHWC":
            x = tf.transpose(x, [0, 3, 1, 2])
        return tf.matmul(tf.reshape(x, [-1, 6 * 4 * 4]), m)

    x = RNG.standard_normal((2, 15, 16, 3)).astype(np.float32)
    path = frozen(tmp_path / "net.pb", lambda x: function(x, "NCHW"), None, 3, 15, 16)
    check(zoo.load(path), x, function(x, "NHWC").numpy(), compiled=False)
    both = frozen(
        tmp_path / "both.pb",
        lambda x: function(tf.transpose(x, [0, 3, 1, 2]), "NCHW"),
        None, 15, 16, 3,
    )  # fmt: skip
    net = zoo.load(both)
    check(net, x, function(x, "NHWC").numpy(), compiled=False)
    assert not any(isinstance(m, nn.Permute) for m in net.modules())


class Version1:
    """A network as TensorFlow 1's users wrote it, in a graph and a session."""

    def __init__(self, partitioned: bool = False) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x = tf1.placeholder(tf.float32, [None, 12, 12, 1], "images")
            self.keep = tf1.placeholder_with_default(1.0, [], "keep_prob")
            self.training = tf1.placeholder(tf.bool, [], "is_training")
            self.keep_fed = tf1.placeholder(tf.float32, [], "keep_fed")
            parts = tf1.fixed_size_partitioner(3, axis=3) if partitioned else None
            with tf1.variable_scope("net", partitioner=parts, use_resource=False):
                kernel = tf1.get_variable("kernel", initializer=tf.constant(weights(3, 3, 1, 9)))
            self.kernel = tf.convert_to_tensor(kernel)
            x = tf1.nn.conv2d(self.x, self.kernel, 2, "SAME", name="conv")
            with tf1.variable_scope("rest", use_resource=True):
                bias = tf1.get_variable("bias", initializer=tf.constant(vector(9)))
                matrix = tf1.get_variable("matrix", initializer=tf.constant(weights(324, 5)))
            x = tf.nn.relu(x + bias)
            x = tf1.cond(self.training, lambda: x * 100.0, lambda: x / 2.0)
            x = tf1.nn.dropout(x, keep_prob=self.keep)
            x = tf.reshape(x, [tf.shape(x)[0], 324])
            # As dropout was made until version 1.13.
            mask = tf.floor(self.keep_fed + tf1.random_uniform(tf.shape(x)))
            x = tf1.div(x, self.keep_fed) * mask
            self.y = tf.nn.softmax(tf.matmul(x, matrix), name="probabilities")
            self.saver = tf1.train.Saver()
            self.first_version = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
            self.session = tf1.Session()
            self.session.run(tf1.global_variables_initializer())

    def run(self, x: np.ndarray) -> np.ndarray:
        feeds = {self.x: x, self.training: False, self.keep_fed: 1.0}
        out: np.ndarray = self.session.run(self.y, feeds)
        return out


@pytest.fixture(params=["control flow v1", "control flow v2"])
def control_flow(request: Any) -> Any:
    was = tf1.control_flow_v2_enabled()
    (tf1.enable_control_flow_v2 if request.param.endswith("2") else tf1.disable_control_flow_v2)()
    yield request.param
    (tf1.enable_control_flow_v2 if was else tf1.disable_control_flow_v2)()


def test_frozen_graph_of_version_1(tmp_path: Path, control_flow: str) -> None:
    donor = Version1()
    graph = tf1.graph_util.convert_variables_to_constants(
        donor.session, donor.graph.as_graph_def(), ["probabilities"]
    )
    (tmp_path / "net.pb").write_bytes(graph.SerializeToString())
    x = RNG.standard_normal((2, 12, 12, 1)).astype(np.float32)
    check(zoo.load(tmp_path / "net.pb"), x, donor.run(x))


@pytest.mark.parametrize("partitioned", [False, True])
def test_saved_model_of_version_1(tmp_path: Path, partitioned: bool) -> None:
    tf1.disable_control_flow_v2()
    donor = Version1(partitioned)
    with donor.graph.as_default():
        tf1.saved_model.simple_save(
            donor.session, str(tmp_path / "model"), {"x": donor.x}, {"y": donor.y}
        )
    x = RNG.standard_normal((2, 12, 12, 1)).astype(np.float32)
    archive = zoo.read(tmp_path / "model")
    assert archive.format == "tensorflow saved model"
    assert archive.tensors["net/kernel"].shape == (3, 3, 1, 9)
    net = zoo.load(tmp_path / "model")
    assert net.inputs == ("x",)
    check(net, x, donor.run(x))


@pytest.mark.parametrize("partitioned", [False, True])
def test_checkpoints_of_version_1(tmp_path: Path, partitioned: bool) -> None:
    tf1.disable_control_flow_v2()
    donor = Version1(partitioned)
    with donor.graph.as_default():
        donor.saver.save(donor.session, str(tmp_path / "second"), write_meta_graph=False)
        donor.first_version.save(donor.session, str(tmp_path / "first"), write_meta_graph=False)
        values = {
            name: donor.session.run(f"{name}/Read/ReadVariableOp:0")
            for name in ("rest/bias", "rest/matrix")
        }
        values["net/kernel"] = donor.session.run(donor.kernel)
    for name in ("second", "second.index", "second.data-00000-of-00001", "first"):
        archive = zoo.read(tmp_path / name)
        assert set(archive.tensors) == set(values)
        for key, array in values.items():
            assert archive.tensors[key].dtype == array.dtype == np.float32
            np.testing.assert_array_equal(archive.tensors[key], array)


def test_checkpoint_of_version_2(tmp_path: Path) -> None:
    variables = {
        "float": tf.Variable(weights(3, 3, 2, 4)),
        "half": tf.Variable(tf.cast(weights(5, 2), tf.float16)),
        "brain": tf.Variable(tf.cast(weights(5, 2), tf.bfloat16)),
        "count": tf.Variable(7, dtype=tf.int64),
        "text": tf.Variable("not a weight"),
        "none": tf.Variable(np.zeros((0, 3), np.float32)),
    }
    path = tf.train.Checkpoint(**variables).write(str(tmp_path / "ckpt"))
    tensors = zoo.read(path).tensors
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    found = {k.removesuffix(suffix): v for k, v in tensors.items() if k.endswith(suffix)}
    assert set(found) == {*variables} - {"text"}
    for name, array in found.items():
        np.testing.assert_array_equal(array, variables[name].numpy().astype(array.dtype))


def test_saved_model_of_a_module(tmp_path: Path) -> None:
    """Functions in functions, variables of one name."""

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [tf.Variable(weights(3, 3, c, 4)) for c in (2, 4)]  # all "Variable"

        @tf.function
        def layer(self, x: Any, weight: Any) -> Any:
            return tf.nn.relu(tf.nn.conv2d(x, weight, 2, "SAME"))

        @tf.function(input_signature=[tf.TensorSpec([None, 9, 10, 2], tf.float32, "photo")])
        def __call__(self, x: Any) -> Any:
            for weight in self.layers:
                x = self.layer(x, weight)
            return {"features": x}

    donor = Net()
    tf.saved_model.save(donor, str(tmp_path / "model"))
    x = RNG.standard_normal((2, 9, 10, 2)).astype(np.float32)
    for path in (tmp_path / "model", tmp_path / "model" / "saved_model.pb"):
        net = zoo.load(path)
        assert net.inputs == ("photo",)
        check(net, x, donor(x)["features"].numpy())


def test_keras_network_exported(tmp_path: Path) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    entry = keras.Input((33, 33, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(entry)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", strides=2)(x)
    x = layers.LeakyReLU()(x)
    y = layers.PReLU(shared_axes=[1, 2], alpha_initializer="uniform")(layers.Conv2D(16, 1)(x))
    x = layers.Concatenate()([layers.Add()([x, y]), y])
    x = layers.MaxPool2D(3, 2, padding="same")(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.SeparableConv2D(8, 3, activation="relu")(x)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    x = layers.Dense(12, activation="tanh")(x)
    donor = keras.Model(entry, layers.Dense(5, activation="softmax")(x))
    for variable in donor.non_trainable_variables:
        if variable.name.startswith("moving"):
            variable.assign(vector(variable.shape[0], 0.5, 2))
    donor.export(str(tmp_path / "model"), verbose=False)
    x = RNG.standard_normal((2, 33, 33, 3)).astype(np.float32)
    net = zoo.load(tmp_path / "model")
    check(net, x, donor(x, training=False).numpy())
    net.replace_head(3)
    assert net(pictures(x)).shape == (2, 3)


def test_dropout_in_training_is_a_dropout(tmp_path: Path) -> None:
    w = weights(4, 5)

    def function(x: Any) -> Any:
        return tf.matmul(tf.nn.dropout(tf.nn.relu(x), 0.25), w)

    net = zoo.load(frozen(tmp_path / "net.pb", function, None, 4))
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [pytest.approx(0.25)]
    x = RNG.standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_allclose(net(x).numpy(), np.maximum(x, 0) @ w, rtol=1e-5, atol=1e-6)


def test_lenet_with_a_flat_input(tmp_path: Path) -> None:
    w, m = weights(5, 5, 1, 4), weights(14 * 14 * 4, 3)

    def function(x: Any) -> Any:
        x = tf.nn.conv2d(tf.reshape(x, [-1, 28, 28, 1]), w, 2, "SAME")
        return tf.matmul(tf.reshape(tf.sigmoid(x), [-1, 14 * 14 * 4]), m)

    x = RNG.standard_normal((2, 784)).astype(np.float32)
    check(zoo.load(frozen(tmp_path / "net.pb", function, None, 784)), x, function(x).numpy())
