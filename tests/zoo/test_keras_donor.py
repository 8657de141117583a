"""Files that Keras 3 itself writes, and what it computes."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

import fastconv
from fastconv import zoo

pytestmark = [pytest.mark.donor, pytest.mark.slow]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    layers = keras.layers

RNG = np.random.default_rng(3)
WHOLE = [".keras", ".h5"]


def shaken(model):
    """The model with weights, statistics included, that are all different."""
    for variable in model.variables:
        name = variable.path.rsplit("/", 1)[-1]
        values = np.asarray(variable)
        if name in ("moving_variance", "gamma"):
            variable.assign(RNG.uniform(0.5, 1.5, values.shape))
        elif name in ("bias", "beta", "moving_mean", "alpha"):
            variable.assign(RNG.uniform(-0.2, 0.2, values.shape))
        elif name in ("count", "mean", "variance"):
            continue  # a Normalization's, which `adapt` has set
        else:
            fan = max(values.size // values.shape[-1], 1)
            variable.assign(RNG.standard_normal(values.shape) * np.sqrt(2 / fan))
    return model


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def pictures(model, batch=2):
    return [
        RNG.uniform(-1, 1, (batch, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs
    ]


def ours(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def assert_same(net, model, compiles=True):
    xs = pictures(model)
    expected = model(xs if len(xs) > 1 else xs[0], training=False)
    expected = expected if isinstance(expected, list | tuple) else [expected]
    out = net(*map(ours, xs))
    out = out if isinstance(out, tuple) else (out,)
    assert len(out) == len(expected)
    for mine, theirs in zip(out, map(np.asarray, expected), strict=True):
        theirs = ours(theirs)
        scale = np.abs(theirs).max()
        assert mine.shape == theirs.shape
        assert scale > 1e-3 and theirs.std() > 1e-4 * scale
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-5 * scale)
    if compiles:
        compiled = fastconv.compile(net, ours(xs[0]).shape, winograd=False)(ours(xs[0]))
        np.testing.assert_allclose(
            compiled, ours(np.asarray(expected[0])), rtol=0, atol=1e-5 * scale
        )


def inception():
    x = inputs = layers.Input((35, 33, 3))
    x = layers.Rescaling([0.5, 1.0, 2.0], [0.1, -0.1, 0.2])(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    a = layers.Conv2D(4, 1, activation="relu")(x)
    b = layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2)(x)
    b = layers.LeakyReLU(negative_slope=0.1)(b)
    c = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    c = layers.Conv2D(5, (1, 5), padding="same", dilation_rate=2, groups=1)(c)
    c = layers.PReLU(shared_axes=[1, 2])(c)
    d = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.Concatenate()([a, b, c, d])
    y = layers.Conv2D(23, 3, padding="same", groups=23)(x)
    x = layers.Add()([x, y])
    x = layers.Average()([x, y])
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.Conv2D(8, 4, strides=3, padding="same", activation="leaky_relu")(x)
    x = layers.Dropout(0.4)(x)
    p = layers.Flatten()(x)
    p = layers.BatchNormalization()(p)
    q = layers.GlobalAveragePooling2D()(x)
    r = layers.GlobalMaxPooling2D()(x)
    x = layers.Concatenate()([p, q, r])
    x = layers.Dense(12, activation="tanh")(x)
    x = layers.Dense(7, activation="softmax")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("suffix", WHOLE)
def test_functional_model_with_branches(tmp_path, suffix):
    model = shaken(inception())
    net = zoo.load(saved(model, tmp_path / f"net{suffix}"))
    assert net.input_shape == (3, 35, 33)
    assert_same(net, model)


@pytest.mark.parametrize("suffix", [*WHOLE, ".weights.h5"])
@pytest.mark.parametrize("name", ["VGG16", "ResNet50"])
def test_keras_applications(tmp_path, name, suffix):
    model = getattr(keras.applications, name)(weights=None, classes=11, classifier_activation=None)
    net = zoo.load(saved(shaken(model), tmp_path / f"net{suffix}"))
    assert_same(net, model)
    if suffix == ".weights.h5":
        assert type(net).__module__.startswith("fastconv.models")
        assert (net.preset.order, net.preset.mean) == ("BGR", (103.939, 116.779, 123.68))


def test_networks_of_whole_files_can_be_asked_for_by_name(tmp_path):
    model = shaken(
        keras.applications.ResNet101(weights=None, classes=5, classifier_activation=None)
    )
    net = zoo.load(saved(model, tmp_path / "net.keras"), "resnet101")
    assert type(net).__name__ == "ResNet"
    assert_same(net, model, compiles=False)


def transfer():
    base = keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(6, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Conv2D(6, 3, strides=2),
            layers.ReLU(max_value=6),
        ],
        name="base",
    )
    inner = layers.Input((7, 7, 6))
    block = keras.Model(inner, layers.Add()([inner, layers.Conv2D(6, 1)(inner)]), name="block")
    return keras.Sequential([base, block, layers.Flatten(), layers.Dense(4)])


def used_twice():
    shared = layers.Conv2D(3, 3, padding="same")
    block = keras.Sequential([layers.Conv2D(3, 1), layers.BatchNormalization()], name="block")
    a, b = layers.Input((8, 8, 3), name="a"), layers.Input((8, 8, 3), name="b")
    x, y = block(shared(a)), block(shared(b))
    z = layers.Subtract()([x, y])
    # The last two outputs are rows and maps.
    return keras.Model([a, b], [layers.Dense(5)(z), layers.Flatten()(x), y])


def attention():
    x = inputs = layers.Input((12, 10, 8))
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(8, 1, activation="sigmoid")(s)
    x = layers.Multiply()([x, s])
    x = layers.Conv2D(4, 3, activation="silu")(x)
    x = layers.Permute((2, 1, 3))(x)
    x = layers.Reshape((4, 10, 8))(x)
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(3, 2, strides=(3, 1))(x)
    x = layers.Reshape((-1, 3))(x)
    return keras.Model(inputs, layers.Softmax()(x))


def rows():
    x = inputs = layers.Input((10,))
    norm = layers.Normalization()
    norm.adapt(RNG.uniform(1, 3, (50, 10)))
    x = norm(x)
    x = layers.Dense(4 * 3 * 5)(x)
    x = layers.Reshape((4, 3, 5))(x)
    x = layers.Conv2D(6, 2)(x)
    x = layers.Flatten()(x)
    x = layers.PReLU()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize(
    "make, compiles",
    [(transfer, True), (used_twice, False), (attention, False), (rows, False)],
)
def test_other_networks(tmp_path, make, compiles, suffix):
    model = shaken(make())
    assert_same(zoo.load(saved(model, tmp_path / f"net{suffix}")), model, compiles)


@pytest.mark.parametrize("suffix", WHOLE)
def test_any_size_of_picture(tmp_path, suffix):
    x = inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(5, 4, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    model = shaken(keras.Model(inputs, layers.Dense(2)(x)))
    net = zoo.load(saved(model, tmp_path / f"net{suffix}"))
    x = RNG.standard_normal((2, 11, 13, 3)).astype(np.float32)
    expected = np.asarray(model(x))
    np.testing.assert_allclose(net(ours(x)).numpy(), expected, atol=1e-5 * np.abs(expected).max())


def ordered(data_format, shape, axis):
    order = {"data_format": data_format}
    x = inputs = layers.Input(shape)
    x = layers.Conv2D(5, 3, strides=2, padding="same", **order)(x)
    x = layers.BatchNormalization(axis=axis)(x)
    x = layers.AveragePooling2D(2, padding="same", **order)(x)
    x = layers.Concatenate(axis=axis)([x, x])
    x = layers.Flatten(**order)(x)
    return keras.Model(inputs, layers.Dense(4)(x))


@pytest.mark.parametrize("suffix", WHOLE)
def test_channels_first(tmp_path, suffix):
    # TensorFlow cannot run it on CPUs, but it is made to compute what its twin does.
    model = ordered("channels_first", (3, 9, 8), 1)
    twin = shaken(ordered("channels_last", (9, 8, 3), -1))
    model.set_weights(twin.get_weights())
    assert_same(zoo.load(saved(model, tmp_path / f"net{suffix}")), twin)


@pytest.mark.parametrize("suffix", WHOLE)
def test_bfloat16(tmp_path, suffix):
    model = shaken(keras.Sequential([layers.Input((6,)), layers.Dense(4, dtype="bfloat16")]))
    net = zoo.load(saved(model, tmp_path / f"net{suffix}"))
    kernel = np.asarray(model.get_weights()[0], np.float32)
    weight = next(value for name, value in net.state_dict().items() if name.endswith("weight"))
    np.testing.assert_array_equal(weight, kernel.T)


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: layers.Lambda(lambda x: x + 1, name="mine"), "'mine' .Lambda."),
        (lambda: layers.Conv2D(2, 3, activation="gelu", name="mine"), "'mine' .Conv2D.*gelu"),
        (lambda: layers.Resizing(4, 4, name="mine"), "'mine' .Resizing."),
        (lambda: layers.ReLU(threshold=1.0, name="mine"), "'mine' .ReLU.*threshold"),
        (lambda: layers.Conv2D(2, 3, padding="same", strides=2, name="mine"), "'mine'.*size"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path, layer, message, suffix):
    model = keras.Sequential([layers.Input((None, None, 3)), layer()])
    with pytest.raises(zoo.FormatError, match=message):
        zoo.load(saved(model, tmp_path / f"net{suffix}"))


def resnet50_of_2015():
    """ResNet-50 as in the file with Caffe's names: biases, epsilon 1e-3, no padding at pool1."""

    def unit(x, name, width, size, stride=1, padding="valid"):
        # res2a_branch2a is normalised by bn2a_branch2a, conv1 by bn_conv1.
        norm = f"bn{name[3:]}" if name.startswith("res") else f"bn_{name}"
        x = layers.Conv2D(width, size, strides=stride, padding=padding, name=name)(x)
        return layers.BatchNormalization(name=norm)(x)

    x = inputs = layers.Input((224, 224, 3))
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Activation("relu")(unit(x, "conv1", 64, 7, 2))
    x = layers.MaxPooling2D(3, strides=2)(x)
    assert x.shape[1] == 55
    for stage, depth in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        width = 32 << (stage - 1)
        for block in "abcdef"[:depth]:
            name, stride = f"res{stage}{block}_branch", 2 if block == "a" and stage > 2 else 1
            shortcut = unit(x, f"{name}1", 4 * width, 1, stride) if block == "a" else x
            y = layers.Activation("relu")(unit(x, f"{name}2a", width, 1, stride))
            y = layers.Activation("relu")(unit(y, f"{name}2b", width, 3, padding="same"))
            x = layers.Add()([unit(y, f"{name}2c", 4 * width, 1), shortcut])
            x = layers.Activation("relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(7)(x))
    return keras.Model(inputs, layers.Dense(6, name="fc1000")(x))


def test_resnet_of_2015(tmp_path):
    model = shaken(resnet50_of_2015())
    net = zoo.load(saved(model, tmp_path / "net.h5"), "resnet50")
    assert type(net).__name__ == "ResNet" and net.maxpool.padding == 0
    assert_same(net, model, compiles=False)
    state = net.state_dict()
    for variable in model.get_layer("bn2b_branch2b").variables:
        if variable.name == "moving_variance":  # epsilon's difference is in it
            mine = state["layer1.1.bn2.running_var"]
            np.testing.assert_allclose(mine, np.asarray(variable) + 0.00099, rtol=1e-6)
