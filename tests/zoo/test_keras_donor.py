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
        if name in ("moving_variance", "variance", "gamma"):
            variable.assign(RNG.uniform(0.5, 1.5, values.shape))
        elif name in ("bias", "beta", "moving_mean", "mean", "alpha"):
            variable.assign(RNG.uniform(-0.2, 0.2, values.shape))
        elif name == "count":
            continue
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
        np.testing.assert_allclose(compiled, ours(np.asarray(expected[0])), rtol=0, atol=1e-5 * scale)


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
