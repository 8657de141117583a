"""ONNX files that are damaged, foreign or hostile: each is refused with an error that says why."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fastconv import zoo
from fastconv.zoo import FormatError
from zoo.onnx_files import draw, model_of, net_of, node

SHAPE = {"x": [1, 3, 8, 8]}
WEIGHTS = {"w": draw(4, 3, 3, 3), "b": draw(4)}


def conv(**attributes: Any) -> Any:
    return model_of([node("Conv", ["x", "w", "b"], ["y"], "c", **attributes)], SHAPE, WEIGHTS)


def changed(change: Callable[[Any], Any], **attributes: Any) -> Any:
    model = conv(**attributes)
    change(model)
    return model


def huge(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 2**60


def negative(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def short(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]


def too_few(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0, 2.0])


def cycle() -> Any:
    nodes = [node("Relu", ["b"], ["a"], "one"), node("Relu", ["a"], ["b"], "two")]
    return model_of(nodes, SHAPE, outputs=["b"])


def filled(*sizes: int) -> Any:
    nodes = [node("ConstantOfShape", ["s"], ["w"], "big"), node("Add", ["x", "w"], ["y"])]
    return model_of(nodes, SHAPE, {"s": np.array(sizes)})


def doubled() -> Any:
    names = [f"v{i}" for i in range(60)]
    nodes = [node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    nodes.append(node("Add", ["x", names[-1]], ["y"]))
    return model_of(nodes, SHAPE, {"v0": draw(8)})


def one(op: str, **attributes: Any) -> Any:
    return model_of([node(op, ["x"], ["y"], "n", **attributes)], SHAPE)


# What is read, and what the error says.
MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown operator": (lambda: one("Erf"), r"Erf 'n': the operator is not supported \(op_type"),
    "unknown domain": (
        lambda: changed(lambda m: setattr(m.graph.node[0], "domain", "com.microsoft")),
        r"Conv 'c': the operator is not supported .*com\.microsoft",
    ),
    "unknown attribute": (lambda: conv(colour=1), r"Conv 'c': unknown attributes .*'colour'"),
    "attribute of another type": (lambda: conv(group=1.0), r"Conv 'c': an attribute has the wrong"),
    "missing attribute": (lambda: one("MaxPool"), r"MaxPool 'n': an attribute is missing"),
    "missing weights": (
        lambda: changed(lambda m: m.graph.initializer.pop(0)),
        r"Conv 'c': inputs must be written by .*missing=\['w'\]",
    ),
    "cycle": (cycle, r"Relu 'one': inputs must be written by .*missing=\['b'\]"),
    "written twice": (
        lambda: changed(lambda m: m.graph.node[0].output.append("x")),
        r"Conv 'c': outputs must have names of their own",
    ),
    "nobody writes the output": (
        lambda: changed(lambda m: setattr(m.graph.output[0], "name", "z")),
        r"nodes that write them .*missing=\['z'\]",
    ),
    "no outputs": (lambda: changed(lambda m: m.graph.output.pop()), "there must be outputs"),
    "inputs that are texts": (
        lambda: changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 8)),
        r"inputs must be tensors of plain numbers \(input='x', elem_type=8\)",
    ),
    "huge tensor": (lambda: changed(huge), "sizes of tensors must be sensible"),
    "negative size": (lambda: changed(negative), "sizes of tensors must be sensible"),
    "too few bytes": (lambda: changed(short), r"as many bytes as its sizes say \(tensor='w'"),
    "too few numbers": (
        lambda: changed(too_few),
        r"as many elements as its sizes say \(tensor='w'",
    ),
    "texts": (
        lambda: changed(lambda m: setattr(m.graph.initializer[0], "data_type", 8)),
        r"plain numeric type \(tensor='w', data_type=8\)",
    ),
    "unknown type": (
        lambda: changed(lambda m: setattr(m.graph.initializer[0], "data_type", 99)),
        r"plain numeric type \(tensor='w', data_type=99\)",
    ),
    "two of a name": (
        lambda: changed(lambda m: setattr(m.graph.initializer[1], "name", "w")),
        "initializers must have names of their own",
    ),
    "bias of another size": (
        lambda: model_of(
            [node("Conv", ["x", "w", "b"], ["y"], "c")], SHAPE, {**WEIGHTS, "b": draw(5)}
        ),
        r"Conv 'c': weight and bias must fit .*bias=\(5,\)",
    ),
    "groups that do not divide": (
        lambda: conv(group=3),
        r"Conv 'c': Conv2d: groups must divide out_channels",
    ),
    "another kernel": (lambda: conv(kernel_shape=[5, 5]), r"kernel_shape must be the weight's"),
    "too many strides": (lambda: conv(strides=[1, 1, 1]), r"strides, dilations and pads must fit"),
    "no stride": (lambda: conv(strides=[0, 1]), r"strides, dilations and pads must fit"),
    "negative pads": (lambda: conv(pads=[-1, 0, 0, 0]), r"pads must not be negative"),
    "unknown padding": (lambda: conv(auto_pad="MIRROR"), r"auto_pad be known .*'MIRROR'"),
    "even LRN": (lambda: one("LRN", size=4), r"LRN 'n': size must be odd \(size=4\)"),
    "unknown mode": (lambda: one("Pad", mode="magic", pads=[0] * 8), r"mode must be known"),
    "large fill": (lambda: filled(2**20, 2**20), r"ConstantOfShape 'big': .*(too large|sensible)"),
    "negative fill": (lambda: filled(-3), r"ConstantOfShape 'big': .*sensible"),
    "one output too many": (
        lambda: model_of([node("Relu", ["x"], ["y", "z"], "n")], SHAPE, outputs=["y", "z"]),
        r"Relu 'n': the operator has another number of outputs",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_refused(name: str) -> None:
    build, message = MODELS[name]
    with pytest.raises(FormatError, match=f"onnx: .*{message}"):
        net_of(build())


def test_constants_that_grow_are_refused_before_they_are_computed(monkeypatch: Any) -> None:
    monkeypatch.setattr("fastconv.zoo.onnx.build.MAX_BYTES", 2**20)
    with pytest.raises(FormatError, match=r"Concat 'v1\d': constants are too large .*max_bytes"):
        net_of(doubled())


def save(path: Path, **external: str) -> Path:
    """Write a model whose weights lie in weights.bin, with these entries changed."""
    model = conv()
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = external.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data(tmp_path: Path) -> None:
    net = zoo.load(save(tmp_path / "net.onnx"))
    np.testing.assert_array_equal(net.state_dict()["c.weight"], WEIGHTS["w"])
    with pytest.raises(FormatError, match="a model without a file cannot have external data"):
        net_of(onnx.load(tmp_path / "net.onnx", load_external_data=False))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../weights.bin"}, "must be a file in the model's folder"),
        ({"location": "link.bin"}, "must be a file in the model's folder"),
        ({"location": "."}, "must be a file in the model's folder"),
        ({"location": ""}, "must be a file in the model's folder"),
        ({"location": "gone.bin"}, "must be a file in the model's folder .*gone.bin"),
        ({"offset": "-4"}, "must lie inside its file"),
        ({"offset": "64"}, "must lie inside its file"),
        ({"offset": "here"}, "must lie inside its file"),
        ({"length": "8"}, "must lie inside its file and fill its tensor"),
    ],
)
def test_external_data_that_is_refused(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = save(folder / "net.onnx", **entries)
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(FormatError, match=message):
        zoo.load(path)


def test_an_absolute_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    path = save(tmp_path / "model" / "net.onnx", location=str(tmp_path / "weights.bin"))
    with pytest.raises(FormatError, match="must be a file in the model's folder"):
        zoo.load(path)


@pytest.mark.parametrize("content", [b"hello", b"\x08\x08\x3a\xff\xff\xff\xff\x7f", b"\x08\x08"])
def test_files_that_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="onnx: .*the (message must be whole|model must have)"):
        zoo.load(path)


def test_cut_and_flipped_files_never_crash(tmp_path: Path) -> None:
    """Any damage is an error of the format, or goes unnoticed, as in a weight."""
    content = conv(pads=[1, 1, 1, 1]).SerializeToString()
    path = tmp_path / "net.onnx"
    rng = np.random.default_rng(0)
    pieces = [content[:length] for length in range(1, len(content), 7)]
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        pieces.append(bytes(damaged))
    refused = 0
    for piece in pieces:
        path.write_bytes(piece)
        with contextlib.suppress(FormatError):
            zoo.load(path)
            continue
        refused += 1
    assert refused > len(pieces) // 4


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(conv(), path)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'fastconv\[zoo\]'"):
        zoo.load(path)
