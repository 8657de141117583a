"""Operators as older operator sets have them, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn
from zoo.onnx_files import draw, model_of, net_of, node

X = draw(2, 3, 6, 5)
VECTOR = draw(3, seed=1)
PER_CHANNEL = VECTOR[:, None, None]


def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


# (opset, node's arguments, weights, expected, layer or None)
CASES: dict[str, tuple[int, tuple[Any, ...], dict[str, Any], dict[str, Any], Any, Any]] = {
    "clip 6": (6, ("Clip", ["x"]), {"min": -0.5, "max": 0.5}, {}, np.clip(X, -0.5, 0.5), nn.Clip),
    "clip 6 without limits": (6, ("Clip", ["x"]), {"min": 0.0}, {}, np.maximum(X, 0), nn.Clip),
    "clip 11": (
        11,
        ("Clip", ["x", "low", "high"]),
        {},
        {"low": np.float32(-0.5), "high": np.float32(0.25)},
        np.clip(X, -0.5, 0.25),
        nn.Clip,
    ),
    "clip 13 above": (
        13,
        ("Clip", ["x", "", "high"]),
        {},
        {"high": np.float32(0.25)},
        np.minimum(X, 0.25),
        nn.Clip,
    ),
    "clip 13 crossed": (
        13,
        ("Clip", ["x", "low", "high"]),
        {},
        {"low": np.float32(1), "high": np.float32(-1)},
        np.full_like(X, -1),
        None,
    ),
    "squeeze 11": (11, ("Squeeze", ["x1"]), {"axes": [1]}, {}, X[:, 0], None),
    "squeeze 13": (13, ("Squeeze", ["x1", "axes"]), {}, {"axes": ints(-3)}, X[:, 0], None),
    "unsqueeze 11": (11, ("Unsqueeze", ["x"]), {"axes": [0, 5]}, {}, X[None, ..., None], None),
    "unsqueeze 13": (
        13,
        ("Unsqueeze", ["x", "axes"]),
        {},
        {"axes": ints(-1, 0)},
        X[None, ..., None],
        None,
    ),
    "pad 1": (
        1,
        ("Pad", ["x"]),
        {"paddings": [0, 0, 1, 0, 0, 0, 0, 2]},
        {},
        np.pad(X, ((0, 0), (0, 0), (1, 0), (0, 2))),
        nn.ZeroPad2d,
    ),
    "pad 2": (
        2,
        ("Pad", ["x"]),
        {"pads": [0, 1, 1, 0, 0, 0, 0, 2], "value": 3.0},
        {},
        np.pad(X, ((0, 0), (1, 0), (1, 0), (0, 2)), constant_values=3),
        None,
    ),
    "pad 2 edge": (
        2,
        ("Pad", ["x"]),
        {"pads": [0, 0, 1, 0, 0, 0, 2, 2], "mode": "edge"},
        {},
        np.pad(X, ((0, 0), (0, 0), (1, 2), (0, 2)), mode="edge"),
        None,
    ),
    "pad 11 cuts": (
        11,
        ("Pad", ["x", "pads"]),
        {},
        {"pads": ints(0, 0, -1, 0, 0, 0, 2, -2)},
        np.pad(X[:, :, 1:, :-2], ((0, 0), (0, 0), (0, 2), (0, 0))),
        None,
    ),
    "pad 18 axes": (
        18,
        ("Pad", ["x", "pads", "", "axes"]),
        {"mode": "reflect"},
        {"pads": ints(1, 2), "axes": ints(-1)},
        np.pad(X, ((0, 0), (0, 0), (0, 0), (1, 2)), mode="reflect"),
        None,
    ),
    "reduce mean 13": (
        13,
        ("ReduceMean", ["x"]),
        {"axes": [-1, -2], "keepdims": 1},
        {},
        X.mean((2, 3), keepdims=True),
        nn.AdaptiveAvgPool2d,
    ),
    "reduce mean 18": (
        18,
        ("ReduceMean", ["x", "axes"]),
        {"keepdims": 0},
        {"axes": ints(2, 3)},
        X.mean((2, 3)),
        None,
    ),
    "reduce mean 18 of nothing": (
        18,
        ("ReduceMean", ["x"]),
        {"noop_with_empty_axes": 1},
        {},
        X,
        None,
    ),
    "reduce sum 11": (11, ("ReduceSum", ["x"]), {"axes": [1]}, {}, X.sum(1, keepdims=True), None),
    "dropout 6": (6, ("Dropout", ["x"]), {"ratio": 0.3, "is_test": 1}, {}, X, nn.Dropout),
    "dropout 12": (12, ("Dropout", ["x", "p"]), {}, {"p": np.float32(0.3)}, X, nn.Dropout),
    "slice 1": (
        1,
        ("Slice", ["x"]),
        {"starts": [1, -3], "ends": [1000, -1], "axes": [2, 3]},
        {},
        X[:, :, 1:, -3:-1],
        None,
    ),
    "slice 10 backwards": (
        10,
        ("Slice", ["x", "starts", "ends", "axes", "steps"]),
        {},
        {
            "starts": ints(-1),
            "ends": ints(-1000),
            "axes": ints(1),
            "steps": ints(-2),
        },
        X[:, ::-2],
        None,
    ),
    "add 6 axis": (
        6,
        ("Add", ["x", "v"]),
        {"broadcast": 1, "axis": 1},
        {"v": VECTOR},
        X + PER_CHANNEL,
        None,
    ),
    "mul 6 tail": (
        6,
        ("Mul", ["x", "v"]),
        {"broadcast": 1},
        {"v": draw(5)},
        X * draw(5),
        None,
    ),
    "mul 7": (7, ("Mul", ["x", "v"]), {}, {"v": PER_CHANNEL}, X * PER_CHANNEL, None),
    "softmax 11": (
        11,
        ("Softmax", ["x"]),
        {},
        {},
        softmax(X.reshape(2, -1)).reshape(X.shape),
        nn.Softmax,
    ),
    "softmax 11 axis 2": (
        11,
        ("Softmax", ["x"]),
        {"axis": 2},
        {},
        softmax(X.reshape(6, -1)).reshape(X.shape),
        nn.Softmax,
    ),
    "softmax 13": (13, ("Softmax", ["x"]), {}, {}, softmax(X), nn.Softmax),
    "log softmax 11": (
        11,
        ("LogSoftmax", ["x"]),
        {"axis": 1},
        {},
        np.log(softmax(X.reshape(2, -1))).reshape(X.shape),
        nn.LogSoftmax,
    ),
    "reshape 1": (1, ("Reshape", ["x"]), {"shape": [0, -1]}, {}, X.reshape(2, -1), nn.Reshape),
    "reshape 5": (
        5,
        ("Reshape", ["x", "s"]),
        {},
        {"s": ints(0, 3, -1)},
        X.reshape(2, 3, 30),
        nn.Reshape,
    ),
    "cast 1": (1, ("Cast", ["x"]), {"to": "FLOAT"}, {}, X, None),
    "concat 1": (1, ("Concat", ["x", "x"]), {}, {}, np.concatenate([X, X], 1), nn.Concat),
    "prelu 6": (
        6,
        ("PRelu", ["x", "v"]),
        {},
        {"v": VECTOR},
        np.where(X > 0, X, X * PER_CHANNEL),
        nn.PReLU,
    ),
    "prelu 16 pixels": (
        16,
        ("PRelu", ["x", "v"]),
        {},
        {"v": draw(6, 5)},
        np.where(X > 0, X, X * draw(6, 5)),
        None,
    ),
    "batch norm 6": (
        6,
        ("BatchNormalization", ["x", "v", "v", "v", "var"]),
        {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]},
        {"v": VECTOR, "var": VECTOR**2},
        (X - PER_CHANNEL) / np.sqrt(PER_CHANNEL**2 + 1e-5) * PER_CHANNEL + PER_CHANNEL,
        nn.BatchNorm2d,
    ),
    "gemm 6": (
        6,
        ("Gemm", ["rows", "b", "c"]),
        {"broadcast": 1, "alpha": 0.5, "beta": 2.0, "transB": 1},
        {"b": draw(4, 5), "c": draw(4, seed=3)},
        0.5 * X[0, 0] @ draw(4, 5).T + 2 * draw(4, seed=3),
        nn.Linear,
    ),
    "flatten 9 axis 3": (9, ("Flatten", ["x"]), {"axis": 3}, {}, X.reshape(36, 5), None),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_of_old_opsets(name: str) -> None:
    opset, (op, inputs), attributes, weights, expected, layer = CASES[name]
    x = {"x": X, "x1": X[:, :1], "rows": X[0, 0]}[inputs[0]]
    made = node(op, inputs, ["y"], **attributes)
    net = net_of(model_of([made], {inputs[0]: x.shape}, weights, opset=opset))
    out = net(x).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    if layer is not None:
        assert isinstance(next(net.children()), layer)


def test_training_nodes_of_old_opsets_are_refused() -> None:
    batch_norm = node("BatchNormalization", ["x", *["v"] * 4], ["y", "m", "s"])
    with pytest.raises(ValueError, match="outputs for training are known from opset 14"):
        net_of(model_of([batch_norm], {"x": X.shape}, {"v": VECTOR}, opset=9))
    dropout = node("Dropout", ["x", "p", "t"], ["y"])
    weights = {"p": np.float32(0.5), "t": np.array(True)}
    with pytest.raises(ValueError, match="dropout must be in inference mode"):
        net_of(model_of([dropout], {"x": X.shape}, weights, opset=12))


@pytest.mark.parametrize("used", [False, True])
def test_masks_of_dropout(used: bool) -> None:
    nodes = [node("Dropout", ["x"], ["y", "mask"])]
    net = net_of(model_of(nodes, {"x": X.shape}, outputs=["y", "mask"] if used else ["y"]))
    if used:
        y, mask = net(X)
        assert mask.numpy().all() and mask.shape == X.shape
    else:
        assert isinstance(next(net.children()), nn.Dropout)
        y = net(X)
    np.testing.assert_array_equal(y.numpy(), X)
