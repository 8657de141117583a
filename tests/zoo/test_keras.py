"""Keras's files without Keras: written by hand, computed by the reference."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import reference, zoo
from keras_files import functional, layer, node, write_h5, write_keras

RNG = np.random.default_rng(11)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def assert_computes(net, x, expected):
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(net(x).numpy(), expected, rtol=0, atol=1e-5 * scale)
    compiled = fastconv.compile(net, x.shape)(x)
    np.testing.assert_allclose(compiled, expected, rtol=0, atol=1e-5 * scale)


def softmax(rows):
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# Keras 1.


def keras1(tmp_path, order, backend, name="net.h5"):
    """A sequential network of Keras 1, a picture, and what comes out."""
    channels_first = order == "th"
    shape = (3, 8, 9) if channels_first else (8, 9, 3)
    conv, dense, bias = random(4, 3, 3, 3), random(2 * 3 * 4, 5), random(5)
    conv_bias, gamma, beta, mean = random(4), random(4), random(4), random(4)
    variance = RNG.uniform(0.5, 2, 4).astype(np.float32)
    config = [
        layer(
            "Convolution2D",
            "conv",
            nb_filter=4,
            nb_row=3,
            nb_col=3,
            subsample=[2, 2],
            border_mode="same",
            dim_ordering=order,
            bias=True,
            activation="relu",
            batch_input_shape=[None, *shape],
        ),
        layer("BatchNormalization", "bn", mode=0, axis=1 if channels_first else -1, epsilon=1e-3),
        layer("ZeroPadding2D", "pad", padding=[0, 1], dim_ordering=order),
        layer(
            "MaxPooling2D",
            "pool",
            pool_size=[2, 2],
            strides=[2, 2],
            border_mode="valid",
            dim_ordering=order,
        ),
        layer("Dropout", "drop", p=0.5),
        layer("Flatten", "flat"),
        layer("Dense", "fc", output_dim=5, bias=True, activation="softmax"),
    ]
    # What the backend does with the kernel in the file, which is (O, I, H, W) for "th": TensorFlow
    # correlates, Theano convolves.
    in_file = conv if channels_first else conv.transpose(2, 3, 1, 0)
    kernel = conv[:, :, ::-1, ::-1] if backend == "theano" else conv
    weights = {
        "conv": [("conv_W", in_file), ("conv_b", conv_bias)],
        "bn": [
            ("bn_gamma", gamma),
            ("bn_beta", beta),
            ("bn_running_mean", mean),
            ("bn_running_std", variance),
        ],
        "pad": [],
        "pool": [],
        "drop": [],
        "flat": [],
        "fc": [("fc_W", dense), ("fc_b", bias)],
    }
    config = {"class_name": "Sequential", "config": config}
    path = write_h5(tmp_path / name, weights, config, version="1.2.2", backend=backend)

    x = random(2, 3, 8, 9)
    # Eight rows of step 2: TensorFlow pads one below, Theano one above (and one below, unused).
    # Nine columns: both pad one on each side.
    above = ((1, 0) if backend == "theano" else (0, 1), (1, 1))
    y = reference.relu(reference.conv2d(x, kernel, conv_bias, 2, above))
    y = reference.batch_norm(y, mean, variance, gamma, beta, 1e-3)
    y = reference.max_pool2d(np.pad(y, ((0, 0), (0, 0), (0, 0), (1, 1))), 2)
    assert y.shape == (2, 4, 2, 3)
    y = (y if channels_first else y.transpose(0, 2, 3, 1)).reshape(2, -1)
    return path, x, softmax(y @ dense + bias)


@pytest.mark.parametrize("order", ["th", "tf"])
@pytest.mark.parametrize("backend", [None, "theano"])
def test_keras1(tmp_path, order, backend):
    path, x, expected = keras1(tmp_path, order, backend)
    net = zoo.load(path)
    assert not net.training
    assert_computes(net, x, expected)
    assert net.input_shape == (3, 8, 9)


def test_archive_has_the_files_own_names_and_layouts(tmp_path):
    path, _, _ = keras1(tmp_path, "tf", None)
    archive = zoo.read(path)
    assert archive.format == "keras h5"
    assert archive.tensors["conv/conv_W"].shape == (3, 3, 3, 4)
    assert archive.metadata["version"] == "1.2.2"
    assert archive.metadata["layers"]["fc"] == ("fc/fc_W", "fc/fc_b")


@pytest.mark.parametrize(
    "name, flips",
    [
        ("net_th_dim_ordering_th_kernels.h5", True),
        ("net_tf_dim_ordering_th_kernels_notop.h5", True),
        ("net_th_dim_ordering_tf_kernels.h5", False),
        ("month_kernels.h5", False),
    ],
)
def test_file_names_tell_whose_kernels_they_hold(tmp_path, name, flips):
    path, _, _ = keras1(tmp_path, "th", None, name)
    archive = zoo.read(path)
    kernel = archive.build().conv.weight.data
    stored = archive.tensors["conv/conv_W"]
    np.testing.assert_array_equal(kernel, stored[:, :, ::-1, ::-1] if flips else stored)


@pytest.mark.parametrize(
    "mode, join",
    [
        ("sum", lambda a, b: a + b),
        ("ave", lambda a, b: (a + b) / 2),
        ("concat", lambda a, b: np.concatenate([a, b], 1)),
    ],
)
def test_merge_of_keras1(tmp_path, mode, join):
    k = {name: random(1, 1, 3, 4) for name in "ab"}
    nodes = [node("InputLayer", "in", batch_input_shape=[None, 5, 6, 3])]
    for name in "ab":
        nodes.append(
            node(
                "Convolution2D", name, [["in"]], border_mode="valid", dim_ordering="tf", bias=False
            )
        )
    nodes.append(node("Merge", "out", [["a", "b"]], mode=mode, concat_axis=-1))
    config = functional(*nodes, inputs=["in"], outputs=["out"])
    weights = {name: [(f"{name}_W:0", k[name])] for name in "ab"}
    path = write_h5(tmp_path / "net.h5", weights, config, version=None, backend=None)
    x = random(2, 3, 5, 6)
    branches = [np.einsum("nchw,co->nohw", x, k[name][0, 0]) for name in "ab"]
    assert_computes(zoo.load(path), x, join(*branches))


# Keras 2.


def test_layers_in_any_order_used_twice_and_inside_networks(tmp_path):
    kernel, bias, inner = random(3, 3), random(3), random(3, 3)
    inside = functional(
        node("InputLayer", "deep", batch_input_shape=[None, 3]),
        node("Dense", "fc", [["deep"]], use_bias=False, activation="linear"),
        inputs=["deep"],
        outputs=["fc"],
        name="block",
    )
    block = {**inside, "name": "block", "inbound_nodes": [[["shared", 0, 0, {}]]]}
    config = functional(
        # Keras counts the making of a network as its call 0.
        node("Subtract", "out", [[("block", 1), ("shared", 1)]]),
        block,
        node("Dense", "shared", [["in"], ["again"]], use_bias=True, activation="relu"),
        node("Activation", "again", [["in"]], activation="sigmoid"),
        node("InputLayer", "in", batch_input_shape=[None, 3]),
        inputs=["in"],
        outputs=["out"],
    )
    weights = {
        "shared": [("shared/kernel:0", kernel), ("shared/bias:0", bias)],
        "block": [("fc/kernel:0", inner)],
        "in": [],
        "again": [],
        "out": [],
    }
    net = zoo.load(write_h5(tmp_path / "net.h5", weights, config))

    def dense(x):
        return np.maximum(x @ kernel + bias, 0)

    x = random(4, 3)
    assert_computes(net, x, dense(x) @ inner - dense(1 / (1 + np.exp(-x))))
    assert len(list(net.parameters())) == 3


def test_flatten_of_concatenated_branches(tmp_path):
    dense = random(2 * 2 * 3 + 5 + 2 * 2 * 4, 6)
    config = functional(
        node("InputLayer", "a", batch_input_shape=[None, 2, 2, 3]),
        node("InputLayer", "b", batch_input_shape=[None, 5]),
        node("InputLayer", "c", batch_input_shape=[None, 2, 2, 4]),
        node("Flatten", "fa", [["a"]], data_format="channels_last"),
        node("Flatten", "fc", [["c"]], data_format="channels_last"),
        node("Concatenate", "cat", [["fa", "b", "fc"]], axis=1),
        node("Dense", "out", [["cat"]], use_bias=False),
        inputs=["a", "b", "c"],
        outputs=["out", "cat"],
    )
    weights = {"out": [("out/kernel:0", dense)]}
    net = zoo.load(write_h5(tmp_path / "net.h5", weights, config))
    a, b, c = random(2, 2, 2, 3), random(2, 5), random(2, 2, 2, 4)
    rows = np.concatenate([a.reshape(2, -1), b, c.reshape(2, -1)], 1)
    out, cat = net(a.transpose(0, 3, 1, 2), b, c.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(out.numpy(), rows @ dense, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(cat.numpy(), rows)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("extent", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [5, 6, 7])
def test_same_padding(tmp_path, size, extent, step):
    kernel = random(extent, extent, 2, 3)
    config = [
        layer(
            "Conv2D",
            "conv",
            padding="same",
            strides=[step, step],
            use_bias=False,
            batch_input_shape=[None, size, size, 2],
        ),
        layer(
            "MaxPooling2D", "max", pool_size=[extent, extent], strides=[step, step], padding="same"
        ),
        layer("AveragePooling2D", "mean", pool_size=extent, strides=step, padding="same"),
    ]
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": config}}
    net = zoo.load(write_h5(tmp_path / "net.h5", {"conv": [("conv/kernel:0", kernel)]}, config))

    def windows(x):
        """The windows of TensorFlow's rule; NaN outside of x."""
        n = x.shape[-1]
        count = -(-n // step)
        total = max((count - 1) * step + extent - n, 0)
        sides = (total // 2, total - total // 2)
        x = np.pad(x, ((0, 0), (0, 0), sides, sides), constant_values=np.nan)
        found = np.lib.stride_tricks.sliding_window_view(x, (extent, extent), (2, 3))
        return found[:, :, ::step, ::step]

    x = random(1, 2, size, size)
    expected = np.einsum("nchwij,ijco->nohw", np.nan_to_num(windows(x)), kernel)
    expected = np.nanmax(windows(expected), (-2, -1))
    expected = np.nanmean(windows(expected), (-2, -1))
    assert_computes(net, x, expected)


def test_long_lists_of_names_are_split(tmp_path):
    kernels = {f"fc{i}": random(3, 3) for i in range(5)}
    config = [layer("Dense", name, use_bias=False) for name in kernels]
    config[0]["config"]["batch_input_shape"] = [None, 3]
    path = write_h5(
        tmp_path / "net.h5",
        {name: [(f"{name}/kernel:0", kernel)] for name, kernel in kernels.items()},
        {"class_name": "Sequential", "config": config},
        chunks=3,
    )
    x = random(2, 3)
    assert_computes(zoo.load(path), x, np.linalg.multi_dot([x, *kernels.values()]))


# Keras 3.


@pytest.mark.parametrize(
    "groups",
    [
        ("layers/dense", "layers/dense_1", "layers/dense_2"),
        tuple(f"_layer_checkpoint_dependencies/dense{n}" for n in ("", "_2", "_4")),
    ],
)
def test_variables_belong_to_classes_in_order(tmp_path, groups):
    kernels = [random(4, 4) for _ in groups]
    config = [layer("InputLayer", "in", batch_shape=[None, 4])]
    config += [layer("Dense", name, use_bias=False) for name in ("z", "a", "m")]
    description = {"class_name": "Sequential", "config": {"name": "net", "layers": config}}
    variables = {f"{group}/vars/0": k for group, k in zip(groups, kernels, strict=True)}
    # A compiled network's; it is none of ours.
    variables["optimizer/vars/0"] = np.zeros((), np.int64)
    path = write_keras(tmp_path / "net.keras", description, variables)
    x = random(2, 4)
    assert_computes(zoo.load(path), x, np.linalg.multi_dot([x, *kernels]))
    assert zoo.read(path).metadata["layers"]["a"] == (f"{groups[1]}/vars/0",)


def test_variables_that_fit_no_layer_are_refused(tmp_path):
    config = [layer("InputLayer", "in", batch_shape=[None, 4]), layer("Dense", "fc")]
    description = {"class_name": "Sequential", "config": {"name": "net", "layers": config}}
    variables = {f"layers/dense_{n}/vars/0": random(4, 4) for n in (3, 5)}
    path = write_keras(tmp_path / "net.keras", description, variables)
    with pytest.raises(zoo.FormatError, match="class=dense, layers=1"):
        zoo.load(path)
