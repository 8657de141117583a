"""Every format, cut at each 64th of its length and with each of 1,000 bits flipped: a refusal in
words or a network, in 5 seconds and 200 MB over the file's size, and nothing else is touched.

What is peculiar to a format (lying sizes, circles, bombs, paths, code) stands in its own tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorflow_files as tf
from caffe_files import blob, fill, layer, message, net_def, number, operator, text, varint
from fastconv import models, nn, zoo
from pickle_assembly import array_of, pickle_of
from t7_files import module
from t7_files import write as write_t7
from t7_layers import convolution
from torch_files import contents, tensors, write_legacy, write_zip

DAMAGE = Path(__file__).with_name("damage.py")
RNG = np.random.default_rng(2)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def pytorch(folder: Path) -> Path:
    arrays = {name: np.array(array) for name, array in models.lenet5().state_dict().items()}
    return write_zip(folder / "net.pth", tensors(arrays), contents(arrays))


def pytorch_stream(folder: Path) -> Path:
    arrays = {name: np.array(array) for name, array in models.lenet5().state_dict().items()}
    stored = {key: (len(data) // 4, data) for key, data in contents(arrays).items()}
    return write_legacy(folder / "net.pth", tensors(arrays), stored)


def safetensors(folder: Path) -> Path:
    zoo.save(models.lenet5(), folder / "net.safetensors")
    return folder / "net.safetensors"


def npz(folder: Path) -> Path:
    np.savez(folder / "net.npz", **models.lenet5().state_dict())
    return folder / "net.npz"


def onnx(folder: Path) -> Path:
    pytest.importorskip("onnx")
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4))
    zoo.export_onnx(net, folder / "net.onnx", (1, 5, 5))
    return folder / "net.onnx"


def torch7(folder: Path) -> Path:
    net = module(
        "nn.Sequential",
        convolution("nn.SpatialConvolution", normal(3, 2, 3, 3), normal(3), 1, 1),
        module("nn.ReLU"),
    )
    (folder / "net.t7").write_bytes(write_t7(net))
    return folder / "net.t7"


def tensorflow_graph(folder: Path) -> Path:
    pytest.importorskip("google.protobuf")
    content = tf.graph(
        tf.placeholder("x", -1, 6, 5, 2),
        tf.const("kernel", normal(3, 3, 2, 4)),
        tf.node(
            "conv",
            "Conv2D",
            ["x", "kernel"],
            strides=tf.integers(1, 1, 1, 1),
            padding=tf.field(2, "SAME"),
        ),
        tf.node("relu", "Relu", ["conv"]),
    )
    (folder / "net.pb").write_bytes(content)
    return folder / "net.pb"


def caffe(folder: Path) -> Path:
    pytest.importorskip("google.protobuf")
    shape = message(1, *map(varint, (1, 3, 8, 8)))
    conv = layer(
        "c",
        "Convolution",
        map(blob, (normal(2, 3, 3, 3), normal(2))),
        ["x"],
        ["c"],
        message(106, number(1, 2), number(4, 3)),
    )
    entry = layer("x", "Input", (), (), ["x"], message(143, message(1, shape)))
    (folder / "net.caffemodel").write_bytes(text(1, "n") + entry + conv)
    return folder / "net.caffemodel"


def caffe2(folder: Path) -> Path:
    pytest.importorskip("google.protobuf")
    conv = operator("Conv", ["x", "w", "b"], ["y"], kernel=3, pad=1, order="NCHW")
    (folder / "predict_net.pb").write_bytes(net_def("n", [conv], ["x", "w", "b"], ["y"]))
    fills = [fill("w", normal(2, 3, 3, 3)), fill("b", normal(2))]
    (folder / "init_net.pb").write_bytes(net_def("n", fills))
    return folder / "predict_net.pb"


def caffe2_weights(folder: Path) -> Path:
    caffe2(folder)
    return folder / "init_net.pb"


def keras_h5(folder: Path) -> Path:
    pytest.importorskip("h5py")
    from keras_files import write_h5

    return write_h5(folder / "net.h5", *_keras())


def keras_v3(folder: Path) -> Path:
    pytest.importorskip("h5py")
    from keras_files import write_keras

    variables = {"layers/dense/vars/0": normal(3, 2), "layers/dense/vars/1": normal(2)}
    return write_keras(folder / "net.keras", _keras()[1], variables)


def _keras() -> tuple[Any, Any]:
    from keras_files import layer

    config = {
        "class_name": "Sequential",
        "config": {"layers": [layer("Dense", "fc", units=2, batch_input_shape=[None, 3])]},
    }
    return {"fc": [("fc/kernel:0", normal(3, 2)), ("fc/bias:0", normal(2))]}, config


FILES: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        pytorch,
        pytorch_stream,
        safetensors,
        npz,
        onnx,
        torch7,
        tensorflow_graph,
        caffe,
        caffe2,
        caffe2_weights,
        keras_h5,
        keras_v3,
    )
}


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_does_not_matter(tmp_path: Path, name: str) -> None:
    file = FILES[name](tmp_path)
    report = run(file, file)
    assert report["refused"] >= 32  # at least half of the cuts
    assert report["refused"] + report["loaded"] == 64 + 1000


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_tensorflow_checkpoints(tmp_path: Path, part: str) -> None:
    pytest.importorskip("google.protobuf")
    tf.write_bundle(tmp_path / "ckpt", [{"a": normal(20, 30), "b": normal(7)}])
    report = run(tmp_path / f"ckpt.{part}", tmp_path / "ckpt", "read")
    # Checksums find every damage but that of the index's footer, which is mostly padding; see
    # test_tensorflow_checkpoint.py.
    assert report["loaded"] == 0 or part == "index"


def test_lasagne(tmp_path: Path) -> None:
    file = tmp_path / "net.pkl"
    file.write_bytes(pickle_of({"param values": [array_of(normal(4, 3)), array_of(normal(4))]}))
    assert run(file, file, "read")["refused"] >= 64


def run(file: Path, name: Path, how: str = "load") -> dict[str, float]:
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    done = subprocess.run(
        [sys.executable, str(DAMAGE), str(file), str(name), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, float] = json.loads(done.stdout)
    assert report["longest"] < 5
    assert report["grown"] < 200e6 + file.stat().st_size
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before
    return report
