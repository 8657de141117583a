"""`fastconv inspect`, `predict` and `convert`, on files written by the test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")
pytest.importorskip("fastconv._core", reason="fastconv is not built")

from commands import fail, succeed
from fastconv import models, zoo
from fastconv.data import Preset
from t7_files import Obj, Storage, module, write

RNG = np.random.default_rng(3)


def network(size: int = 7) -> Obj:
    """One that the reader knows the preset of: it begins and ends as fb.resnet.torch's do."""

    def normal(*shape: int) -> Any:
        return RNG.standard_normal(shape).astype(np.float32) / 10

    stem = {"nInputPlane": 3, "nOutputPlane": 64, "weight": normal(64, 3, size, size)}
    window = {"kH": size, "kW": size, "dH": 2, "dW": 2, "padH": 3, "padW": 3}
    ones = np.ones(64, np.float32)
    return module(
        "nn.Sequential",
        module("nn.SpatialConvolution", **stem, **window),
        module("nn.SpatialBatchNormalization", running_mean=0 * ones, running_var=ones, version=2),
        module("nn.ReLU", inplace=True),
        module("nn.SpatialMaxPooling", kH=3, kW=3, dH=16, dW=16),
        module("nn.SpatialAveragePooling", kH=7, kW=7, divide=True),
        module("nn.View", size=Storage(np.array([64])), numInputDims=3),
        module("nn.Linear", weight=normal(1000, 64), bias=normal(1000)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zoo") / "net.t7"
    path.write_bytes(write(network()))
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    image.fromarray(RNG.integers(0, 256, (260, 300, 3), np.uint8)).save(path)
    return Path(path)


def test_inspect(file: Path) -> None:
    out = succeed("inspect", file)
    lines = out.splitlines()
    assert lines[0].startswith(f"{file}: torch7, framework torch7, ")
    assert "network: GraphModule, 7 layers, " in out
    assert re.search(r"^preset: RGB, 224x224 cut out of 256, ", out, re.M)
    assert re.search(r"^classes: 1000: tench, ", out, re.M)


def test_inspect_against(file: Path, tmp_path: Path) -> None:
    content = network()
    other = tmp_path / "other.t7"
    other.write_bytes(write(content))
    out = succeed("inspect", file, "--against", other)
    assert f"against {other}" in out and "first layer apart: 1, relative error" in out


def test_predict(file: Path, photo: Path) -> None:
    net = zoo.load(file)
    expected = net.predict(photo, top=3)
    out = succeed("predict", file, photo, "--top", 3).splitlines()
    assert [int(line.split()[1]) for line in out] == [best.number for best in expected]
    assert out[0].startswith(f"{expected[0].probability:7.2%}  ")
    assert out[0].endswith(expected[0].name[:40])
    out = succeed("predict", file, photo, photo).splitlines()
    assert len(out) == 12 and out[0] == out[6] == f"{photo}:"


def test_predict_with_a_preset(file: Path, photo: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.safetensors"
    net = models.resnet20().eval()
    zoo.save(net, plain)
    for name, preset in {
        "imagenet": Preset.imagenet(32, 37),
        "caffe": Preset.caffe(32, 37),
        "0-1": Preset((32, 32), None, "RGB", (0, 0, 0), (1 / 255,) * 3),
    }.items():
        net.preset = preset
        expected = net.predict(photo, top=3)
        out = succeed("predict", plain, photo, "--top", 3, "--preset", name).splitlines()
        assert out == [f"{p:7.2%}  {number:>4}  {label}" for number, label, p in expected]
    grey = tmp_path / "grey.safetensors"
    lenet = models.lenet5().eval()
    zoo.save(lenet, grey)
    lenet.preset = Preset((28, 28), None, "L", (0,), (1 / 255,))
    best = lenet.predict(photo, top=1)[0]
    assert f"{best.probability:7.2%}" in succeed("predict", grey, photo, "--preset", "0-1")
    assert "of 1 channels" in fail("predict", grey, photo, "--preset", "caffe")
    # It goes over the file's own.
    net = zoo.load(file)
    net.preset = Preset.caffe()
    assert f"{net.predict(photo)[0].probability:7.2%}" in succeed(
        "predict", file, photo, "--preset", "caffe"
    )


def test_convert_keeps_or_sets_the_licence(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="ONNX files need onnx")
    first, second = tmp_path / "first.safetensors", tmp_path / "second.onnx"
    zoo.save(models.lenet5(), first, license="MIT")
    succeed("convert", first, second)
    assert zoo.load(second).license == "MIT"
    for path in (second, tmp_path / "third.safetensors"):
        succeed("convert", first, path, "--license", "CC0-1.0")
        assert zoo.load(path).license == "CC0-1.0"
    assert "no place" in fail("convert", first, tmp_path / "a.npz", "--license", "MIT")


def test_convert_to_npz(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.npz"
    said = succeed("convert", file, out)
    assert "weights alone" in said and said.endswith(f"GraphModule of net.t7 saved as {out}\n")
    net = zoo.load(file)
    with np.load(out) as arrays:
        net.load_state_dict(dict(arrays))
    assert len(arrays.files) == len(net.state_dict())


def test_convert_to_safetensors(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    succeed("convert", file, out)
    found, expected = zoo.read(out), zoo.load(file)
    assert found.preset == expected.preset and found.classes == expected.classes
    for name, array in expected.state_dict().items():
        np.testing.assert_array_equal(found.tensors[name], array)


def test_convert_to_onnx(file: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX files need onnx")
    out = tmp_path / "net.onnx"
    succeed("convert", file, out)
    shape = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape][1:] == [3, 224, 224]
    succeed("convert", file, out, "--input-shape", "3,226,226")
    shape = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape][1:] == [3, 226, 226]


def test_mistakes(file: Path, tmp_path: Path, photo: Path) -> None:
    absent = tmp_path / "absent.pth"
    assert "does not exist" in fail("inspect", absent)
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(b"neither fish nor flesh")
    for arguments in (["inspect", foreign], ["predict", foreign, photo]):
        assert "of a format that the zoo knows" in fail(*arguments)
    assert "must end in .safetensors or .onnx or .npz" in fail("convert", file, "net.h5")
    assert "only .onnx files" in fail("convert", file, tmp_path / "a.npz", "--input-shape", "3,8,8")
    cut = tmp_path / "cut.t7"
    cut.write_bytes(file.read_bytes()[:5000])
    assert "torch7: " in fail("inspect", cut)
    plain = tmp_path / "plain.t7"
    plain.write_bytes(write(module("nn.Sequential", module("nn.Tanh"))))
    assert "give --preset (imagenet, caffe, 0-1)" in fail("predict", plain, photo)
    assert "give input_shape" in fail("convert", plain, tmp_path / "plain.onnx")
