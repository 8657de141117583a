"""ONNX files as networks: which layers they become, and what those compute and learn."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fastconv
from fastconv import nn, zoo
from zoo.onnx_files import draw, model_of, net_of, node, reference

X = draw(2, 3, 8, 8)


def small(batch: int | str = "n") -> Any:
    """A convolutional network as PyTorch writes it, with a shape that is computed."""
    nodes = [
        node("Conv", ["x", "c.weight", "c.bias"], ["a"], "/c/Conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "b.weight", "b.bias", "b.mean", "b.var"], ["b"]),
        node("Relu", ["b"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["p"], ["q"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Concat", ["p", "q"], ["j"], axis=1),
        node("Shape", ["j"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["u"]),
        node("Concat", ["u", "rest"], ["t"], axis=0),
        node("Reshape", ["j", "t"], ["f"]),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], transB=1),
    ]
    weights = {
        "c.weight": draw(4, 3, 3, 3),
        "c.bias": draw(4),
        "b.weight": draw(4, seed=1),
        "b.bias": draw(4, seed=2),
        "b.mean": draw(4, seed=3),
        "b.var": np.square(draw(4, seed=4)) + 0.5,
        "zero": np.array(0),
        "axes": np.array([0]),
        "rest": np.array([-1]),
        "fc.weight": draw(5, 128),
        "fc.bias": draw(5),
    }
    return model_of(nodes, {"x": [batch, 3, 8, 8]}, weights)


def test_a_file_becomes_ordinary_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(small(), path)
    net = zoo.load(path)
    kinds = [type(layer) for layer in net.children()]
    assert kinds == [
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.ReLU,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.Concat,
        nn.Reshape,  # whose computed shape ONNX infers: the layers that compute it are gone
        nn.Linear,
    ]
    assert list(net.state_dict())[:3] == ["c.weight", "c.bias", "b.weight"]
    assert not net.training
    np.testing.assert_allclose(net(X).numpy(), reference(small(), X), rtol=1e-4, atol=1e-5)
    compiled = fastconv.compile(net, X.shape)
    np.testing.assert_allclose(compiled(X), net(X).numpy(), rtol=1e-4, atol=1e-4)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again(X).numpy(), net(X).numpy())


def test_it_learns_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(small(), path)
    archive = zoo.read(path)
    assert archive.format == "onnx" and archive.build is not None
    assert archive.metadata["framework"] == "test" and archive.metadata["opset"] == {"ai.onnx": 17}
    net = archive.build().train()
    before = {name: array.copy() for name, array in net.state_dict().items()}
    net(X).sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and np.abs(parameter.grad).max() > 0
        parameter.data -= parameter.grad
    assert all((net.state_dict()[name] != before[name]).any() for name in before)
    np.testing.assert_array_equal(archive.build().state_dict()["c.weight"], draw(4, 3, 3, 3))


@pytest.mark.parametrize("batch", ["n", 1, 2, 7])
def test_any_batch_runs_whatever_the_file_was_exported_with(batch: int | str) -> None:
    net = net_of(small(batch))
    both = net(X).numpy()
    for i in range(2):
        np.testing.assert_allclose(net(X[i : i + 1]).numpy(), both[i : i + 1], rtol=1e-4, atol=1e-5)


def test_the_shape_of_a_picture_is_the_inputs() -> None:
    assert net_of(small(7)).input_shape == (3, 8, 8)
    relu = [node("Relu", ["x"], ["y"])]
    for shape in (["n", 3, "h", 8], ["n", 3, 8], [1, 3, 0, 8]):
        assert net_of(model_of(relu, {"x": shape}, {})).input_shape is None
    both = [node("Add", ["x", "z"], ["y"])]
    assert net_of(model_of(both, {name: [1, 3, 8, 8] for name in "xz"}, {})).input_shape is None


def test_a_reshape_to_the_exported_batch_keeps_any_batch() -> None:
    """Channel shuffling as Caffe2 exports it: every size a number."""
    nodes = [
        node("Reshape", ["x", "split"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "join"], ["c"]),
        node("Reshape", ["c", "flat"], ["y"]),
    ]
    shapes = {"split": [1, 3, 2, 4, 4], "join": [1, 6, 4, 4], "flat": [1, 96]}
    weights = {name: np.array(shape) for name, shape in shapes.items()}
    net = net_of(model_of(nodes, {"x": [1, 6, 4, 4]}, weights))
    x = draw(3, 6, 4, 4)
    expected = x.reshape(3, 3, 2, 4, 4).swapaxes(1, 2).reshape(3, 96)
    np.testing.assert_array_equal(net(x).numpy(), expected)


def test_shapes_that_nobody_infers_are_computed_while_running() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "two", "four"], ["hw"]),
        node("Div", ["hw", "halves"], ["small"]),
        node("Mul", ["small", "halves"], ["even"]),
        node("Cast", ["even"], ["sizes"], to=onnx.TensorProto.INT64),
        node("Slice", ["x", "zeros", "sizes", "axes"], ["y"]),
    ]
    weights = {
        "two": np.array([2]),
        "four": np.array([4]),
        "halves": np.array([2, 2]),
        "zeros": np.array([0, 0]),
        "axes": np.array([2, 3]),
    }
    net = net_of(model_of(nodes, {"x": ["n", 3, "h", "w"]}, weights))
    for h, w in [(5, 6), (7, 4)]:
        x = draw(2, 3, h, w)
        np.testing.assert_array_equal(net(x).numpy(), x[:, :, : h // 2 * 2, : w // 2 * 2])


def test_weights_that_nodes_compute_are_weights() -> None:
    """As in ONNX's light models, and as weights that are stored transposed."""
    half = onnx.helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [0.5])
    nodes = [
        node("ConstantOfShape", ["shape"], ["w"], value=half),
        node("Transpose", ["stored"], ["fc"], perm=[1, 0]),
        node("Conv", ["x", "w"], ["a"]),
        node("GlobalAveragePool", ["a"], ["b"]),
        node("Flatten", ["b"], ["c"]),
        node("MatMul", ["c", "fc"], ["d"]),
        node("Add", ["d", "bias"], ["y"]),
    ]
    weights = {"shape": np.array([4, 3, 2, 2]), "stored": draw(5, 4), "bias": draw(5)}
    model = model_of(nodes, {"x": ["n", 3, 8, 8]}, weights)
    net = net_of(model)
    shapes = [parameter.shape for parameter in net.parameters()]
    assert shapes == [(4, 3, 2, 2), (5, 4), (5,)]
    np.testing.assert_allclose(net(X).numpy(), reference(model, X), rtol=1e-4, atol=1e-5)


def test_what_constant_nodes_hold_is_no_weight() -> None:
    value = onnx.numpy_helper.from_array(draw(3, 1, 1))
    nodes = [
        node("Constant", [], ["mean"], value=value),
        node("Sub", ["x", "mean"], ["a"]),
        node("Mul", ["a", "scale"], ["y"]),
    ]
    net = net_of(model_of(nodes, {"x": ["n", 3, 8, 8]}, {"scale": draw(3, 1, 1, seed=1)}))
    assert [parameter.shape for parameter in net.parameters()] == [(3, 1, 1)]
    expected = (X - draw(3, 1, 1)) * draw(3, 1, 1, seed=1)
    np.testing.assert_allclose(net(X).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(fastconv.compile(net, X.shape)(X), expected, rtol=1e-5, atol=1e-6)


def test_shared_weights_stay_shared() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Conv", ["a", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    net = net_of(model_of(nodes, {"x": ["n", 3, 8, 8]}, {"w": draw(3, 3, 3, 3)}))
    assert len(list(net.parameters())) == 1


def test_initializers_that_are_inputs_too_are_weights() -> None:
    model = model_of(
        [node("Conv", ["x", "w"], ["y"])], {"x": ["n", 3, 8, 8]}, {"w": draw(4, 3, 3, 3)}
    )
    model.graph.input.insert(0, onnx.helper.make_tensor_value_info("w", 1, [4, 3, 3, 3]))
    net = net_of(model)
    assert net.inputs == ("x",) and [p.shape for p in net.parameters()] == [(4, 3, 3, 3)]


def test_half_precision_weights_are_computed_in_float32() -> None:
    weight = draw(4, 3, 3, 3).astype(np.float16)
    model = model_of([node("Conv", ["x", "w"], ["y"])], {"x": ["n", 3, 8, 8]}, {"w": weight})
    net = net_of(model)
    expected = nn.Conv2d(3, 4, 3, bias=False)
    expected.weight.data[...] = weight
    np.testing.assert_array_equal(net(X).numpy(), expected(X).numpy())


def test_constants_and_inputs_may_be_outputs() -> None:
    nodes = [node("Constant", [], ["c"], value_floats=[1.0, 2.0]), node("Relu", ["x"], ["y"])]
    net = net_of(model_of(nodes, {"x": ["n", 3, 8, 8]}, outputs=["c", "x", "y"]))
    c, x, y = net(X)
    np.testing.assert_array_equal(c.numpy(), [1, 2])
    np.testing.assert_array_equal(x.numpy(), X)
    np.testing.assert_array_equal(y.numpy(), np.maximum(X, 0))


def test_a_file_without_its_ending_is_known(tmp_path: Path) -> None:
    path = tmp_path / "net"
    onnx.save(small(), path)
    assert zoo.read(path).format == "onnx"
    path.write_bytes(b"\x08\x01\x12\x07\x0a\x05hello")  # begins like a SavedModel
    with pytest.raises(zoo.FormatError, match="format that the zoo knows"):
        zoo.read(path)


def test_predictions_are_not_softmaxed_twice() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("GlobalAveragePool", ["a"], ["b"]),
        node("Softmax", ["b"], ["y"]),
    ]
    net = net_of(model_of(nodes, {"x": ["n", 3, 8, 8]}, {"w": draw(6, 3, 3, 3)}, opset=9))
    np.testing.assert_allclose(net(X).numpy().sum((1, 2, 3)), 1, rtol=1e-5)
    net.preset = fastconv.data.Preset((8, 8), 8)
    found = net.predict(np.zeros((8, 8, 3), np.uint8), top=6)
    assert sum(prediction.probability for prediction in found) == pytest.approx(1)
    np.testing.assert_allclose(
        [p.probability for p in found], np.sort(net(X[:1] * 0).numpy().ravel())[::-1], rtol=1e-5
    )
