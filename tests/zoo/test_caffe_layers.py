"""Caffe's layers one by one, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from caffe_files import blob, caffemodel, layer, message, varint
from caffe_networks import close, layer_text, normal, write
from fastconv import nn, reference, zoo

pytest.importorskip("google.protobuf")

X = normal(2, 6, 5, 7)
MAP = normal(2, 6)


def one(kind: str, **param: str) -> str:
    """A network of one layer that reads `x` and writes `y`."""
    return layer_text(kind, "layer", "x", "y", **param)


def load(folder: Path, layers: str, weights: dict[str, Any], *shapes: Any) -> nn.Module:
    names = ["x", "x2"][: len(shapes)]
    text = "".join(f'input: "{name}" ' for name in names)
    for shape in shapes:
        text += "input_shape { " + " ".join(f"dim: {n}" for n in (10, *shape[1:])) + " }\n"
    return zoo.load(write(folder, text + layers, caffemodel("", weights)))


def across(x: Any) -> Any:
    """LRN of 3 channels, alpha 2, beta 0.5, k 1.5."""
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    total = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    return x / np.sqrt(1.5 + 2 / 3 * total)


def within(x: Any) -> Any:
    """LRN of 3x3 pixels, alpha 2, beta 0.75; k is not looked at."""
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(squares, (3, 3), (2, 3))
    return x / (1 + 2 / 9 * windows.sum((-2, -1))) ** 0.75


def average(x: Any) -> Any:
    """3x3 windows, stride 2, padding 1: 5x7 -> 3x4, and on the right a window at 2 * 3 - 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows = []
    for i in range(3):
        rows.append([padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(4)])
    # Divided by the window's area inside the padding.
    return np.stack([np.stack([w.mean((2, 3)) for w in row], -1) for row in rows], -2)


def column(vector: Any) -> Any:
    return vector[:, None, None]


def mean_of_windows_past_the_edge(x: Any) -> Any:
    """2x2, stride 2, without padding, on 5x7: the last ones have one row or column."""
    rows = [slice(0, 2), slice(2, 4), slice(4, 5)]
    columns = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    return np.stack([np.stack([x[:, :, r, c].mean((2, 3)) for c in columns], -1) for r in rows], -2)


W = normal(4, 3, 3, 3)
B = normal(4)
FULL = normal(4, 6 * 35)
FACTORS = normal(6, seed=1)
SHIFTS = normal(6, seed=2)
MEANS = normal(6, seed=3)
VARIANCES = np.abs(normal(6, seed=4)) + 0.1

CASES: list[tuple[str, str, list[Any], Callable[[Any], Any]]] = [
    (
        "grouped and dilated convolution",
        one(
            "Convolution",
            convolution_param="num_output: 4 kernel_size: 3 kernel_size: 3 group: 2 dilation: 2 "
            "pad: 2 pad: 1 stride: 1 stride: 2",
        ),
        [W, B],
        lambda x: reference.conv2d(x.astype(float), W, B, (1, 2), (2, 1), 2, 2),
    ),
    (
        "convolution without bias",
        one(
            "Convolution",
            convolution_param="num_output: 4 kernel_h: 3 kernel_w: 3 stride_h: 2 stride_w: 1 "
            "group: 2 bias_term: false",
        ),
        [W],
        lambda x: reference.conv2d(x.astype(float), W, None, (2, 1), groups=2),
    ),
    (
        "within channels",
        one("LRN", lrn_param="local_size: 3 alpha: 2 k: 7 norm_region: WITHIN_CHANNEL"),
        [],
        within,
    ),
    (
        "across channels",
        one("LRN", lrn_param="local_size: 3 alpha: 2 beta: 0.5 k: 1.5"),
        [],
        across,
    ),
    (
        "AVE pads",
        one("Pooling", pooling_param="pool: AVE kernel_size: 3 stride: 2 pad: 1"),
        [],
        average,
    ),
    (
        "AVE past the edge",
        one("Pooling", pooling_param="pool: AVE kernel_size: 2 stride: 2"),
        [],
        mean_of_windows_past_the_edge,
    ),
    (
        "rounded down",
        one("Pooling", pooling_param="pool: MAX kernel_size: 2 stride: 2 round_mode: FLOOR"),
        [],
        lambda x: x[:, :, :4, :6].reshape(2, 6, 2, 2, 3, 2).max((3, 5)),
    ),
    (
        "global AVE",
        one("Pooling", pooling_param="pool: AVE global_pooling: true"),
        [],
        lambda x: x.mean((2, 3), keepdims=True),
    ),
    (
        "global MAX",
        one("Pooling", pooling_param="pool: MAX global_pooling: true"),
        [],
        lambda x: x.max((2, 3), keepdims=True),
    ),
    (
        "transposed",
        one("InnerProduct", inner_product_param="num_output: 4 transpose: true"),
        [FULL.T.copy(), B],
        lambda x: x.reshape(2, -1) @ FULL.T + B,
    ),
    (
        "inner product of the last axes",
        one("InnerProduct", inner_product_param="num_output: 4 axis: 2"),
        [FULL[:, :35].copy(), B],
        lambda x: x.reshape(2, 6, -1) @ FULL[:, :35].T + B,
    ),
    (
        "leaky",
        one("ReLU", relu_param="negative_slope: 0.1"),
        [],
        lambda x: np.where(x > 0, x, x / 10),
    ),
    ("PReLU", one("PReLU"), [FACTORS], lambda x: np.where(x > 0, x, x * column(FACTORS))),
    (
        "shared PReLU",
        one("PReLU", prelu_param="channel_shared: true"),
        [FACTORS[:1]],
        lambda x: np.where(x > 0, x, x * FACTORS[0]),
    ),
    ("Sigmoid", one("Sigmoid"), [], lambda x: 1 / (1 + np.exp(-x))),
    ("TanH", one("TanH"), [], np.tanh),
    ("AbsVal", one("AbsVal"), [], np.abs),
    ("Power", one("Power", power_param="scale: 3 shift: -1"), [], lambda x: 3 * x - 1),
    ("Clip", one("Clip", clip_param="min: -0.1 max: 0.2"), [], lambda x: x.clip(-0.1, 0.2)),
    ("Dropout", one("Dropout", dropout_param="dropout_ratio: 0.4"), [], lambda x: x),
    (
        "Softmax",
        one("Softmax", softmax_param="axis: -3"),
        [],
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ),
    (
        "BatchNorm",
        one("BatchNorm", batch_norm_param="eps: 0.01"),
        [MEANS * 4, VARIANCES * 4, np.array([4.0])],
        lambda x: (x - column(MEANS)) / np.sqrt(column(VARIANCES) + 0.01),
    ),
    (
        "BatchNorm of nothing yet",
        one("BatchNorm"),
        [MEANS, VARIANCES, np.array([0.0])],
        lambda x: x / np.sqrt(1e-5),
    ),
    (
        "BatchNorm and a bias, not in place",
        layer_text("BatchNorm", "norm", "x") + layer_text("Bias", "layer", "norm", "y"),
        [SHIFTS],
        lambda x: (x - column(MEANS)) / np.sqrt(column(VARIANCES) + 1e-5) + column(SHIFTS),
    ),
    (
        "BatchNorm that others read, too",
        layer_text("BatchNorm", "norm", "x")
        + layer_text("Scale", "layer", "norm", "scaled")
        + layer_text("Eltwise", "sum", "norm scaled", "y"),
        [FACTORS],
        lambda x: (x - column(MEANS)) / np.sqrt(column(VARIANCES) + 1e-5) * column(1 + FACTORS),
    ),
    ("Scale", one("Scale"), [FACTORS], lambda x: x * column(FACTORS)),
    (
        "Scale with a bias",
        one("Scale", scale_param="bias_term: true axis: -3"),
        [FACTORS, SHIFTS],
        lambda x: x * column(FACTORS) + column(SHIFTS),
    ),
    ("Bias", one("Bias"), [SHIFTS], lambda x: x + column(SHIFTS)),
    ("Flatten", one("Flatten"), [], lambda x: x.reshape(2, -1)),
    (
        "Flatten two axes",
        one("Flatten", flatten_param="axis: 1 end_axis: 2"),
        [],
        lambda x: x.reshape(2, 30, 7),
    ),
    (
        "Reshape",
        one("Reshape", reshape_param="shape { dim: 0 dim: 3 dim: 2 dim: -1 }"),
        [],
        lambda x: x.reshape(2, 3, 2, 35),
    ),
    (
        "Reshape with the batch",
        one("Reshape", reshape_param="shape { dim: 10 dim: -1 }"),
        [],
        lambda x: x.reshape(2, 210),
    ),
    (
        "Reshape inside",
        one("Reshape", reshape_param="shape { dim: 3 dim: 2 } axis: 1 num_axes: 1"),
        [],
        lambda x: x.reshape(2, 3, 2, 5, 7),
    ),
    (
        "Reshape tail",
        one("Reshape", reshape_param="shape { dim: 0 dim: -1 } axis: 1"),
        [],
        lambda x: x.reshape(2, 6, 35),
    ),
    (
        "Permute",
        one("Permute", permute_param="order: 0 order: 2 order: 3"),
        [],
        lambda x: x.transpose(0, 2, 3, 1),
    ),
]


@pytest.mark.parametrize("text, blobs, expected", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_layer(tmp_path: Path, text: str, blobs: list[Any], expected: Any) -> None:
    weights = {"layer": blobs, "norm": [MEANS, VARIANCES, np.ones(1)]}
    net = load(tmp_path, text, weights, X.shape)
    close(net(X), expected(X))


TWO: list[tuple[str, str, Callable[[Any, Any], Any]]] = [
    ("SUM", "", lambda x, y: x + y),
    ("weighted", "operation: SUM coeff: 2 coeff: -0.5", lambda x, y: 2 * x - y / 2),
    ("difference", "coeff: 1 coeff: -1", lambda x, y: x - y),
    ("PROD", "operation: PROD", lambda x, y: x * y),
    ("MAX", "operation: MAX", np.maximum),
]


@pytest.mark.parametrize("param, expected", [c[1:] for c in TWO], ids=[c[0] for c in TWO])
@pytest.mark.parametrize("shape", [(2, 6, 5, 7), (2, 9)], ids=["maps", "rows"])
def test_eltwise(tmp_path: Path, param: str, expected: Any, shape: tuple[int, ...]) -> None:
    text = layer_text("Eltwise", "e", "x x2", "y", eltwise_param=param)
    net = load(tmp_path, text, {}, shape, shape)
    # A sum of large and small shows a maximum that was computed with differences.
    x, y = normal(*shape), normal(*shape, seed=1) * np.float32(1e8)
    np.testing.assert_allclose(net(x, y).numpy(), expected(x, y), rtol=1e-6)


def test_concat_and_slice(tmp_path: Path) -> None:
    text = (
        'layer { name: "cut" type: "Slice" bottom: "x" top: "a" top: "b" top: "c" '
        "slice_param { slice_point: 1 slice_point: 4 } }"
        'layer { name: "halves" type: "Slice" bottom: "c" top: "d" top: "e" }'
        + layer_text("Concat", "joined", "b e a d", "y", concat_param="concat_dim: 1")
    )
    net = load(tmp_path, text, {}, X.shape)
    close(net(X), X[:, [1, 2, 3, 5, 0, 4]])
    close(fastconv.compile(net, X.shape)(X), X[:, [1, 2, 3, 5, 0, 4]])


def test_several_outputs(tmp_path: Path) -> None:
    text = 'layer { name: "cut" type: "Slice" bottom: "x" top: "a" top: "b" }'
    net = load(tmp_path, text, {}, X.shape)
    assert net.outputs == ("a", "b")
    for actual, expected in zip(net(X), (X[:, :3], X[:, 3:]), strict=True):
        close(actual, expected)


def test_in_place_layers_leave_copies_alone(tmp_path: Path) -> None:
    """A split's outputs are values of their own, whatever becomes of the input."""
    text = (
        'layer { name: "s" type: "Split" bottom: "x" top: "x_0" top: "x_1" }'
        + layer_text("ReLU", "r", "x_0", "x_0")
        + layer_text("TanH", "t", "x_0", "x_0")
        + layer_text("Eltwise", "e", "x_0 x_1 x", "y")
    )
    net = load(tmp_path, text, {}, X.shape)
    close(net(X), np.tanh(np.maximum(X, 0)) + 2 * X)


def test_batch_norm_of_rows(tmp_path: Path) -> None:
    weights = {"layer": [MEANS, VARIANCES, np.ones(1)], "scale": [FACTORS, SHIFTS]}
    text = layer_text("BatchNorm", "layer", "x", "y") + layer_text(
        "Scale", "scale", "y", "y", scale_param="bias_term: true"
    )
    net = load(tmp_path, text, weights, MAP.shape)
    close(net(MAP), (MAP - MEANS) / np.sqrt(VARIANCES + 1e-5) * FACTORS + SHIFTS)


def test_batch_statistics_when_the_file_insists(tmp_path: Path) -> None:
    text = one("BatchNorm", batch_norm_param="use_global_stats: false")
    net = load(tmp_path, text, {"layer": [MEANS, VARIANCES, np.ones(1)]}, X.shape)
    mean, var = X.mean((0, 2, 3)), X.var((0, 2, 3))
    close(net(X), (X - column(mean)) / np.sqrt(column(var) + 1e-5))


def test_shared_weights(tmp_path: Path) -> None:
    first, second = (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
        'inner_product_param { num_output: 6 } param { name: "w" } param { name: "b" } }'
        for name, bottom in (("a", "x"), ("b", "a"))
    )
    weight, bias = normal(6, 6), normal(6)
    net = load(tmp_path, first + second, {"a": [weight, bias], "b": [weight, bias]}, MAP.shape)
    assert net.b.weight is net.a.weight
    assert len(list(net.parameters())) == 2
    close(net(MAP), (MAP @ weight.T + bias) @ weight.T + bias)


def test_compiles_what_caffe_alone_has(tmp_path: Path) -> None:
    text = (
        layer_text("LRN", "n", "x", lrn_param="local_size: 3 alpha: 2 norm_region: WITHIN_CHANNEL")
        + layer_text("Power", "p", "n", power_param="scale: 3 shift: -1")
        + layer_text("AbsVal", "a", "p")
        + layer_text("Eltwise", "e", "a n", "y", eltwise_param="coeff: 2 coeff: 0.5")
    )
    net = load(tmp_path, text, {}, X.shape)
    expected = 2 * np.abs(3 * within(X) - 1) + within(X) / 2
    close(net(X), expected)
    close(fastconv.compile(net, X.shape)(X), expected)


@pytest.mark.parametrize("how", ["unpacked", "double", "pieces"])
def test_every_way_to_write_numbers(tmp_path: Path, how: str) -> None:
    weight, bias = normal(4, 6), normal(4)
    if how == "pieces":
        contents = [_pieces(weight), blob(bias)]
    else:
        options = {"packed": how != "unpacked", "double": how == "double"}
        contents = [blob(array, **options) for array in (weight, bias)]
    text = 'input: "x" input_shape { dim: 1 dim: 6 }' + one(
        "InnerProduct", inner_product_param="num_output: 4"
    )
    net = zoo.load(write(tmp_path, text, layer("layer", "InnerProduct", contents)))
    close(net(MAP), MAP @ weight.T + bias)


def _pieces(array: Any) -> bytes:
    """A blob whose numbers come in two packed fields."""
    halves = (message(5, half.tobytes()) for half in np.split(array.ravel(), 2))
    return b"".join(halves) + message(7, message(1, *(varint(n) for n in array.shape)))


def test_deconvolution(tmp_path: Path) -> None:
    weight, bias = normal(6, 2, 4, 4), normal(4)
    text = one("Deconvolution", convolution_param="num_output: 4 kernel_size: 4 stride: 2 group: 2")
    net = load(tmp_path, text, {"layer": [weight, bias]}, X.shape)
    # The gradient of a convolution by its input.
    expected = reference.conv2d_backward_input(X, weight, (2, 4, 12, 16), 2, groups=2)
    close(net(X), expected + column(bias))
