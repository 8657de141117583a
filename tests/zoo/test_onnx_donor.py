"""ONNX beside ONNX Runtime: windows of every kind, and whole networks with drawn weights."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fastconv
from zoo.onnx_files import draw, model_of, net_of, node

runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.donor

SIZES = (7, 9, 6)
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def theirs(model: Any, *arrays: Any) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def agree(model: Any, *arrays: Any, rtol: float = 1e-4) -> None:
    expected = theirs(model, *arrays)
    found = net_of(model)(*arrays)
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected)
    for ours, other in zip(found, expected, strict=True):
        assert ours.shape == other.shape and ours.dtype == other.dtype
        scale = np.abs(other).max(initial=0)
        np.testing.assert_allclose(ours.numpy(), other, rtol=rtol, atol=1e-5 * max(scale, 1))


def windows(axes: int) -> Any:
    """Attributes of convolutions and poolings with windows of 3 or 2 taps.

    Not SAME with dilation, which ONNX Runtime refuses or counts in its own way.
    """
    for stride, dilation, padding in itertools.product(
        [(1, 1, 1), (2, 2, 1)],
        [(1, 1, 1), (2, 1, 2)],
        ["none", "uneven", "VALID", "SAME_UPPER", "SAME_LOWER"],
    ):
        if padding.startswith("SAME") and max(dilation[:axes]) > 1:
            continue
        attributes: dict[str, Any] = {"strides": stride[:axes], "dilations": dilation[:axes]}
        if padding == "uneven":
            attributes["pads"] = [*(1, 0, 1)[:axes], *(0, 1, 1)[:axes]]
        elif padding != "none":
            attributes["auto_pad"] = padding
        yield attributes


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(axes: int, groups: int) -> None:
    x = draw(2, 4, *SIZES[:axes])
    weights = {"w": draw(6, 4 // groups, *(3, 2, 3)[:axes], seed=1), "b": draw(6, seed=2)}
    for attributes in windows(axes):
        conv = node("Conv", ["x", "w", "b"], ["y"], group=groups, **attributes)
        agree(model_of([conv], {"x": ["n", 4, *SIZES[:axes]]}, weights), x)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(axes: int, groups: int) -> None:
    x = draw(2, 4, *SIZES[:axes])
    weights = {"w": draw(4, 6 // groups, *(3, 2, 3)[:axes], seed=1), "b": draw(6, seed=2)}
    for attributes in windows(axes):
        extra: list[dict[str, Any]] = [{}]
        if max(attributes["strides"][:1]) > 1 and "auto_pad" not in attributes:
            extra.append({"output_padding": [1, 0, 0][:axes]})
            wanted = [n * s for n, s in zip(SIZES, attributes["strides"], strict=False)]
            extra.append({"output_shape": wanted})
        for more in extra:
            if "output_shape" in more:
                attributes = {k: v for k, v in attributes.items() if k != "pads"}
            transposed = node(
                "ConvTranspose", ["x", "w", "b"], ["y"], group=groups, **attributes, **more
            )
            agree(model_of([transposed], {"x": ["n", 4, *SIZES[:axes]]}, weights), x)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_pooling(axes: int, op: str, ceil_mode: int) -> None:
    x = draw(2, 3, *SIZES[:axes])
    for attributes, padded in itertools.product(windows(axes), [0, 1]):
        if op == "AveragePool":
            attributes["count_include_pad"] = padded
        if ceil_mode and "auto_pad" in attributes:
            continue  # SAME leaves nothing to round
        pool = node(
            op, ["x"], ["y"], kernel_shape=[3, 2, 3][:axes], ceil_mode=ceil_mode, **attributes
        )
        agree(model_of([pool], {"x": ["n", 3, *SIZES[:axes]]}, opset=19), x)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("storage_order", [0, 1])
def test_positions_of_maxima(axes: int, storage_order: int) -> None:
    x = draw(2, 3, *SIZES[:axes])
    for attributes in windows(axes):
        pool = node(
            "MaxPool",
            ["x"],
            ["y", "i"],
            kernel_shape=[3, 2][:axes],
            storage_order=storage_order,
            **attributes,
        )
        model = model_of([pool], {"x": ["n", 3, *SIZES[:axes]]}, outputs=["y", "i"])
        model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
        agree(model, x)


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_normalisation(rank: int) -> None:
    x = draw(2, 4, *(3, 5, 2)[: rank - 2])
    weights = {name: draw(4, seed=i) for i, name in enumerate(["scale", "bias", "mean"])}
    weights["var"] = np.square(draw(4, seed=5)) + 0.5
    norm = node("BatchNormalization", ["x", *weights], ["y"], epsilon=1e-3)
    agree(model_of([norm], {"x": x.shape}, weights), x)


@pytest.mark.parametrize("name", [p.name for p in sorted(LIGHT.glob("light_*.onnx"))])
@pytest.mark.slow
def test_networks_with_drawn_weights(name: str) -> None:
    """The graphs of ONNX's light models, whose own weights are all one number."""
    model = onnx.load(LIGHT / name)
    rng = np.random.default_rng(0)
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    filled = [n for n in model.graph.node if n.op_type == "ConstantOfShape"]
    for one in filled:
        shape = tuple(map(int, shapes[one.input[0]]))
        fan = np.prod(shape[1:]) if len(shape) > 1 else 1
        weight = rng.standard_normal(shape, np.float32) * np.float32(1.4 / np.sqrt(fan))
        if len(shape) == 1:
            weight = np.abs(weight) + np.float32(0.5)  # variances and scales are among them
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, one.output[0]))
        model.graph.node.remove(one)
    x = rng.standard_normal((1, 3, 224, 224), np.float32)
    (expected,) = theirs(model, x)
    net = net_of(model)
    with fastconv.no_grad():
        found = net(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(expected) > 0
