"""TensorFlow's graphs, written byte by byte and computed with NumPy."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import nn, zoo
from fastconv.zoo.archive import FormatError
from fastconv.zoo.readers import tensorflow as reader
from tensorflow_files import (
    const,
    field,
    graph,
    integers,
    node,
    placeholder,
    shape,
    tensor,
    write_bundle,
)

pytest.importorskip("google.protobuf")

RNG = np.random.default_rng(4)
SAME, VALID = field(2, "SAME"), field(2, "VALID")


def weights(*sizes: int) -> np.ndarray:
    return RNG.standard_normal(sizes).astype(np.float32)


KERNEL, BIAS, MATRIX = weights(3, 3, 2, 4), weights(4), weights(3 * 2 * 4, 5)
SCALE, SHIFT = weights(4), weights(4)


def network(batch: int = -1) -> bytes:
    """Convolution (6x5 -> 3x3), bias, ReLU, pooling (-> 3x2), flattening by Shape, and so on."""
    return graph(
        placeholder("x", batch, 6, 5, 2),
        const("kernel", KERNEL),
        node("kernel/read", "Identity", ["kernel"]),
        node("conv", "Conv2D", ["x", "kernel/read"], strides=integers(1, 2, 2, 1), padding=SAME),
        const("bias", BIAS),
        node("biased", "BiasAdd", ["conv", "bias"]),
        const("scale", SCALE),
        const("shift", SHIFT),
        node("scaled", "Mul", ["scale", "biased"]),
        node("shifted", "Sub", ["scaled", "shift"]),
        node("relu", "Relu", ["shifted:0", "^shift"]),
        node(
            "pool",
            "MaxPool",
            ["relu"],
            ksize=integers(1, 1, 2, 1),
            strides=integers(1, 1, 1, 1),
            padding=VALID,
        ),
        node("shape", "Shape", ["pool"]),
        const("zero", np.array([0], np.int32)),
        const("one", np.array([1], np.int32)),
        node(
            "batch",
            "StridedSlice",
            ["shape", "zero", "one", "one"],
            shrink_axis_mask=field(3, 1),
        ),
        const("rest", np.array(-1, np.int32)),
        node("sizes", "Pack", ["batch", "rest"], N=field(3, 2)),
        node("flat", "Reshape", ["pool", "sizes"]),
        const("matrix", MATRIX),
        node("y", "MatMul", ["flat", "matrix"]),
    )


def computed(x: np.ndarray) -> np.ndarray:
    """The network on (N, H, W, C)."""
    padded = np.zeros((len(x), 7, 7, 2), np.float64)  # 6: one row at the bottom; 5: both sides
    padded[:, :6, 1:6] = x
    out = np.zeros((len(x), 3, 3, 4))
    for i in range(3):
        for j in range(3):
            window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            out[:, i, j] = np.einsum("nhwc,hwco->no", window, KERNEL)
    out = np.maximum((out + BIAS) * SCALE - SHIFT, 0)
    out = np.maximum(out[:, :, :-1], out[:, :, 1:])
    return out.reshape(len(x), -1) @ MATRIX


@pytest.mark.parametrize("batch", [-1, 1, 8])
def test_network(tmp_path: Path, batch: int) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(network(batch))
    archive = zoo.read(path)
    assert archive.format == "tensorflow graph"
    assert set(archive.tensors) == {"kernel", "bias", "scale", "shift", "matrix"}
    net = zoo.load(path)
    assert [type(layer) for layer in net.children()] == [
        nn.Conv2d, nn.Affine, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear,
    ]  # fmt: skip
    x = weights(2, 6, 5, 2)
    nchw = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    compiled = fastconv.compile(net, nchw.shape)
    for out in (net(nchw).numpy(), compiled(nchw)):
        np.testing.assert_allclose(out, computed(x), rtol=0, atol=1e-4)
    net(nchw).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_shape_of_a_picture_is_the_placeholders(tmp_path: Path) -> None:
    """In the network's order; None where a size is open."""
    path = tmp_path / "net.pb"
    path.write_bytes(network())
    assert zoo.load(path).input_shape == (2, 6, 5)
    for sizes in ((-1, -1, 5, 2), (-1, 6)):
        path.write_bytes(graph(placeholder("x", *sizes), node("y", "Relu", ["x"])))
        assert zoo.load(path).input_shape is None


def test_values_in_fields(tmp_path: Path) -> None:
    """The last of too few values is repeated; none are zeros."""

    def value(content: bytes, *sizes: int, kind: int = 1) -> bytes:
        about = field(1, kind) + field(2, shape(sizes)) + content
        return node("c", "Const", dtype=field(6, kind), value=field(8, about))

    def loaded(constant: bytes) -> np.ndarray:
        path = tmp_path / "net.pb"
        path.write_bytes(graph(placeholder("x", -1, 3), constant, node("y", "AddV2", ["x", "c"])))
        return zoo.load(path)(np.zeros((1, 3), np.float32)).numpy()[0]

    floats = np.array([1, 2, 3], np.float32)
    packed = field(5, floats.tobytes())
    np.testing.assert_array_equal(loaded(value(packed, 3)), floats)
    two = field(5, floats[:1].tobytes()) + field(5, floats[1:2].tobytes())
    np.testing.assert_array_equal(loaded(value(two, 3)), [1, 2, 2])
    np.testing.assert_array_equal(loaded(value(b"", 3)), 0)
    np.testing.assert_array_equal(loaded(value(field(4, floats.tobytes()), 3)), floats)
    halves = field(
        13,
        b"".join(
            bytes([b & 0x7F | 0x80, b >> 7 & 0x7F | 0x80, b >> 14])
            for b in (0x3C00, 0x4000, 0xC000)
        ),
    )
    np.testing.assert_array_equal(loaded(value(halves, 3, kind=19)), [1, 2, -2])
    bfloat = field(4, (floats.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    np.testing.assert_array_equal(loaded(value(bfloat, 3, kind=14)), floats)
    for constant, message in (
        (value(packed, 2), "must hold its values"),
        (value(packed, 1 << 20, 1 << 20), "must hold its values"),
        (value(field(4, b"1234567"), 3), "must have the size of the shape"),
        (value(field(5, b"12345"), 3), "packed values must be whole"),
        (value(b"", 3, kind=8), "must be one of plain numbers"),
        (value(field(5, 1.0) + field(5, 2.0), 3), "must be packed"),
        (value(b"", -1), "the shape must be known"),
    ):
        with pytest.raises(FormatError, match=message):
            loaded(constant)


def call(name: str, function: str, *inputs: str) -> bytes:
    return node(name, "PartitionedCall", inputs, f=field(10, field(1, function)))


def function(name: str, inputs: str, ret: dict[str, str], *nodes: bytes) -> bytes:
    arguments = b"".join(field(2, field(1, text)) for text in inputs.split())
    signature = field(1, name) + arguments
    signature += b"".join(field(3, field(1, text)) for text in ret)
    returned = b"".join(field(4, field(1, k) + field(2, v)) for k, v in ret.items())
    return field(1, signature) + b"".join(field(3, n) for n in nodes) + returned


def test_functions_within_functions(tmp_path: Path) -> None:
    inner = function(
        "inner", "a b", {"sum": "plus:z:0", "first": "a"}, node("plus", "AddV2", ["a", "b"])
    )
    outer = function(
        "outer", "a", {"out": "twice:sum:0"},
        node("relu", "Relu", ["a"]),
        call("once", "inner", "relu:activations:0", "a"),
        call("twice", "inner", "once:sum:0", "once:first:0"),
    )  # fmt: skip
    path = tmp_path / "net.pb"
    path.write_bytes(
        graph(
            placeholder("x", -1, 3), call("f", "outer", "x"), node("y", "Tanh", ["f"]),
            functions=[inner, outer],
        )
    )  # fmt: skip
    x = weights(4, 3)
    expected = np.tanh(np.maximum(x, 0) + x + np.maximum(x, 0))
    np.testing.assert_allclose(zoo.load(path)(x).numpy(), expected, rtol=1e-6)


def saved_model(*nodes: bytes) -> bytes:
    def info(name: str) -> bytes:
        return field(1, name) + field(2, 1)

    signature = field(1, field(1, "photo") + field(2, info("x:0")))
    signature += field(2, field(1, "class") + field(2, info("y:0")))
    meta = field(1, field(4, "serve") + field(5, "1.15")) + field(2, graph(*nodes))
    meta += field(5, field(1, "serving_default") + field(2, signature))
    return field(1, 1) + field(2, meta)


def restoring(names: list[bytes], specs: list[bytes]) -> list[bytes]:
    def texts(name: str, values: list[bytes]) -> bytes:
        content = field(1, 7) + field(2, shape([len(values)]))
        content += b"".join(field(8, value) for value in values)
        return node(name, "Const", dtype=field(6, 7), value=field(8, content))

    prefix = node("prefix", "Const", value=field(8, field(1, 7) + field(2, b"") + field(8, b"p")))
    restore = node("restore", "RestoreV2", ["prefix", "names", "specs"])
    return [prefix, texts("names", names), texts("specs", specs), restore]


def test_saved_model(tmp_path: Path) -> None:
    """The graph says which tensor is which variable's, whatever the variable is called."""
    kernel, bias = weights(3, 4), weights(4)
    nodes = [
        placeholder("x", -1, 3),
        node("v1", "VarHandleOp", shared_name=field(2, "same")),
        node("v2", "VariableV2"),
        node("read", "ReadVariableOp", ["v1"]),
        node("product", "MatMul", ["x", "read"]),
        node("y", "BiasAdd", ["product", "v2"]),
        *restoring([b"b/key", b"a/key"], [b"", b"8 2,4"]),
        node("assign1", "AssignVariableOp", ["v1", "restore"]),
        node("assign2", "Assign", ["v2", "restore:1"]),
    ]
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(saved_model(*nodes))
    padded = np.concatenate([weights(2), bias, weights(2)])
    write_bundle(folder / "variables" / "variables", [{"b/key": kernel}, {"a/key": padded}])
    x = weights(2, 3)
    for path in (folder, folder / "saved_model.pb"):
        archive = zoo.read(path)
        assert archive.format == "tensorflow saved model"
        assert archive.metadata == {"framework": "tensorflow", "version": "1.15"}
        assert set(archive.tensors) == {"a/key", "b/key"}
        net = zoo.load(path)
        assert isinstance(net, nn.GraphModule) and net.inputs == ("photo",)
        np.testing.assert_allclose(net(x).numpy(), x @ kernel + bias, rtol=1e-5)
    (folder / "saved_model.pb").write_bytes(saved_model(*nodes[:-1]))
    with pytest.raises(FormatError, match="VariableV2 'v2' must have a value"):
        zoo.load(folder)


def varying(*extra: bytes) -> bytes:
    return graph(placeholder("x", -1, 4, 4, 2), const("k", KERNEL), *extra)


CONV = {"strides": integers(1, 1, 1, 1), "padding": SAME}
POOL = {"ksize": integers(1, 2, 2, 1), "strides": integers(1, 1, 1, 1), "padding": VALID}
RANDOM = node("s", "Shape", ["x"]), node("r", "RandomUniform", ["s"])
REFUSED: dict[str, tuple[bytes, str]] = {
    "unknown": (varying(node("y", "Erf", ["x"])), "Erf 'y' must be an operation that this library"),
    "cycle": (
        varying(node("a", "AddV2", ["x", "b"]), node("b", "Relu", ["a"]), node("y", "Relu", ["b"])),
        "must have no cycles",
    ),
    "nothing": (varying(node("y", "Relu", ["z"])), "an input must be the output of a node"),
    "output": (varying(node("r", "Relu", ["x"]), node("y", "Relu", ["r:1"])), "only the result"),
    "number": (varying(node("y", "Relu", ["x:a"])), "an output must have a number"),
    "not frozen": (
        varying(node("v", "VariableV2"), node("y", "Conv2D", ["x", "v"], **CONV)),
        "VariableV2 'v' must have a value",
    ),
    "training": (
        varying(const("s", BIAS[:2]), node("y", "FusedBatchNormV3", ["x", "s", "s", "s", "s"])),
        "must be for inference",
    ),
    "channels": (
        varying(const("w", weights(3, 3, 3, 4)), node("y", "Conv2D", ["x", "w"], **CONV)),
        "must have weights for its input's channels",
    ),
    "rank": (
        varying(const("w", weights(3, 3)), node("y", "Conv2D", ["x", "w"], **CONV)),
        "must have constant weights of 4 axes",
    ),
    "strides": (
        varying(node("y", "Conv2D", ["x", "k"], strides=integers(2, 1, 1, 1), padding=SAME)),
        "must have windows within planes",
    ),
    "padding": (
        varying(node("y", "Conv2D", ["x", "k"], **{**CONV, "padding": field(2, "X")})),
        "must have a known padding",
    ),
    "attribute": (
        varying(node("y", "Conv2D", ["x", "k"], strides=integers(1, 1, 1, 1))),
        "must have the attribute 'padding'",
    ),
    "kind": (
        varying(node("y", "Conv2D", ["x", "k"], strides=SAME, padding=SAME)),
        "must have an attribute of another kind",
    ),
    "inputs": (varying(node("y", "Relu", ["x", "x"])), "Relu 'y' must fit its inputs"),
    "large window": (
        varying(node("y", "MaxPool", ["x"], **{**POOL, "ksize": integers(1, 9, 9, 1)})),
        "must have windows that fit",
    ),
    "batch": (
        varying(const("s", np.array([-1], np.int32)), node("y", "Reshape", ["x", "s"])),
        "must keep the batch",
    ),
    "elements": (
        varying(const("s", np.array([-1, 31], np.int32)), node("y", "Reshape", ["x", "s"])),
        "must keep the batch",
    ),
    "another batch": (
        varying(const("s", np.array([3, -1], np.int32)), node("y", "Reshape", ["x", "s"])),
        "must keep the batch",
    ),
    "constant": (
        varying(const("c", weights(4, 4, 2)), node("y", "Mul", ["x", "c"])),
        "one number a channel",
    ),
    "size of constant": (
        varying(const("c", weights(3)), node("y", "Mul", ["x", "c"])),
        "a constant of its input's size",
    ),
    "zero": (
        varying(const("c", np.zeros(2, np.float32)), node("y", "RealDiv", ["x", "c"])),
        "must divide by numbers other than zero",
    ),
    "random": (
        varying(*RANDOM, node("y", "AddV2", ["x", "r"])),
        "must compute from its input",
    ),
    "mask": (
        varying(*RANDOM, node("y", "Mul", ["x", "r"])),
        "must not multiply by what is random",
    ),
    "memory": (
        varying(
            const("d", np.array([1 << 30, 1 << 30], np.int32)), const("o", np.array(1, np.float32)),
            node("f", "Fill", ["d", "o"]), node("y", "Mul", ["x", "f"]),
        ),
        "Fill 'f' must fit its inputs",
    ),
    "outer product": (
        varying(
            const("a", np.ones((1 << 14, 1), np.float32)), node("b", "Transpose", ["a", "p"]),
            const("p", np.array([1, 0], np.int32)),
            node("c", "Mul", ["a", "b"]), node("y", "Mul", ["x", "c"]),
        ),
        "Mul 'c' must fit its inputs",
    ),
    "input of unknown shape": (
        graph(node("x", "Placeholder", shape=field(7, field(3, 1))), node("y", "Relu", ["x"])),
        "outputs must depend on all inputs",
    ),
    "nothing to compute": (
        graph(const("k", KERNEL), node("y", "Relu", ["k"])),
        "outputs must depend",
    ),
    "names": (
        varying(node("y", "Relu", ["x"]), node("y", "Tanh", ["x"])),
        "names of nodes must be unique",
    ),
    "size unknown": (
        graph(placeholder("x", -1, -1, -1, 2), const("k", KERNEL),
              node("y", "Conv2D", ["x", "k"], strides=integers(1, 2, 2, 1), padding=SAME)),
        "must know the size of its input",
    ),
    "recursion": (
        graph(placeholder("x", -1, 3), call("y", "f", "x"), node("z", "Relu", ["y"]),
              functions=[function("f", "a", {"o": "g:o:0"}, call("g", "f", "a"))]),
        "functions must not call themselves",
    ),
    "endless": (
        graph(placeholder("x", -1, 3), call("y", "f", "y"), node("z", "AddV2", ["y", "x"]),
              functions=[function("f", "a", {"o": "a"})]),
        "an input must be the output of a node",
    ),
    "no function": (
        graph(placeholder("x", -1, 3), call("y", "f", "x"), node("z", "Relu", ["y"])),
        "must be in the library",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "net.pb"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        zoo.load(path)


def test_many_functions_are_refused_or_take_no_time(tmp_path: Path) -> None:
    """Every function calls the one before twice."""
    functions = [function("f0", "a", {"o": "r:y:0"}, node("r", "Relu", ["a"]))]
    for i in range(1, 40):
        once, twice = call("g", f"f{i - 1}", "a"), call("h", f"f{i - 1}", "g:o:0")
        functions.append(function(f"f{i}", "a", {"o": "h:o:0"}, once, twice))
    path = tmp_path / "net.pb"
    path.write_bytes(
        graph(
            placeholder("x", -1, 3), call("y", "f39", "x"), node("z", "Relu", ["y"]),
            functions=functions,
        )
    )  # fmt: skip
    with pytest.raises(FormatError, match="the graph must be smaller"):
        zoo.load(path)


def test_damaged_files_raise_nothing_else(tmp_path: Path) -> None:
    data, path = network(), tmp_path / "net.pb"
    x = np.zeros((1, 2, 6, 5), np.float32)
    for place in range(len(data)):
        for bit in (0x01, 0x80):
            path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            with suppress(ValueError, TypeError):  # FormatErrors, or those of what computes
                zoo.load(path)(x)
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with suppress(ValueError, TypeError):
            zoo.load(path)(x)


def test_whose_files_they_are(tmp_path: Path) -> None:
    onnx = field(1, 8) + field(2, "pytorch") + field(7, field(2, "main"))
    old_onnx = field(1, 1) + field(2, "CNTK") + field(7, b"")
    caffe = field(1, "CaffeNet") + field(100, field(1, "data") + field(2, "Data"))
    caffe2 = field(1, "squeezenet") + field(2, field(1, "x") + field(4, "Conv"))
    path = tmp_path / "net.pb"
    for content in (
        onnx,
        old_onnx,
        caffe,
        caffe2,
        b"",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        tensor(BIAS),
    ):
        path.write_bytes(content)
        assert not reader.recognises(path, content)
    large = graph(const("first", np.zeros(1 << 18, np.float32)), placeholder("x", 1, 2))
    for content in (network(), large, saved_model(placeholder("x", -1, 3))):
        path.write_bytes(content)
        assert reader.recognises(path, content[: 1 << 16])
    assert not reader.recognises(tmp_path, b"")


def test_missing_protobuf_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "fastconv.zoo.proto.tensorflow_pb2"
    monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "net.pb").write_bytes(network())
    with pytest.raises(ImportError, match=r"needs protobuf: pip install 'fastconv\[zoo\]'"):
        zoo.load(tmp_path / "net.pb")


def test_batch_that_the_graph_fixes(tmp_path: Path) -> None:
    sizes = const("s", np.array([1, -1], np.int32))
    path = tmp_path / "net.pb"
    path.write_bytes(graph(placeholder("x", 1, 2, 3), sizes, node("y", "Reshape", ["x", "s"])))
    assert zoo.load(path)(weights(4, 2, 3)).shape == (4, 6)
