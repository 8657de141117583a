"""PyTorch's files, written by hand: every layout that is read, and all that is refused."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import zoo
from fastconv.zoo import FormatError
from pickle_assembly import Call, Name, Persistent, pickle_of
from torch_files import (
    KINDS,
    contents,
    storage,
    strides,
    tensor,
    tensors,
    write_legacy,
    write_zip,
)

RNG = np.random.default_rng(0)
ARRAYS: dict[str, np.ndarray] = {
    name: (RNG.standard_normal((2, 3)) * 50).astype(name) for name in KINDS
}
ARRAYS["scalar"] = np.array(5, np.int64)
ARRAYS["empty"] = np.zeros((0, 4), np.float32)


def check(found: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        np.testing.assert_array_equal(found[name], array)


def refused(path: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        zoo.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("byteorder", ["little", "big", None])
def test_zip(tmp_path: Path, byteorder: str | None) -> None:
    order = ">" if byteorder == "big" else "<"
    swapped = {name: a.astype(a.dtype.newbyteorder(order)) for name, a in ARRAYS.items()}
    path = write_zip(tmp_path / "a.pth", tensors(ARRAYS), contents(swapped), byteorder)
    archive = zoo.read(path)
    assert archive.format == "pytorch"
    found = {name: a.astype(a.dtype.newbyteorder("=")) for name, a in archive.tensors.items()}
    check(found, ARRAYS)


def test_legacy(tmp_path: Path) -> None:
    counted = {
        str(place): (array.size, array.tobytes()) for place, array in enumerate(ARRAYS.values())
    }
    check(zoo.read(write_legacy(tmp_path / "a.pth", tensors(ARRAYS), counted)).tensors, ARRAYS)


def test_legacy_views_of_storages(tmp_path: Path) -> None:
    whole = np.arange(10, dtype=np.float32)
    root = {
        "a": tensor(storage("7", "FloatStorage", 10, ("8", 4, 3)), 1, (2,), (1,)),
        "b": tensor(storage("7", "FloatStorage", 10, None), 0, (10,), (1,)),
    }
    path = write_legacy(tmp_path / "a.pth", root, {"7": (10, whole.tobytes())})
    check(zoo.read(path).tensors, {"a": whole[5:7], "b": whole})
    root["a"] = tensor(storage("7", "FloatStorage", 10, ("8", 8, 3)), 0, (1,), (1,))
    refused(write_legacy(tmp_path / "b.pth", root, {"7": (10, whole.tobytes())}), "lie inside")


def test_a_stream_of_python_2(tmp_path: Path) -> None:
    of = Persistent((b"storage", Name("torch.cuda", "FloatStorage"), b"0", b"cuda:0", 6, None))
    old = Call(Name("torch._utils", "_rebuild_tensor"), (of, 0, (2, 3), (3, 1)))
    pairs = Call(Name("collections", "OrderedDict"), ([[b"a", old]],), {b"_metadata": {}})
    path = write_legacy(tmp_path / "a.pth", pairs, {"0": (6, ARRAYS["float32"].tobytes())})
    check(zoo.read(path).tensors, {"a": ARRAYS["float32"]})


def test_zip64(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        arrays = {"a": ARRAYS["float32"]}
        for name, content in (
            ("archive/data.pkl", pickle_of(tensors(arrays))),
            ("archive/data/0", arrays["a"].tobytes()),
        ):
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    check(zoo.read(tmp_path / "a.pth").tensors, arrays)


def test_tar(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.float32)

    def member(*parts: Any) -> bytes:
        return b"".join(p if type(p) is bytes else pickle_of(p) for p in parts)

    def axes(size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> bytes:
        count = len(size)
        return struct.pack(f"<ii{2 * count + 1}q", count, 0, *size, *stride, offset)

    kind, of = Name("torch", "FloatStorage"), Name("torch", "FloatTensor")
    members = {
        "sys_info": member({"little_endian": True}),
        "pickle": member({"a": Persistent(1), "b": Persistent(2)}),
        "tensors": member(
            2, (1, 10, of), axes((3, 2), (1, 3), 2), (2, 11, of), axes((2,), (1,), 0)
        ),
        "storages": member(
            1,
            (10, "cpu", kind),
            struct.pack("<q", 12),
            numbers.tobytes(),
            [(11, 10, 4, 2)],
        ),
    }

    def write(name: str, members: dict[str, bytes]) -> Path:
        with tarfile.open(tmp_path / name, "w", format=tarfile.PAX_FORMAT) as tar:
            for one, content in members.items():
                info = tarfile.TarInfo(one)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return tmp_path / name

    expected = {"a": numbers[2:8].reshape(2, 3).T, "b": numbers[4:6]}
    check(zoo.read(write("a.pth", members)).tensors, expected)
    whole = write("whole", members).read_bytes()
    for length in (600, 1500, 3000):
        (tmp_path / "cut").write_bytes(whole[:length])
        refused(tmp_path / "cut", "zoo.load")
    far = member(1, (1, 10, of), axes((13,), (1,), 0))
    refused(write("far", {**members, "tensors": far}), "inside of its storage")
    many = member(1, (1, 10, of), struct.pack("<ii3q", 1 << 30, 0, 1, 1, 0))
    refused(write("many", {**members, "tensors": many}), "at most 32 axes")
    refused(write("none", {k: v for k, v in members.items() if k != "tensors"}), "missing=tensors")


def test_strides_offsets_and_shared_storage(tmp_path: Path) -> None:
    numbers = np.arange(24, dtype=np.float32)
    of = storage("0", "FloatStorage", 24)
    root = {
        "turned": tensor(of, 0, (4, 6), (1, 4)),
        "row": tensor(of, 6, (3,), (1,)),
        "every second": tensor(of, 1, (2, 3), (12, 2)),
        "none": tensor(of, 24, (0,), (1,)),
    }
    path = write_zip(tmp_path / "a.pth", root, {"0": numbers.tobytes()})
    expected = {
        "turned": numbers.reshape(6, 4).T,
        "row": numbers[6:9],
        "every second": numbers.reshape(2, 12)[:, 1:7:2],
        "none": numbers[:0],
    }
    check(zoo.read(path).tensors, expected)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    exact = np.array([1.0, -2.5, 3e38, 0.0, np.inf], np.float32)
    bits = (exact.view(np.uint32) >> 16).astype("<u2")
    exact = (bits.astype(np.uint32) << 16).view(np.float32)
    root = {"a": tensor(storage("0", "BFloat16Storage", 5), 1, (4,), (1,))}
    check(
        zoo.read(write_zip(tmp_path / "a.pth", root, {"0": bits.tobytes()})).tensors,
        {"a": exact[1:]},
    )
    dtype = Name("torch", "bfloat16")
    untyped = Persistent(("storage", Name("torch.storage", "UntypedStorage"), "0", "cpu", 10))
    root = {
        "a": Call(
            Name("torch._utils", "_rebuild_tensor_v3"),
            (untyped, 0, (5,), (1,), False, Call(Name("collections", "OrderedDict"), ()), dtype),
        )
    }
    path = write_zip(tmp_path / "b.pth", root, {"0": bits.tobytes()})
    check(zoo.read(path).tensors, {"a": exact})


def test_what_training_scripts_save_around_the_weights(tmp_path: Path) -> None:
    arrays = {"fc.weight": ARRAYS["float32"], "fc.bias": ARRAYS["float64"]}
    bare = tensors(arrays)
    parameters = {
        name: Call(
            Name("torch._utils", "_rebuild_parameter"),
            (one, True, Call(Name("collections", "OrderedDict"), ())),
        )
        for name, one in bare.items()
    }
    best = Call(
        Name("numpy.core.multiarray", "scalar"),
        (
            Call(Name("numpy", "dtype"), ("f8", 0, 1), (3, "<", None, None, None, -1, -1, 0)),
            b"1" * 8,
        ),
    )
    around = {
        "epoch": 3,
        "best": best,
        "args": Call(Name("argparse", "Namespace"), (), {"lr": 0.1}, b"\x81"),
        "optimizer": {"state": {0: {"momentum_buffer": bare["fc.bias"]}}, "param_groups": []},
    }
    wrapped = [
        parameters,
        {**around, "state_dict": bare},
        {**around, "model": {f"module.{name}": one for name, one in parameters.items()}},
        {"model": {"state_dict": bare}},
        {"state_dict": {f"model.module.{name}": one for name, one in bare.items()}},
    ]
    for place, root in enumerate(wrapped):
        path = write_zip(tmp_path / f"{place}.pth", root, contents(arrays))
        check(zoo.read(path).tensors, arrays)
    for place, root in enumerate(({"epoch": 3}, [bare], bare["fc.bias"], {1: bare["fc.bias"]})):
        path = write_zip(tmp_path / f"no{place}.pth", root, contents(arrays))
        refused(path, "must hold a state dict")


def test_the_file_is_mapped_and_never_written(tmp_path: Path) -> None:
    arrays = {"a": np.arange(1000, dtype=np.float32)}
    path = tmp_path / "a.pth"
    # The entry's name brings the content to a multiple of four, as PyTorch's padding does.
    for pad in range(4):
        name = "x" * pad
        root = {"a": tensor(storage(name, "FloatStorage", 1000), 0, (1000,), (1,))}
        write_zip(path, root, {name: arrays["a"].tobytes()}, None)
        before = path.read_bytes()
        found = zoo.read(path).tensors["a"]
        assert found.flags.aligned and found.flags.writeable
        np.testing.assert_array_equal(found, arrays["a"])
        found += 1
        assert path.read_bytes() == before


HOSTILE = [
    (Call(Name("os", "system"), ("touch made",)), "refused=os.system"),
    (Call(Name("builtins", "eval"), ("1",)), "refused=builtins.eval"),
    (Call(Name("builtins", "getattr"), (1, "x")), "refused=builtins.getattr"),
    (Call(Name("torch", "load"), ("x",)), "refused=torch.load"),
    (Call(Name("torchvision.models.resnet", "ResNet"), (), {}), "whole pickled network"),
    (Call(Name("torch._utils", "_rebuild_sparse_tensor"), ()), "refused=torch._utils._rebuild_sp"),
    (Call(Name("torch", "float32"), ()), "must not call functions"),
    (Call(1, ()), "must not call functions"),
    (Persistent(("module", 1, 2, 3, 4)), "must be that of a storage"),
    (Persistent("0"), "must be that of a storage"),
    (storage("0", "FloatTensor", 8), "known type"),
    (storage("0", "FloatStorage", -8), "known type and a size"),
    (storage("0", "FloatStorage", 9), "one type and size"),
    (storage("0", "FloatStorage", 1 << 40), "one type and size"),
    (storage("1", "FloatStorage", 1 << 40), "the size that the pickle says"),
    (storage("0", "FloatStorage", 1 << 70), "known type and a size"),
    (storage("none", "FloatStorage", 8), r"^zoo.load: the archive .*missing=data/none"),
]
OF = storage("0", "FloatStorage", 8)
MISPLACED = [
    (OF, 0, (9,), (1,)),
    (OF, 1, (8,), (1,)),
    (OF, 9, (1,), (1,)),
    (OF, -1, (1,), (1,)),
    (OF, 0, (2, 2), (1, -1)),
    (OF, 0, (-1,), (1,)),
    (OF, 0, (2, 2), (7, 2)),
    (OF, 0, (1 << 30, 1 << 30), (0, 0)),
    (OF, 0, (9,), (0,)),
    (OF, 0, (2,), (1, 1)),
    (OF, 0, (0, 1 << 40, 1 << 40), (1, 1, 1)),
    (OF, 0, (1 << 60, 1 << 60), (1, 1)),
    (OF, 0, (1,) * 65, (1,) * 65),
    (OF, True, (1,), (1,)),
    (OF, 0.0, (1,), (1,)),
    (OF, 0, [1], [1]),
    (OF, 0, ("1",), (1,)),
    (None, 0, (1,), (1,)),
    ({}, 0, (1,), (1,)),
]


@pytest.mark.parametrize(("value", "message"), HOSTILE)
def test_hostile_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = {"w": tensor(OF, 0, (8,), (1,)), "x": value}
    refused(write_zip(tmp_path / "a.pth", weights, {"0": bytes(32), "1": bytes(9)}), message)
    if "missing" not in message and "the size" not in message:
        refused(write_legacy(tmp_path / "b.pth", weights, {"0": (8, bytes(32))}), message)
    assert not os.path.exists("made")


@pytest.mark.parametrize("place", MISPLACED)
def test_tensors_outside_of_their_storage(tmp_path: Path, place: Any) -> None:
    root = {"a": tensor(*place)}
    refused(write_zip(tmp_path / "a.pth", root, {"0": bytes(32)}), "zoo.load: (a|the) .*tensor")


def test_a_state_dict_that_holds_itself(tmp_path: Path) -> None:
    w = pickle_of({"w": tensor(OF, 0, (8,), (1,))})[2:-1]
    root = b"\x80\x02" + w + b"q\x00X\x0a\x00\x00\x00state_dicth\x00s."
    assert list(zoo.read(write_zip(tmp_path / "a.pth", root, {"0": bytes(32)})).tensors) == ["w"]
    root = b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s."
    refused(write_zip(tmp_path / "b.pth", root, {}), "must hold a state dict")


def test_damaged_archives(tmp_path: Path) -> None:
    root = tensors({"a": ARRAYS["float32"]})
    stored = contents({"a": ARRAYS["float32"]})
    path = tmp_path / "a.pth"
    refused(write_zip(path, root, stored, compression=zipfile.ZIP_DEFLATED), "is compressed")
    refused(write_zip(path, root, stored, "middle"), "byteorder must be little or big")
    refused(
        write_zip(path, root, stored, **{"constants.pkl": b"", "code/a.py": b""}), "TorchScript"
    )
    refused(write_zip(path, root, stored, **{"b/data.pkl": b""}), "must hold one data.pkl")
    whole = write_zip(path, root, stored).read_bytes()
    for length in range(50, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path, "zoo.load")
    for place in range(len(whole)):  # each byte, in the entries and in the directory
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            zoo.read(path)
        except FormatError as error:
            assert str(path) in str(error)


def test_damaged_streams(tmp_path: Path) -> None:
    counted = {"0": (6, ARRAYS["float32"].tobytes())}
    root = tensors({"a": ARRAYS["float32"]})
    path = tmp_path / "a.pth"
    whole = write_legacy(path, root, counted).read_bytes()
    for length in range(16, len(whole)):
        path.write_bytes(whole[:length])
        refused(path, "zoo.load")
    refused(write_legacy(path, root, {"0": (7, bytes(28))}), "the size that the pickle says")
    refused(write_legacy(path, root, {"0": (-6, bytes(24))}), "the size that the pickle says")
    refused(write_legacy(path, root, {"1": (6, bytes(24))}), "must hold every storage")
    two = {"a": root["a"], "b": tensor(storage("0", "LongStorage", 3), 0, (3,), (1,))}
    refused(write_legacy(path, two, counted), "one type and size")
    path.write_bytes(whole.replace(pickle_of(1001), pickle_of(1002), 1))
    refused(path, "version must be 1001")
    assert strides((2, 3)) == (3, 1)
