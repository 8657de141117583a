"""Caffe's files as files: how they are told from others, what pictures become, what is refused."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_files import (
    blob,
    caffemodel,
    fill,
    layer,
    legacy_blob,
    message,
    net_def,
    number,
    operator,
    text,
    v0_layer,
    v1_layer,
    varint,
)
from caffe_networks import close, layer_text, normal, refusals, write
from fastconv import zoo
from fastconv.data import Preset
from fastconv.zoo import FormatError
from fastconv.zoo.proto.wire import fields
from fastconv.zoo.readers import caffe, caffe2

pytest.importorskip("google.protobuf")

INPUT = 'input: "x" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
CONVOLUTION = layer_text("Convolution", "c", "x", convolution_param="num_output: 2 kernel_size: 3")
WEIGHTS = {"c": [normal(2, 3, 3, 3), normal(2)]}
LARGE = normal(200, 200)


@pytest.mark.parametrize(
    "head, name",
    [
        (text(1, "net") + layer("c", "Convolution", [blob(LARGE)], ["x"], ["c"]), "caffe"),
        (layer("x", "Input", (), (), ["x"]), "caffe"),
        (text(1, "net") + v1_layer("c", 4, [legacy_blob(LARGE)], ["x"], ["c"]), "caffe"),
        (v0_layer("c", "conv", [legacy_blob(LARGE)]), "caffe"),
        (text(1, "net") + v0_layer("d", "data"), "caffe"),
        (b'name: "n"\nlayer {\n  name: "c" }', "caffe"),
        (b'layers: { layer { name: "c" } }', "caffe"),
        (net_def("net", [fill("w", LARGE)]), "caffe2"),
        (net_def("", [operator("Relu", ["x"], ["y"])], ["x"], ["y"]), "caffe2"),
        (b'name: "net"\nop {\n  output: "w" }', "caffe2"),
        # ONNX's ModelProto: ir_version, producer_name, graph.
        (number(1, 8) + text(2, "pytorch") + message(7, text(2, "torch")), None),
        # TensorFlow's GraphDef: nodes, versions, library; and its SavedModel.
        (message(1, text(1, "x"), text(2, "Placeholder")) + message(4, number(1, 22)), None),
        (message(1, text(1, "x"), text(2, "Conv2D")) + message(2, message(1, text(1, "f"))), None),
        (number(1, 1) + message(2, message(1, text(5, "serve"))), None),
        # A mean picture, and a solver.
        (legacy_blob(LARGE), None),
        (b'net: "train_val.prototxt"\n# layer {\nbase_lr: 0.01', None),
        (b'{"layers": [{"class_name": "Conv2D"}], "layer": {}}', None),
        (b"\x80\x02}q\x00X\x05\x00\x00\x00layerq\x01", None),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), None),
        (b"PK\x03\x04" + bytes(100), None),
        (b"", None),
    ],
)
def test_recognition(head: bytes, name: str | None) -> None:
    head = head[: 1 << 16]
    path = Path("any.thing")
    found = {n for n, r in (("caffe", caffe), ("caffe2", caffe2)) if r.recognises(path, head)}
    assert found == ({name} if name else set())
    for length in range(min(len(head), 60) if name is None else 0):
        assert not any(r.recognises(path, head[:length]) for r in (caffe, caffe2))


def test_wire_walk() -> None:
    data = number(1, 300) + text(2, "abc") + varint(3 << 3 | 5) + struct.pack("<f", 1.5)
    data += varint(4 << 3 | 1) + struct.pack("<d", 2.5)
    assert list(fields(data)) == [
        (1, 0, 300),
        (2, 2, b"abc"),
        (3, 5, struct.pack("<f", 1.5)),
        (4, 1, struct.pack("<d", 2.5)),
    ]
    assert next(fields(message(9, b"x" * 100)[:40]))[2] == b"x" * 38
    for broken in (b"\x00\x01", b"\x0b", b"\x08" + b"\xff" * 12):
        with pytest.raises(ValueError, match="wire: "):
            list(fields(broken))


def preset(folder: Path, prototxt: str, channels: int = 3) -> Any:
    weights = {"c": [normal(2, channels, 3, 3), normal(2)]}
    return zoo.load(write(folder, prototxt, caffemodel("", weights))).preset


def mean_picture(*values: float) -> bytes:
    picture = np.array(values, np.float32)[:, None, None] + np.array([[-1, 0], [2, -1]], np.float32)
    return legacy_blob(picture)


def data_layer(rest: str, transform: str = "", kind: str = "Data") -> str:
    return (
        f'layer {{ name: "x" type: "{kind}" top: "x" top: "label" {rest} '
        f"transform_param {{ {transform} }} }}\n"
    )


def test_preset_of_an_unknown_network_is_none(tmp_path: Path) -> None:
    assert preset(tmp_path, INPUT + CONVOLUTION) is None


def test_preset_from_a_mean_beside(tmp_path: Path) -> None:
    (tmp_path / "ResNet_mean.binaryproto").write_bytes(mean_picture(100, 110, 120))
    found = preset(tmp_path, INPUT + CONVOLUTION)
    assert found == Preset((8, 8), None, "BGR", (100.0, 110.0, 120.0), (1.0, 1.0, 1.0))


def test_preset_from_a_data_layer(tmp_path: Path) -> None:
    (tmp_path / "m.binaryproto").write_bytes(mean_picture(10, 20, 30))
    transform = 'crop_size: 227 mean_file: "/home/somebody/data/m.binaryproto" scale: 0.25'
    found = preset(tmp_path, data_layer("", transform) + CONVOLUTION)
    assert found == Preset((227, 227), 256, "BGR", (10.0, 20.0, 30.0), (0.25,) * 3)


def test_preset_with_a_mean_that_is_missing_is_none(tmp_path: Path) -> None:
    transform = 'crop_size: 227 mean_file: "nowhere.binaryproto"'
    assert preset(tmp_path, data_layer("", transform) + CONVOLUTION) is None


def test_preset_of_images(tmp_path: Path) -> None:
    rest = "image_data_param { new_height: 40 new_width: 40 }"
    transform = "crop_size: 32 mean_value: 1 mean_value: 2 mean_value: 3"
    found = preset(tmp_path, data_layer(rest, transform, "ImageData") + CONVOLUTION)
    assert found == Preset((32, 32), 40, "BGR", (1.0, 2.0, 3.0), (1.0,) * 3)


def test_preset_of_the_first_versions(tmp_path: Path) -> None:
    """V1 says scale and crop in data_param; one mean value is that of all channels."""
    old = 'layers { name: "x" type: DATA top: "x" data_param { scale: 0.5 crop_size: 16 } }\n'
    old += 'layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" '
    old += "convolution_param { num_output: 2 kernel_size: 3 } }"
    assert preset(tmp_path, old, 1) == Preset((16, 16), None, "L", (0.0,), (0.5,))


def test_preset_of_the_very_first_version(tmp_path: Path) -> None:
    (tmp_path / "m.binaryproto").write_bytes(mean_picture(10, 20, 30))
    old = (
        'layers { layer { name: "x" type: "data" scale: 0.5 cropsize: 16 '
        'meanfile: "a/m.binaryproto" batchsize: 9 } top: "x" top: "label" }\n'
        'layers { layer { name: "c" type: "conv" num_output: 2 kernelsize: 3 } '
        'bottom: "x" top: "c" }'
    )
    assert preset(tmp_path, old) == Preset((16, 16), None, "BGR", (10.0, 20.0, 30.0), (0.5,) * 3)


@pytest.mark.parametrize(
    "name, channels, expected",
    [
        ("LeNet", 1, Preset((28, 28), None, "L", (0.0,), (1 / 256,))),
        ("ResNet-50", 3, Preset((224, 224), 256, "BGR", (104.0, 117.0, 123.0), (1.0,) * 3)),
        ("GoogleNet", 3, Preset((224, 224), 256, "BGR", (104.0, 117.0, 123.0), (1.0,) * 3)),
        ("CaffeNet", 3, Preset((227, 227), 256, "BGR", (104.0, 117.0, 123.0), (1.0,) * 3)),
        ("VGG_ILSVRC_19_layers", 3, Preset.caffe()),
    ],
)
def test_presets_by_name(tmp_path: Path, name: str, channels: int, expected: Preset) -> None:
    """A data layer that says nothing: size, mean and scale are known for the name."""
    prototxt = f'name: "{name}" layer {{ name: "x" type: "Data" top: "x" }}\n' + CONVOLUTION
    if name == "LeNet":
        prototxt = prototxt.replace('"Data"', '"Data" transform_param { scale: 0.00390625 }')
    assert preset(tmp_path, prototxt, channels) == expected


REFUSED = [
    ("a type", layer_text("Crop", "l", "c"), r"that this library has \(layer='l', type='Crop'"),
    ("another type", layer_text("Python", "l", "c"), "type='Python'"),
    ("a value of nobody", layer_text("ReLU", "l", "y"), "unknown='y'"),
    (
        "a cycle",
        layer_text("Eltwise", "l", "c m", "n") + layer_text("ReLU", "r", "n", "m"),
        r"write \(layer='l', unknown='m'\)",
    ),
    ("two writers", layer_text("ReLU", "l", "x", "c"), "written by one layer .*value='c'"),
    ("stochastic", layer_text("Pooling", "l", "c", pooling_param="pool: STOCHASTIC"), "stochastic"),
    ("no kernel", layer_text("Pooling", "l", "c"), r"kernel_size must be one size or two"),
    (
        "a large kernel",
        layer_text("Pooling", "l", "c", pooling_param="kernel_size: 4294967295"),
        "a size must be from 1 to 4096 .*kernel_size=4294967295",
    ),
    (
        "a window that does not fit",
        layer_text("Pooling", "l", "c", pooling_param="kernel_size: 90"),
        "must fit its input .*layer='l'",
    ),
    (
        "no stride",
        layer_text("Pooling", "l", "c", pooling_param="kernel_size: 2 stride: 0"),
        "stride=0",
    ),
    (
        "much padding",
        layer_text("Pooling", "l", "c", pooling_param="kernel_size: 2 pad: 2"),
        "at most half the window",
    ),
    (
        "half a kernel",
        layer_text("Pooling", "l", "c", pooling_param="kernel_h: 2"),
        "both kernel_h and kernel_w",
    ),
    ("an even norm", layer_text("LRN", "l", "c", lrn_param="local_size: 4"), "must be odd"),
    ("a power", layer_text("Power", "l", "c", power_param="power: 2"), "power=2"),
    ("two inputs of a scale", layer_text("Scale", "l", "c x"), "a scale must be learned"),
    ("other shapes", layer_text("Eltwise", "l", "c x"), "inputs of one shape"),
    (
        "coefficients",
        layer_text("Eltwise", "l", "c c", eltwise_param="coeff: 1"),
        "coefficients must be for a sum",
    ),
    ("the batch", layer_text("Concat", "l", "c c", concat_param="axis: 0"), "not the batch"),
    ("flat batch", layer_text("Flatten", "l", "c", flatten_param="axis: 0"), "not the batch"),
    (
        "a batch that is mixed",
        layer_text("Reshape", "l", "c", reshape_param="shape { dim: -1 dim: 12 }"),
        "must keep the batch",
    ),
    (
        "a shape that does not fit",
        layer_text("Reshape", "l", "c", reshape_param="shape { dim: 0 dim: 5 dim: -1 }"),
        "must fit its input",
    ),
    (
        "points",
        'layer { name: "l" type: "Slice" bottom: "c" top: "a" top: "b" '
        "slice_param { slice_point: 9 } }",
        "inside the axis",
    ),
    ("no weights", layer_text("InnerProduct", "l", "c"), r"every blob .*expected=2, blobs=\[\]"),
    ("many inputs", layer_text("ReLU", "l", "c x"), "must read 1 values .*count=2"),
    ("no inputs", 'layer { name: "l" type: "ReLU" top: "y" }', "must read something"),
]


@pytest.mark.parametrize("rest, match", [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refusals_name_the_layer(tmp_path: Path, rest: str, match: str) -> None:
    with pytest.raises(FormatError, match=f"^caffe: .*{match}"):
        zoo.load(write(tmp_path, INPUT + CONVOLUTION + rest, caffemodel("", WEIGHTS)))


@pytest.mark.parametrize(
    "param, blobs, match",
    [
        ("num_output: 3 kernel_size: 3", WEIGHTS["c"], "num_output=3"),
        ("num_output: 2 kernel_size: 5", WEIGHTS["c"], r"kernel_size=\(5, 5\)"),
        ("num_output: 2 kernel_size: 3 group: 2", WEIGHTS["c"], "channels"),
        ("num_output: 2 kernel_size: 3 group: 0", WEIGHTS["c"], "at least 1"),
        ("num_output: 2 kernel_size: 3 group: 4000000000", WEIGHTS["c"], "group"),
        ("num_output: 2 kernel_size: 3 dilation: 4", WEIGHTS["c"], "must fit its input"),
        ("num_output: 2 kernel_size: 3", WEIGHTS["c"][:1], "expected=2"),
        ("num_output: 2 kernel_size: 3 bias_term: false", WEIGHTS["c"], "expected=1"),
        ("num_output: 2 kernel_size: 3", [WEIGHTS["c"][0], normal(3)], r"got=\(3,\)"),
        ("num_output: 2 kernel_size: 3 axis: 2", WEIGHTS["c"], "axis"),
        ("num_output: 2 kernel_size: 3", [normal(2, 4, 3, 3), normal(2)], "must fit its input"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, param: str, blobs: list[Any], match: str) -> None:
    prototxt = INPUT + layer_text("Convolution", "c", "x", convolution_param=param)
    with pytest.raises(FormatError, match=f"^caffe: (?=.*layer='c')(?=.*{match}).*weights="):
        zoo.load(write(tmp_path, prototxt, caffemodel("", {"c": blobs})))


def dims(*sizes: int) -> bytes:
    return message(7, message(1, *map(varint, sizes)))


@pytest.mark.parametrize(
    "content",
    [
        message(5, bytes(8)) + dims(3),
        message(5, bytes(8)) + dims(1 << 62, 1 << 62),
        message(5, bytes(8)) + dims(-1, -2),
        message(5, bytes(7)) + dims(2),
        dims(1 << 40),
        number(1, 1 << 31) + number(2, 1 << 31),
    ],
)
def test_blobs_that_lie(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FormatError, match="^caffe: .*blob"):
        zoo.load(write(tmp_path, INPUT + CONVOLUTION, layer("c", "Convolution", [content])))


@pytest.mark.parametrize(
    "head",
    [
        'input: "x" input_shape { dim: 1 dim: 3 dim: 1000000000 dim: 1000000000 }',
        'input: "x" input_dim: 1 input_dim: 3 input_dim: 0 input_dim: 8',
        'input: "x" input_dim: 1 input_dim: 3 input_dim: -8 input_dim: 8',
        'input: "x" input_dim: 1 input_dim: 3 input_dim: 8',
        'input: "x" input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8',
        'input: "x" input: "x"',
        'input: "x" layers { type: SOMETHING }',
        'input: "x" layers { name: "old" type: RELU bottom: "x" top: "x" }',
        'layer { name: "i" type: "Input" top: "x" top: "y" input_param { shape { dim: 1 } '
        "shape { dim: 1 } shape { dim: 1 } } }",
        'name: "unfinished',
        "layer {" * 3000,
    ],
)
def test_networks_that_lie(tmp_path: Path, head: str) -> None:
    with pytest.raises(FormatError, match="^caffe: "):
        zoo.load(write(tmp_path, head + "\n" + CONVOLUTION, caffemodel("", WEIGHTS)))


def test_an_image_too_large_for_a_layer(tmp_path: Path) -> None:
    """Sizes are limited before anything of them is computed."""
    prototxt = 'input: "x" input_shape { dim: 1 dim: 1 dim: 16000 dim: 8000 }' + layer_text(
        "Convolution", "c", "x", convolution_param="num_output: 4000 kernel_size: 1"
    )
    weights = {"c": [normal(4000, 1, 1, 1), normal(4000)]}
    with pytest.raises(FormatError, match="at most 134217728 elements a picture"):
        zoo.load(write(tmp_path, prototxt, caffemodel("", weights)))


def test_files_beside(tmp_path: Path) -> None:
    network = write(tmp_path, INPUT + CONVOLUTION, caffemodel("", WEIGHTS))
    (tmp_path / "second.caffemodel").write_bytes(caffemodel("", WEIGHTS))
    with pytest.raises(FormatError, match=r"weights= .*net.caffemodel.*second.caffemodel"):
        zoo.load(network)
    (tmp_path / "solver.prototxt").write_text("base_lr: 0.01")
    (tmp_path / "train_val.prototxt").write_text("layer { }")
    x = normal(1, 3, 8, 8)
    expected = zoo.load(network, weights=tmp_path / "net.caffemodel")(x).numpy()
    # Of several networks that which is called "deploy".
    close(zoo.load(tmp_path / "net.caffemodel")(x), expected)
    with pytest.raises(FormatError, match="one of two files must hold weights"):
        zoo.load(network, weights=tmp_path / "solver.prototxt")
    with pytest.raises(FormatError, match="must be files"):
        zoo.load(network, weights=tmp_path)
    with pytest.raises(FileNotFoundError):
        zoo.load(network, weights=tmp_path / "absent.caffemodel")


def test_two_models_in_a_folder(tmp_path: Path) -> None:
    x, found = normal(1, 3, 8, 8), []
    for name in ("one", "two"):
        weights = {"c": [normal(2, 3, 3, 3), normal(2)]}
        (tmp_path / f"{name}.prototxt").write_text(INPUT + CONVOLUTION)
        (tmp_path / f"{name}.caffemodel").write_bytes(caffemodel("", weights))
        found.append(zoo.load(tmp_path / f"{name}.prototxt").state_dict()["c.weight"])
        np.testing.assert_array_equal(found[-1], weights["c"][0])
    paths = tmp_path / "one.caffemodel", tmp_path / "two.prototxt"
    close(zoo.load(paths[0])(x), zoo.load(tmp_path / "one.prototxt")(x).numpy())
    np.testing.assert_array_equal(
        zoo.load(paths[1], weights=paths[0]).state_dict()["c.weight"], found[0]
    )


def test_texts_must_be_texts(tmp_path: Path) -> None:
    weights = message(100, message(1, b"\xff\xfe"), text(2, "ReLU"))
    with pytest.raises(FormatError, match=r"texts must be UTF-8|whole NetParameter"):
        zoo.load(write(tmp_path, None, weights))


def test_archive_has_the_files_own_names(tmp_path: Path) -> None:
    archive = zoo.read(write(tmp_path, 'name: "n"' + INPUT + CONVOLUTION, caffemodel("", WEIGHTS)))
    assert archive.format == "caffe" and archive.metadata["name"] == "n"
    np.testing.assert_array_equal(archive.tensors["c.0"], WEIGHTS["c"][0])
    assert list(archive.tensors) == ["c.0", "c.1"]


def test_names_that_modules_have(tmp_path: Path) -> None:
    names = ["forward", "inputs", "input_shape", "a.b", "training", "_nodes", "__dict__", ""]
    prototxt = INPUT + "".join(
        layer_text("ReLU", name, "x" if i == 0 else f"v{i - 1}", f"v{i}")
        for i, name in enumerate(names)
    )
    net = zoo.load(write(tmp_path, prototxt, caffemodel("", WEIGHTS)))
    assert len(list(net.children())) == len(names) and net.input_shape == (3, 8, 8)
    close(net(normal(1, 3, 8, 8)), np.maximum(normal(1, 3, 8, 8), 0))


def test_without_protobuf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = write(tmp_path, INPUT + CONVOLUTION, caffemodel("", WEIGHTS))
    monkeypatch.setitem(sys.modules, "fastconv.zoo.proto.caffe_pb2", None)
    with pytest.raises(ImportError, match=r"Caffe model needs protobuf: .*fastconv\[zoo\]"):
        zoo.load(network)


def test_cut_and_damaged_files_raise_value_errors(tmp_path: Path) -> None:
    """Every beginning of a file, and files with wrong bytes, are refused or still whole."""
    shape = message(1, *map(varint, (1, 3, 8, 8)))
    whole = text(1, "n") + b"".join(
        [
            layer("x", "Input", (), (), ["x"], message(143, message(1, shape))),
            layer(
                "c",
                "Convolution",
                map(blob, WEIGHTS["c"]),
                ["x"],
                ["c"],
                message(106, number(1, 2), number(4, 3)),
            ),
            layer("p", "Pooling", (), ["c"], ["p"], message(121, number(2, 3), number(3, 2))),
        ]
    )
    path = write(tmp_path, None, whole)
    assert zoo.load(path)(normal(1, 3, 8, 8)).shape == (1, 2, 3, 3)
    assert refusals(path, every=3) > 150
