"""Caffe2's files, against NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from caffe_files import argument, fill, message, net_def, operator, text
from caffe_networks import close, normal, refusals
from fastconv import reference, zoo
from fastconv.data import Preset
from fastconv.zoo import FormatError

pytest.importorskip("google.protobuf")

X = normal(2, 6, 5, 7)
ROWS = normal(2, 6)


def load(
    folder: Path,
    operators: list[bytes],
    weights: dict[str, Any],
    shape: tuple[int, ...] | None = None,
    output: str = "y",
    name: str = "net",
) -> Any:
    """Write both files as Caffe2's exporter does, and load the network."""
    inputs = ["x", *weights]
    (folder / "predict_net.pb").write_bytes(net_def(name, operators, inputs, [output]))
    dummy = operator("GivenTensorFill", (), ("x",), shape=[1, 1], values=[0.0])
    fills = [fill(key, array) for key, array in weights.items()]
    (folder / "init_net.pb").write_bytes(net_def(name, [*fills, dummy]))
    if shape is not None:
        (folder / "value_info.json").write_text(json.dumps({"x": [1, [1, *shape[1:]]]}))
    return zoo.load(folder / "predict_net.pb")


def alexnet() -> tuple[list[bytes], dict[str, Any]]:
    """The beginning and the end of Caffe2's AlexNet, a translation of Caffe's."""
    pool = {"legacy_pad": 3, "kernel": 3, "stride": 2, "pad": 0, "order": "NCHW"}
    operators = [
        operator("Conv", ["x", "conv1_w", "conv1_b"], ["conv1"], stride=2, pad=0, kernel=5),
        operator("Relu", ["conv1"], ["conv1"]),
        operator(
            "LRN", ["conv1"], ["norm1", "_norm1_scale"], size=5, alpha=0.5, beta=0.75, bias=2.0
        ),
        operator("MaxPool", ["norm1"], ["pool1"], **pool),
        operator(
            "Conv", ["pool1", "conv2_w", "conv2_b"], ["conv2"], kernels=[3, 3], pads=[1, 1, 1, 1],
            strides=[1, 1], group=2,
        ),
        operator("FC", ["conv2", "fc_w", "fc_b"], ["fc"]),
        operator("Dropout", ["fc"], ["fc", "_fc_mask"], ratio=0.5, is_test=1),
        operator("Softmax", ["fc"], ["y"]),
    ]  # fmt: skip
    weights = {
        "conv1_w": normal(8, 3, 5, 5),
        "conv1_b": normal(8),
        "conv2_w": normal(4, 4, 3, 3),
        "conv2_b": normal(4),
        "fc_w": normal(10, 4 * 36),
        "fc_b": normal(10),
    }
    return operators, weights


def test_alexnet(tmp_path: Path) -> None:
    operators, w = alexnet()
    net = load(tmp_path, operators, w, (1, 3, 28, 28), name="AlexNet")
    x = normal(2, 3, 28, 28)
    y = np.maximum(reference.conv2d(x, w["conv1_w"], w["conv1_b"], 2), 0)  # 12
    y = reference.local_response_norm(y, 5, 0.5, 0.75, 2.0)
    y = reference.max_pool2d(y, 3, 2, ceil_mode="caffe")
    assert y.shape[2] == 6  # rounded up
    y = reference.conv2d(y, w["conv2_w"], w["conv2_b"], 1, 1, groups=2)
    y = np.exp(y.reshape(2, -1) @ w["fc_w"].T + w["fc_b"])
    y /= y.sum(1, keepdims=True)
    close(net(x), y)
    close(fastconv.compile(net, x.shape)(x), y)
    assert net.preset == Preset.caffe(28, None, (104.0, 117.0, 123.0))
    (tmp_path / "value_info.json").unlink()
    other = zoo.load(tmp_path / "init_net.pb")
    close(other(x), y)
    assert other.input_shape is None


def test_named_files_in_any_order(tmp_path: Path) -> None:
    operators, weights = alexnet()
    load(tmp_path, operators, weights)
    network = (tmp_path / "predict_net.pb").rename(tmp_path / "a.bin")
    values = (tmp_path / "init_net.pb").rename(tmp_path / "b.bin")
    x = normal(1, 3, 28, 28)
    first = zoo.load(network, weights=values)(x).numpy()
    np.testing.assert_array_equal(zoo.load(values, weights=network)(x).numpy(), first)
    (tmp_path / "both.pb").write_bytes(values.read_bytes() + network.read_bytes())
    np.testing.assert_array_equal(zoo.load(tmp_path / "both.pb")(x).numpy(), first)
    with pytest.raises(FormatError, match="one file must hold the network"):
        zoo.load(values)
    with pytest.raises(FormatError, match="one file must hold the network"):
        zoo.load(network, weights=network)
    with pytest.raises(FormatError, match="weights must be constants"):
        zoo.load(network)


def same(x: Any, kernel: int, stride: int) -> Any:
    """Padding of legacy_pad SAME: the odd pixel at the right and the bottom."""
    sides = []
    for size in x.shape[2:]:
        needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides.append((needed // 2, needed - needed // 2))
    return np.pad(x, ((0, 0), (0, 0), *sides))


W = normal(4, 6, 3, 3)
HALF = normal(4, 3, 3, 3)
V = normal(6)
NORM = {"s": normal(6, seed=1), "b": normal(6, seed=2), "m": V, "v": np.abs(V) + 1}


def column(vector: Any) -> Any:
    return vector[:, None, None]


CASES: list[tuple[str, str, list[str], dict[str, Any], dict[str, Any], Any]] = [
    ("SAME", "Conv", ["W"], {"kernel": 3, "stride": 2, "legacy_pad": 2}, {"W": W},
     lambda x: reference.conv2d(same(x, 3, 2), W, None, 2)),
    ("VALID", "Conv", ["W"], {"kernel": 3, "legacy_pad": 1}, {"W": W},
     lambda x: reference.conv2d(x, W)),
    ("uneven padding", "Conv", ["W", "B"], {"kernel_h": 3, "kernel_w": 3, "pad_t": 1, "pad_l": 0,
     "pad_b": 0, "pad_r": 2, "stride_h": 1, "stride_w": 2}, {"W": W, "B": normal(4)},
     lambda x: reference.conv2d(
         np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2))), W, normal(4), (1, 2))),
    ("dilation", "Conv", ["W"], {"kernel": 3, "dilation": 2, "group": 2, "pad": 2}, {"W": HALF},
     lambda x: reference.conv2d(x, HALF, None, 1, 2, 2, 2)),
    ("rounded down", "MaxPool", [], {"kernel": 2, "stride": 2}, {},
     lambda x: reference.max_pool2d(x, 2, 2)),
    ("Caffe's rounding", "MaxPool", [], {"kernel": 2, "stride": 2, "legacy_pad": 3}, {},
     lambda x: reference.max_pool2d(x, 2, 2, ceil_mode="caffe")),
    ("averages leave padding out", "AveragePool", [], {"kernel": 3, "stride": 2, "pad": 1}, {},
     lambda x: reference.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    ("averages of Caffe's size", "AveragePool", [], {"kernel": 2, "stride": 2, "legacy_pad": 3},
     {}, lambda x: reference.avg_pool2d(x, 2, 2, ceil_mode="caffe", count_include_pad=False)),
    ("global average", "AveragePool", [], {"global_pooling": 1, "kernel": 0}, {},
     lambda x: x.mean((2, 3), keepdims=True)),
    ("global maximum", "MaxPool", [], {"global_pooling": 1}, {},
     lambda x: x.max((2, 3), keepdims=True)),
    ("SpatialBN", "SpatialBN", ["s", "b", "m", "v"], {"is_test": 1, "epsilon": 0.01}, NORM,
     lambda x: (x - column(NORM["m"])) / np.sqrt(column(NORM["v"]) + 0.01) * column(NORM["s"])
     + column(NORM["b"])),
    ("LeakyRelu", "LeakyRelu", [], {"alpha": 0.25}, {}, lambda x: np.where(x > 0, x, x / 4)),
    ("PRelu", "PRelu", ["V"], {}, {"V": V}, lambda x: np.where(x > 0, x, x * column(V))),
    ("Sigmoid", "Sigmoid", [], {}, {}, lambda x: 1 / (1 + np.exp(-x))),
    ("Tanh", "Tanh", [], {}, {}, np.tanh),
    ("Clip", "Clip", [], {"min": 0.0, "max": float(np.finfo(np.float32).max)}, {},
     lambda x: np.maximum(x, 0)),
    ("add a channel's", "Add", ["V"], {"broadcast": 1, "axis": 1}, {"V": V},
     lambda x: x + column(V)),
    ("multiply with a channel's", "Mul", ["V"], {}, {"V": V.reshape(6, 1, 1)},
     lambda x: x * column(V)),
    ("multiply with a number", "Mul", ["V"], {"broadcast": 1}, {"V": V[:1]}, lambda x: x * V[0]),
    ("multiply with itself", "Mul", ["x"], {}, {}, lambda x: x * x),
    ("subtract", "Sub", ["x"], {}, {}, lambda x: x - x),
    ("Sum", "Sum", ["x", "x"], {}, {}, lambda x: 3 * x),
    ("Concat", "Concat", ["x"], {"order": "NCHW"}, {}, lambda x: np.concatenate([x, x], 1)),
    ("Concat, axis", "Concat", ["x"], {"axis": 2}, {}, lambda x: np.concatenate([x, x], 2)),
    ("Flatten", "Flatten", [], {}, {}, lambda x: x.reshape(2, -1)),
    ("Reshape", "Reshape", [], {"shape": [0, -1, 7]}, {}, lambda x: x.reshape(2, 30, 7)),
    ("Transpose", "Transpose", [], {"axes": [0, 2, 3, 1]}, {}, lambda x: x.transpose(0, 2, 3, 1)),
    ("Copy", "Copy", [], {}, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(
    "kind, more, arguments, weights, expected", [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_operator(
    tmp_path: Path,
    kind: str,
    more: list[str],
    arguments: dict[str, Any],
    weights: dict[str, Any],
    expected: Any,
) -> None:
    outputs = ["y", "_extra"] if kind in ("Concat", "Reshape") else ["y"]
    operators = [operator(kind, ["x", *more], outputs, **arguments)]
    if kind == "Copy":  # a network must compute something
        operators.append(operator("Relu", ["y"], ["y"]))
        expected = lambda x: np.maximum(x, 0)  # noqa: E731
    net = load(tmp_path, operators, weights, X.shape)
    close(net(X), expected(X))


def test_maps_with_channels_last(tmp_path: Path) -> None:
    """A network of NHWC computes in its own order, weights included."""
    order = {"order": "NHWC"}
    weight, full = normal(4, 3, 3, 6), normal(5, 5 * 7 * 4)
    operators = [
        operator("Conv", ["x", "w"], ["c"], kernel=3, pad=1, **order),
        operator("MaxPool", ["c"], ["p"], kernel=3, pad=1, **order),
        operator("Concat", ["p", "c"], ["both", "_dims"], **order),
        operator("Sum", ["p", "c"], ["sum"]),
        operator("FC", ["sum", "full", "b"], ["y"]),
    ]
    weights = {"w": weight, "full": full, "b": normal(5)}
    x = np.ascontiguousarray(X.transpose(0, 2, 3, 1))
    c = reference.conv2d(X, weight.transpose(0, 3, 1, 2), None, 1, 1)
    total = (c + reference.max_pool2d(c, 3, 1, 1)).transpose(0, 2, 3, 1)
    net = load(tmp_path, operators, weights, x.shape)
    close(net(x), total.reshape(2, -1) @ full.T + normal(5))
    both = load(tmp_path, operators, weights, x.shape, "both")
    assert both(x).shape == (2, 5, 7, 8)


@pytest.mark.parametrize("kind", ["FC", "FCTransposed"])
def test_fully_connected(tmp_path: Path, kind: str) -> None:
    weight = normal(4, 6)
    given = weight if kind == "FC" else np.ascontiguousarray(weight.T)
    net = load(
        tmp_path, [operator(kind, ["x", "w", "b"], ["y"])], {"w": given, "b": normal(4)}, ROWS.shape
    )
    close(net(ROWS), ROWS @ weight.T + normal(4))


def test_shared_weights(tmp_path: Path) -> None:
    operators = [
        operator("FC", ["x", "w", "b"], ["a"]),
        operator("Relu", ["a"], ["a"]),
        operator("FC", ["a", "w", "b"], ["y"]),
    ]
    net = load(tmp_path, operators, {"w": normal(6, 6), "b": V})
    assert len(list(net.parameters())) == 2
    first = np.maximum(ROWS @ normal(6, 6).T + V, 0)
    close(net(ROWS), first @ normal(6, 6).T + V)


def test_integers_bytes_and_constants(tmp_path: Path) -> None:
    """Shapes come as integers, biases as a constant; bytes come in a text."""
    init = [
        operator("GivenTensorInt64Fill", (), ("shape",), shape=[2], values=[0, -1]),
        operator("ConstantFill", (), ("b",), shape=[4], value=0.5),
        operator("ConstantFill", (), ("x",), shape=[1, 6, 5, 7]),
        operator("GivenTensorByteStringToUInt8Fill", (), ("u",), shape=[2, 2], values=b"\1\2\3\4"),
        fill("w", normal(4, 210)),
    ]
    # The bytes of a text that is not in a list are in "strings" of one.
    operators = [
        operator("Reshape", ["x", "shape"], ["rows", "_old"]),
        operator("FC", ["rows", "w", "b"], ["y"]),
    ]
    (tmp_path / "init_net.pb").write_bytes(net_def("", init))
    (tmp_path / "predict_net.pb").write_bytes(net_def("", operators, ["x"], ["y"]))
    archive = zoo.read(tmp_path / "init_net.pb")
    assert archive.format == "caffe2"
    np.testing.assert_array_equal(archive.tensors["u"], np.array([[1, 2], [3, 4]], np.uint8))
    net = zoo.load(tmp_path / "init_net.pb")
    assert net.input_shape == (6, 5, 7)
    close(net(X), X.reshape(2, -1) @ normal(4, 210).T + 0.5)


def test_text(tmp_path: Path) -> None:
    (tmp_path / "predict_net.pbtxt").write_text(
        'name: "n"\nop { input: "x" input: "w" output: "y" type: "Conv" '
        'arg { name: "kernel" i: 3 } '
        'engine: "CUDNN" device_option { device_type: 1 } }\nexternal_output: "y"\n'
    )
    (tmp_path / "init_net.pb").write_bytes(net_def("", [fill("w", W)]))
    close(zoo.load(tmp_path / "predict_net.pbtxt")(X), reference.conv2d(X, W))


REFUSED = [
    ("an operator", operator("Cast", ["x"], ["y"]), "type that this library has .*'Cast'"),
    ("a value of nobody", operator("Add", ["x", "z"], ["y"]), "unknown='z'"),
    ("a cycle", operator("Sum", ["x", "y"], ["y"]), "unknown='y'"),
    ("no kernel", operator("MaxPool", ["x"], ["y"]), r"from 1 to 4096 .*kernel=\[0\]"),
    ("a large one", operator("MaxPool", ["x"], ["y"], kernel=1 << 40), "from 1 to 4096"),
    ("other weights", operator("Conv", ["x", "w"], ["y"], kernel=2), "the kernel's size"),
    ("weights computed", operator("Conv", ["x", "x"], ["y"], kernel=2), "constants of the files"),
    ("training", operator("SpatialBN", ["x", "v", "v", "v", "v"], ["y"]), "that of inference"),
    ("negative padding", operator("MaxPool", ["x"], ["y"], kernel=2, pad=-1), "from 0 to 4096"),
    ("an order", operator("MaxPool", ["x"], ["y"], kernel=2, order="CHWN"), "NCHW or NHWC"),
    ("softmax of maps", operator("Softmax", ["x"], ["y"]), "over all of them"),
    ("even norm", operator("LRN", ["x"], ["y"], size=4), "size must be odd"),
    ("the batch", operator("Concat", ["x", "x"], ["y"], axis=0), "from 1 on"),
    ("a mixed batch", operator("Reshape", ["x"], ["y"], shape=[-1, 7]), "must keep the batch"),
    ("a constant elsewhere", operator("Add", ["x", "v"], ["y"], broadcast=1), "in axis 1"),
    ("no inputs", operator("Relu", [], ["y"]), "read and write something"),
    ("limits", operator("Clip", ["x"], ["y"], min=float("nan"), max=1.0), "limits in order"),
]  # fmt: skip


@pytest.mark.parametrize("op, match", [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refusals_name_the_operator(tmp_path: Path, op: bytes, match: str) -> None:
    with pytest.raises(FormatError, match=f"^caffe2: .*{match}"):
        load(tmp_path, [op], {"w": W, "v": V}, X.shape)


@pytest.mark.parametrize(
    "op, match",
    [
        (operator("XavierFill", (), ("w",), shape=[4, 6, 3, 3]), "given as values"),
        (operator("UniformFill", (), ("w",), shape=[4, 6, 3, 3]), "given as values"),
        (operator("GivenTensorFill", (), ("w",), shape=[4, 6, 3, 3], values=[1.0]), "as many"),
        (operator("GivenTensorFill", (), ("w",), shape=[-4, -6], values=[1.0]), "absurd"),
        (operator("ConstantFill", (), ("w",), shape=[1 << 31, 1 << 31]), "absurd"),
        (operator("ConstantFill", (), ("w",), shape=[4, 6, 3, 3], dtype=4), "must be numbers"),
        (operator("GivenTensorInt64Fill", (), ("w",), shape=[4], values=[1, 2, 3, 4]), "axes"),
        (message(2, text(2, "w"), text(4, "GivenTensorStringFill"), argument("values", "a")), "."),
    ],
)
def test_weights_that_are_none(tmp_path: Path, op: bytes, match: str) -> None:
    operators = [operator("Conv", ["x", "w"], ["y"], kernel=3)]
    (tmp_path / "predict_net.pb").write_bytes(net_def("", operators, ["x"], ["y"]))
    (tmp_path / "init_net.pb").write_bytes(net_def("", [op]))
    with pytest.raises(FormatError, match=f"^caffe2: .*{match}"):
        zoo.load(tmp_path / "predict_net.pb")


@pytest.mark.parametrize(
    "content", ["[", "{}", '{"x": 1}', '{"x": [1, ["a"]]}', '{"x": [1, [1, 0]]}']
)
def test_value_info_that_lies(tmp_path: Path, content: str) -> None:
    load(tmp_path, [operator("Relu", ["x"], ["y"])], {})
    (tmp_path / "value_info.json").write_text(content)
    with pytest.raises(FormatError, match="^caffe2: "):
        zoo.load(tmp_path / "predict_net.pb")


def test_cut_and_damaged_files_raise_value_errors(tmp_path: Path) -> None:
    operators, weights = alexnet()
    load(tmp_path, operators, {key: w * 0 for key, w in weights.items()}, (1, 3, 28, 28))
    path = tmp_path / "predict_net.pb"
    assert refusals(path, every=5) > 150
