"""safetensors files, written by hand, by the package, by `train` and by `zoo.save`."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import models, nn, optim, zoo
from fastconv.data import Preset
from fastconv.train import save_checkpoint
from fastconv.zoo import FormatError


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if type(header) is bytes else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype: Any, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def refused(path: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        zoo.load(path)
    assert str(path) in str(caught.value)


NAMES = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "BOOL": "?", "C64": "c8"},
    **{"I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"},
    **{"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1"},
}


def test_every_type_at_any_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for pad in range(8):  # so that nothing, or something else, is aligned
        arrays = {"pad": np.zeros(pad, np.int8)}
        for name, code in NAMES.items():
            arrays[name] = (rng.standard_normal((2, 3)) * 50).astype(code)
        arrays["number"], arrays["none"] = np.array(3.0), np.zeros((2, 0), np.float32)
        header, data = {}, b""
        codes = {np.dtype(code): name for name, code in NAMES.items()}
        for name, array in arrays.items():
            place = len(data), len(data) + array.nbytes
            header[name] = entry(codes[array.dtype], array.shape, *place)
            data += array.tobytes()
        path = write(tmp_path / "a.safetensors", {"__metadata__": {"a": "b"}, **header}, data)
        archive = zoo.read(path)
        assert archive.metadata == {"a": "b"}
        assert archive.tensors.keys() == arrays.keys()
        for name, array in arrays.items():
            found = archive.tensors[name]
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found, array)
            assert found.flags.aligned
            found.fill(0)
        assert path.read_bytes().endswith(data)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    header = {"a": entry("BF16", [2], 0, 4)}
    path = write(tmp_path / "a.safetensors", header, struct.pack("<HH", 0x3F80, 0xC020))
    assert zoo.read(path).tensors["a"].tolist() == [1.0, -2.5]


A = entry("F32", [2], 0, 8)


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({"a": A}, 7, "file must be whole"),
        ({"a": A}, 9, "file must be whole"),
        ({"a": A, "b": entry("F32", [2], 4, 12)}, 12, "one behind the other"),
        ({"a": A, "b": entry("F32", [2], 0, 8)}, 8, "one behind the other"),
        ({"a": A, "b": entry("F32", [2], 12, 20)}, 20, "one behind the other"),
        ({"a": entry("F32", [3], 0, 8)}, 8, "as many bytes as its shape says"),
        ({"a": entry("F32", [1 << 59, 1 << 59], 0, 8)}, 8, "as many bytes as its shape says"),
        ({"a": entry("F32", [2], 8, 0)}, 8, "as many bytes as its shape says"),
        ({"a": entry("F32", [-2], 0, 8)}, 8, "integers from 0 on"),
        ({"a": entry("F32", [2.0], 0, 8)}, 8, "integers from 0 on"),
        ({"a": entry("F32", [True, 2], 0, 8)}, 8, "integers from 0 on"),
        ({"a": entry("F32", "2", 0, 8)}, 8, "integers from 0 on"),
        ({"a": entry("F32", 2, 0, 8)}, 8, "integers from 0 on"),
        ({"a": entry("F32", [1] * 65 + [2], 0, 8)}, 8, "integers from 0 on"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": 8}}, 8, "integers from 0 on"),
        ({"a": {"dtype": "F32", "shape": [2]}}, 8, "must have dtype, shape and data_offsets"),
        ({"a": [1]}, 8, "must have dtype, shape and data_offsets"),
        ({"a": entry("F8_E4M3", [8], 0, 8)}, 8, "the type must be one of F64"),
        ({"a": entry(["F32"], [2], 0, 8)}, 8, "the type must be one of F64"),
        ({"__metadata__": {"a": 1}}, 0, "metadata must be texts"),
        ({"__metadata__": ["a"]}, 0, "metadata must be texts"),
        (b'{"a": 1, "a": 2}', 0, "a name is there twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", 0, "an integer is too long"),
        (b"{" + b'"a":[' * 100_000, 0, "header must be JSON"),
        (b"{,}", 0, "header must be JSON"),
        (b'{"\xff": 1}', 0, "header must be JSON"),
    ],
)
def test_what_is_refused(tmp_path: Path, header: Any, size: int, message: str) -> None:
    refused(write(tmp_path / "a.safetensors", header, bytes(size)), message)


def test_truncated_and_huge(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"a": A}, bytes(8))
    whole = path.read_bytes()
    for length in range(9, len(whole)):
        path.write_bytes(whole[:length])
        refused(path, "file must be whole")
    path.write_bytes(struct.pack("<Q", (1 << 32) - 1) + b"{")
    refused(path, "file must be whole")


def small(seed: int) -> nn.Module:
    rng = np.random.default_rng(seed)
    net = models.lenet5(num_classes=4, variant="paper").eval()
    for array in net.state_dict().values():
        array[...] = rng.standard_normal(array.shape)
    return net


def test_a_network_comes_back_as_it_was(tmp_path: Path) -> None:
    from safetensors import safe_open

    net = small(0)
    net.preset = Preset((28, 28), 32, "L", (127.5,), (1 / 127.5,))
    net.classes = ("a", "b", "c", "ö")
    path = tmp_path / "net.safetensors"
    zoo.save(net, path, license="MIT")
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "pt"
        assert file.metadata()["fastconv.license"] == "MIT"
        for name, array in net.state_dict().items():
            np.testing.assert_array_equal(file.get_tensor(name), array)
    again = zoo.load(path)
    assert (again.architecture, again.preset, again.classes) == (
        net.architecture,
        net.preset,
        net.classes,
    )
    assert repr(again) == repr(net)
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)
    np.testing.assert_array_equal(again(x).numpy(), net(x).numpy())
    zoo.save(again, path)  # the file that its weights are mapped to is replaced, not changed
    np.testing.assert_array_equal(again(x).numpy(), net(x).numpy())
    np.testing.assert_array_equal(zoo.load(path)(x).numpy(), net(x).numpy())


def test_options_and_heads_come_back(tmp_path: Path) -> None:
    with nn.init.skip_init():
        nets = [
            models.alexnet(10, "caffenet", dropout=0.25),
            models.googlenet(variant="torchvision", transform_input=True, aux_logits=True),
            models.resnet18(variant="caffe", conv1_bias=True).replace_head(3),
            models.get("resnet20"),
        ]
    for net in nets:
        net.requires_grad_(False)
        zoo.save(net, tmp_path / "net.safetensors")
        again = zoo.load(tmp_path / "net.safetensors")
        assert repr(again) == repr(net) and again.architecture is not None
        named = zoo.load(tmp_path / "net.safetensors", again.architecture[0])
        assert named.architecture == again.architecture
        assert getattr(again, "transform_input", False) == getattr(net, "transform_input", False)


def test_changed_networks_are_not_saved_under_their_name(tmp_path: Path) -> None:
    net = small(0)
    net.act1 = nn.ReLU()
    path = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match=r"zoo.save: the network must be as models.get builds it"):
        zoo.save(net, path)
    assert not path.exists()
    net.architecture = None
    zoo.save(net, path)
    assert zoo.read(path).build is None
    with pytest.raises(FormatError, match="must be those of a known network"):
        zoo.load(path)
    np.testing.assert_array_equal(zoo.read(path).tensors["fc2.bias"], net.fc2.bias.data)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", "2", "version of fastconv's metadata must be 1"),
        ("architecture", "{", "metadata must be whole"),
        ("architecture", "[1]", "metadata must be whole"),
        ("architecture", '["lenet6", {}]', "must fit the network.*name must be one of"),
        ("architecture", '["lenet5", {"classes": 3}]', "must fit the network"),
        ("architecture", '["lenet5", {"num_classes": 3}]', "must fit the network.*mis-shaped"),
        ("architecture", '["lenet5", {"num_classes": 1e99}]', "must fit the network"),
        ("architecture", '["lenet5", {"num_classes": 1000000000000000}]', "must fit the network"),
        ("architecture", '["vgg16", {}]', "must fit the network"),
        ("architecture", "[[], {}]", "metadata must be whole"),
        ("preset", '{"order": "XYZ"}', "metadata must be whole"),
        ("preset", '{"colour": 1}', "metadata must be whole"),
        ("preset", "[" * 100_000, "metadata must be whole"),
        ("classes", "[1]", "metadata must be whole"),
    ],
)
def test_metadata_that_lies(tmp_path: Path, key: str, value: str, message: str) -> None:
    path = tmp_path / "net.safetensors"
    zoo.save(small(0), path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"][f"fastconv.{key}"] = value
    refused(write(path, header, content[8 + length :]), message)


def test_checkpoints_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    net = small(0)
    save_checkpoint(path, net, optim.SGD(net.parameters(), lr=0.1))
    np.testing.assert_array_equal(zoo.load(path).state_dict()["fc2.bias"], net.fc2.bias.data)
    ema = optim.EMA(net)
    net.fc2.bias.data += 1
    save_checkpoint(path, net, ema=ema)
    again = zoo.load(path, variant="paper")
    np.testing.assert_array_equal(again.state_dict()["fc2.bias"], ema.averages["fc2.bias"])
    assert again.preset is None
    path.write_bytes(path.read_bytes()[:-8])
    refused(path, "must be a whole safetensors file")
