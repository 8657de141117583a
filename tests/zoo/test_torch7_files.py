"""What is in Torch7's files, whatever their encoding; and files that must be refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

from fastconv import zoo
from fastconv.zoo.readers import torch7
from t7_files import Closure, Function, Obj, Tensor, lua_list, module, write
from t7_layers import ENCODINGS, convolution, load, normal, pool, size

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_tensors_of_all_kinds(tmp_path: Path, encoding: dict[str, Any]) -> None:
    shared = np.arange(24, dtype=np.float32)
    content = {
        "half": np.array([[1.5, -2]], np.float16),
        "double": np.array([np.pi, -np.inf, np.nan, 1e300]),
        "long": np.array([1, -2, 2**30]),
        "int": np.array([[3], [4]], np.int32),
        "byte": np.array([0, 10, 255], np.uint8),
        "whole": Tensor(shared, (2, 3, 4), (12, 4, 1)),
        "turned": Tensor(shared, (4, 3), (1, 4), offset=13),
        "cuda": Tensor(np.float32([1, 2]), (2,), (1,), device="Cuda"),
        "empty": np.zeros(0, np.float32),
        "deep": {"er": lua_list(np.float32([7]))},
        "expanded": Tensor(np.float32([7]), (3, 5), (0, 0)),
        "passed": lua_list(Function(), Closure(tag=7), Closure(upvalues=lua_list("x")), None),
        "text": "ümläut",
    }  # fmt: skip
    file = tmp_path / "tensors.t7"
    file.write_bytes(write(content, **encoding))
    archive = zoo.read(file)
    assert archive.format == "torch7" and archive.build is None
    found = archive.tensors
    names = ["half", "double", "long", "int", "byte", "whole", "turned", "cuda", "empty"]
    assert list(found) == [*names, "deep.er.1"]
    for name in ("half", "double", "long", "int", "byte"):
        np.testing.assert_array_equal(found[name], content[name])
    assert found["half"].dtype.newbyteorder("=") == np.float16
    np.testing.assert_array_equal(found["whole"], shared.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["turned"], shared[12:].reshape(3, 4).T)
    with pytest.raises(zoo.FormatError, match="names and shapes of the weights"):
        zoo.load(file)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x80\x02}q\x00.",
        b"PK\x03\x04" + bytes(40),
        b"\x89HDF\r\n\x1a\n" + bytes(40),
        b"\x08\x07\x12\x07pytorch",
        b"\x04\0\0\0\x01\0\0\0" + bytes(40),
        b"name: 'net'\nlayer {",
        struct.pack(">4i", 2051, 3, 28, 28) + bytes(40),
    ],
)
def test_other_files_are_not_recognised(head: bytes) -> None:
    assert not torch7.recognises(Path("net.t7"), head)


@pytest.mark.donor
def test_another_reader_agrees(tmp_path: Path) -> None:
    """That the files written here are Torch7's, in the eyes of the package torchfile."""
    torchfile = pytest.importorskip("torchfile")
    shared = np.arange(24, dtype=np.float32)
    conv = convolution(
        "nn.SpatialConvolution", normal(6, 6, 3, 3), normal(6), 1, 1, passed=Closure()
    )
    content = {
        "turned": Tensor(shared, (4, 3), (1, 4), offset=13),
        "long": np.array([1, -2, 2**40]),
        "net": module("nn.Sequential", conv, conv, version=None),
    }
    file = tmp_path / "net.t7"
    file.write_bytes(write(content))
    theirs, ours = torchfile.load(str(file)), zoo.read(file).tensors
    np.testing.assert_array_equal(theirs[b"turned"], shared[12:].reshape(3, 4).T)
    np.testing.assert_array_equal(theirs[b"long"], content["long"])
    first, second = theirs[b"net"].modules
    assert first is second and first.torch_typename() == b"nn.SpatialConvolution"
    for key in ("weight", "bias"):
        np.testing.assert_array_equal(first[key.encode()], ours[f"1.{key}"])
    assert (first[b"kW"], first[b"padH"]) == (3, 1)


# What must be refused.


def _nested(depth: int) -> Any:
    inner: Any = 1
    for _ in range(depth):
        inner = lua_list(inner)
    return inner


def _loop() -> Obj:
    loop = module("nn.Sequential")
    loop.fields["modules"] = lua_list(loop)
    return loop


def _explosion() -> Obj:
    part = module("nn.Tanh")
    for _ in range(40):
        part = module("nn.Sequential", part, part)
    return part


def _linear(**fields: Any) -> Obj:
    return module("nn.Sequential", module("nn.View", size=size(294)), module("nn.Linear", **fields))


BAD: dict[str, tuple[Any, str]] = {
    "unknown class": (module("nn.Sequential", module("nn.Weird")), r"class=nn.Weird, place=1"),
    "graph": (module("nn.gModule"), "class=nn.gModule, place=the whole"),
    "loop": (_loop(), "have itself as a part|too many"),
    "explosion": (_explosion(), "too many"),
    "even window": (module("nn.SpatialCrossMapLRN", size=4), r"size must be odd \(size=4\)"),
    "jump": (module("nn.Threshold", threshold=1, val=0), "must not jump"),
    "no modules": (module("nn.DataParallelTable"), "a copy of the network"),
    "weight too small": (
        convolution("nn.SpatialConvolution", normal(4, 3, 3, 3), None, 1, 0, nInputPlane=6),
        r"weight must hold .*expected=\(4, 6, 3, 3\), found=\(4, 3, 3, 3\)",
    ),
    "huge": (
        convolution("nn.SpatialConvolution", normal(4, 3, 3, 3), None, 1, 0, nOutputPlane=1e9),
        "nOutputPlane must be a whole number",
    ),
    "expanded weight": (
        _linear(weight=Tensor(normal(1), (60000, 60000), (0, 0))), "weight must have the axes",
    ),
    "integers": (_linear(weight=np.ones((2, 294), np.int32)), "weight must hold floating point"),
    "not a number": (module("nn.LeakyReLU", negval="0.1"), "negval must be a number"),
    "fraction": (pool("nn.SpatialMaxPooling", 2.5, 1, 0), "kH must be a whole number"),
    "negative": (module("nn.SpatialZeroPadding", pad_l=-1), "pad_l must be a whole number"),
    "groups": (
        convolution("cudnn.SpatialConvolution", normal(4, 3, 1, 1), None, 1, 0, groups=2),
        r"groups must divide the channels",
    ),
    "no view": (module("nn.View", size=size(128, -1)), "the first axis must be the batch's"),
    "no batch": (module("nn.Reshape", size=size(6), batchMode=False), "an axis for the batch"),
    "one picture": (module("nn.Concat", module("nn.Tanh"), dimension=1), "dimension must be 2"),
    "a table": (
        module("nn.Sequential", module("nn.ConcatTable", module("nn.Tanh")), module("nn.Tanh")),
        "must be one tensor",
    ),
    "three to subtract": (
        module(
            "nn.Sequential",
            module("nn.ConcatTable", module("nn.Tanh"), module("nn.Tanh"), module("nn.Tanh")),
            module("nn.CSubTable"),
        ),
        r"there must be two inputs \(inputs=3\)",
    ),
    "no table": (module("nn.Sequential", module("nn.CAddTable")), "a table of tensors"),
    "maps": (
        module("nn.Sequential", module("nn.View", size=size(6)), module("nn.SpatialMaxPooling")),
        "N, C, H, W",
    ),
    "too deep": (_nested(400), "must not lie too deep"),
    "outside": (Tensor(normal(5), (2, 3), (3, 1)), "must hold all its elements"),
    "before": (Tensor(normal(5), (2,), (1,), offset=0), "must hold all its elements"),
    "no fields": (Obj("nn.Tanh", 3), "table of its fields"),
    "no elements": (Obj("torch.StrangeTensor", {}), "a known type"),
    "wide padding": (pool("nn.SpatialMaxPooling", 2, 2, 2), "half the window"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    content, rule = BAD[name]
    with pytest.raises(zoo.FormatError, match=rule):
        load(tmp_path, content)


SMALL = module(
    "nn.Sequential",
    convolution("cudnn.SpatialConvolution", normal(2, 3, 3, 3), normal(2), 2, 1, groups=1),
    module("nn.ConcatTable", module("nn.Tanh"), pool("nn.SpatialMaxPooling", 3, 1, 1)),
    module("nn.JoinTable", dimension=1, nInputDims=3),
)


@pytest.mark.parametrize("encoding", ENCODINGS[:2], ids=str)
def test_cut_files(tmp_path: Path, encoding: dict[str, Any]) -> None:
    whole = write(SMALL, **encoding)
    file = tmp_path / "cut.t7"
    for length in range(40, len(whole) - 8, 97):
        file.write_bytes(whole[:length])
        with pytest.raises(zoo.FormatError):
            zoo.load(file)


def test_changed_bytes_never_crash(tmp_path: Path) -> None:
    whole = write(SMALL)
    file = tmp_path / "changed.t7"
    for _ in range(300):
        changed = bytearray(whole)
        for at in RNG.integers(0, len(whole), 3):
            changed[at] = RNG.integers(0, 256)
        file.write_bytes(changed)
        try:
            zoo.load(file)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<3i", 3, 1, 2**31 - 1) + struct.pack("<i", 1) + bytes(60),  # entries
        struct.pack("<4i", 4, 1, 3, 0)[:12] + b"V 1" + struct.pack("<i", 18) + b"torch.FloatStorage"
        + struct.pack("<q", 2**60) + bytes(60),
        struct.pack("<3i", 4, 1, 3) + b"V 1" + struct.pack("<i", 2**30) + b"nn.Sequential",
    ],
    ids=["table", "storage", "name"],
)  # fmt: skip
def test_announced_sizes_are_not_believed(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "huge.t7"
    file.write_bytes(body)
    with pytest.raises(zoo.FormatError, match="announces"):
        zoo.load(file)
