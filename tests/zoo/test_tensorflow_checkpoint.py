"""TensorFlow's checkpoints, written by the test."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tensorflow_files as files
from fastconv import zoo
from fastconv.zoo.archive import FormatError
from fastconv.zoo.tensorflow.crc32c import crc32c
from fastconv.zoo.tensorflow.slices import key_of, normalised, of_spec

pytest.importorskip("google.protobuf")

RNG = np.random.default_rng(2)


def tensors(count: int = 8) -> dict[str, np.ndarray]:
    return {
        f"net/layer_{i}/weights": RNG.standard_normal((i, 3)).astype(np.float32)
        for i in range(1, count + 1)
    }


# RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
@pytest.mark.parametrize(
    "data, checksum",
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_checksum(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum == files.crc32c(data)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_checksum_in_parts(data: bytes, at: int) -> None:
    assert crc32c(data[:at], data[at:]) == files.crc32c(data)


def test_checksum_of_more_than_a_chunk() -> None:
    data = RNG.bytes(4 * (1 << 16) + 4 * 77 + 3)
    assert crc32c(data) == files.crc32c(data)


@pytest.mark.parametrize("name", ["ckpt", "ckpt.index", "ckpt.data-00001-of-00002"])
def test_bundle(tmp_path: Path, name: str) -> None:
    expected = tensors()
    expected["global_step"] = np.array(7, np.int64)
    expected["half"] = np.ones((2, 2), np.float16)
    items = list(expected.items())
    files.write_bundle(tmp_path / "ckpt", [dict(items[:4]), dict(items[4:])])
    archive = zoo.read(tmp_path / name)
    assert archive.format == "tensorflow checkpoint" and archive.build is None
    assert list(archive.tensors) == sorted(expected)
    for key, array in expected.items():
        assert archive.tensors[key].dtype == array.dtype
        np.testing.assert_array_equal(archive.tensors[key], array)


def test_names_that_fit_nothing(tmp_path: Path) -> None:
    files.write_bundle(tmp_path / "ckpt", [tensors()])
    with pytest.raises(FormatError, match="must be those of a known network"):
        zoo.load(tmp_path / "ckpt")


def test_big_endian_bundle(tmp_path: Path) -> None:
    files.write_bundle(tmp_path / "ckpt", [{"x": np.arange(6, dtype=">f4").reshape(2, 3)}], 1)
    found = zoo.read(tmp_path / "ckpt").tensors["x"]
    np.testing.assert_array_equal(found, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert found.dtype == np.dtype("<f4")


def extent(start: int, length: int | None) -> bytes:
    out = files.field(1, start) if start else b""
    return files.field(1, out + (b"" if length is None else files.field(2, length)))


def write_partitioned(prefix: Path, parts: list[tuple[int, int]], whole: np.ndarray) -> None:
    """A tensor in slices of its rows, (start, length)."""
    slices = b"".join(
        files.field(7, extent(start, length) + extent(0, None)) for start, length in parts
    )
    about = files.field(1, 1) + files.field(2, files.shape(whole.shape)) + slices
    pairs, data = {b"": files.field(1, 1), b"rows": about}, b""
    for start, length in parts:
        part = whole[start : start + length]
        # 0; the name, ended by 0 1; the rank 2; small numbers are 0x80 + n, -1 is 0x7f.
        key = b"\0rows\0\1" + b"\1\2" + bytes([0x80 + start, 0x80 + length, 0x80, 0x7F])
        pairs[key] = files.entry(part, len(data))
        data += part.tobytes()
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    Path(f"{prefix}.index").write_bytes(files.table(pairs))


def test_partitioned_variable(tmp_path: Path) -> None:
    whole = RNG.standard_normal((7, 3)).astype(np.float32)
    write_partitioned(tmp_path / "ckpt", [(3, 4), (0, 3)], whole)
    found = zoo.read(tmp_path / "ckpt").tensors
    assert list(found) == ["rows"]
    np.testing.assert_array_equal(found["rows"], whole)


@pytest.mark.parametrize(
    "parts, message",
    [
        ([(0, 3)], "slices must cover the tensor"),
        ([(0, 4), (3, 3)], "slices must not overlap"),
        ([(0, 3), (4, 4)], "a slice must lie in its tensor"),
    ],
)
def test_slices_that_do_not_fit(tmp_path: Path, parts: list[tuple[int, int]], message: str) -> None:
    write_partitioned(tmp_path / "ckpt", parts, np.ones((7, 3), np.float32))
    with pytest.raises(FormatError, match=f"rows: {message}"):
        zoo.read(tmp_path / "ckpt")


# Encoded with TensorFlow's EncodeTensorNameSlice by its own rules for long numbers.
@pytest.mark.parametrize(
    "number, code",
    [
        (0, b"\x80"),
        (63, b"\xbf"),
        (64, b"\xc0\x40"),
        (8191, b"\xdf\xff"),
        (8192, b"\xe0\x20\x00"),
        (-1, b"\x7f"),
        (-64, b"\x40"),
        (-65, b"\x3f\xbf"),
    ],
)
def test_keys_of_slices(number: int, code: bytes) -> None:
    assert key_of("a", ((number, 0),)) == b"\0a\0\1" + b"\1\1" + code + b"\x80"


def test_specs_of_slices() -> None:
    assert of_spec("", "x") is None
    assert of_spec("10 4 2,5:-", "x") == ((2, 5), (0, -1))
    assert normalised(((2, 5), (0, -1)), (10, 4), "x") == ((2, 5), (0, 4))
    with pytest.raises(FormatError, match="must be written as such"):
        of_spec("10 4 2;5:-", "x")


def first_version(values: dict[str, np.ndarray], **options: int) -> bytes:
    """One table: what there is, then one message a tensor with packed floats."""
    whole = files.field(1, b"") + files.field(1, b"")
    meta = b"".join(
        files.field(
            1,
            files.field(1, name)
            + files.field(2, files.shape(array.shape))
            + files.field(3, 1)
            + files.field(4, whole),
        )
        for name, array in values.items()
    )
    pairs = {b"": files.field(1, meta)}
    for name, array in values.items():
        packed = files.field(5, array.ravel()[:2].tobytes()) + files.field(
            5, array.ravel()[2:].tobytes()
        )  # several packed fields are one list
        data = files.field(1, name) + files.field(2, whole) + files.field(3, packed)
        pairs[b"\0" + name.encode() + b"\0\1"] = files.field(2, data)
    return files.table(pairs, **options)


@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_first_version(tmp_path: Path, per_block: int) -> None:
    expected = tensors(5)
    (tmp_path / "net.ckpt").write_bytes(first_version(expected, per_block=per_block))
    archive = zoo.read(tmp_path / "net.ckpt")
    assert archive.metadata == {"framework": "tensorflow", "checkpoint": 1}
    assert list(archive.tensors) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(archive.tensors[key], array)


def test_every_damaged_byte_of_an_index_is_found(tmp_path: Path) -> None:
    expected = tensors(3)
    files.write_bundle(tmp_path / "ckpt", [expected])
    path = tmp_path / "ckpt.index"
    data = path.read_bytes()
    harmless = 0  # in the footer's padding and in the block of descriptions, which is empty
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
        try:
            found = zoo.read(path).tensors
        except FormatError:
            continue
        harmless += 1
        np.testing.assert_equal(found, expected)
    assert harmless < 40 + 13
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            zoo.read(path)


def test_damaged_data(tmp_path: Path) -> None:
    files.write_bundle(tmp_path / "ckpt", [tensors(3)])
    path = tmp_path / "ckpt.data-00000-of-00001"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\0")
    with pytest.raises(FormatError, match="layer_3/weights: the checksum of the data must fit"):
        zoo.read(tmp_path / "ckpt")
    path.write_bytes(data[:-1])
    with pytest.raises(FormatError, match="must have the size of the shape and lie in the file"):
        zoo.read(tmp_path / "ckpt")
    path.unlink()
    with pytest.raises(FormatError, match="the data must lie beside the index"):
        zoo.read(tmp_path / "ckpt")


def test_declared_sizes_take_no_memory(tmp_path: Path) -> None:
    huge = (
        files.field(1, 1)
        + files.field(2, files.shape((1 << 40, 1 << 20)))
        + files.field(5, 1 << 62)
    )
    part = files.field(1, 1) + files.field(2, files.shape((1 << 40, 1 << 20)))
    Path(tmp_path / "ckpt.data-00000-of-00001").write_bytes(b"\0" * 64)
    for about in (
        huge,
        part + files.field(7, extent(0, None) + extent(0, None)),
        part + files.field(7, extent(0, 1) + extent(0, 1)),
    ):
        Path(tmp_path / "ckpt.index").write_bytes(
            files.table({b"": files.field(1, 1), b"x": about})
        )
        with pytest.raises(FormatError, match="x: "):
            zoo.read(tmp_path / "ckpt")
    declared = np.broadcast_to(np.float32(0), (1 << 30, 1 << 30))
    table = files.table(
        {
            b"": files.field(
                1,
                files.field(
                    1,
                    files.field(1, "x")
                    + files.field(2, files.shape(declared.shape))
                    + files.field(3, 1)
                    + files.field(4, files.field(1, b"") * 2),
                ),
            ),
            b"\0x": files.field(
                2,
                files.field(1, "x")
                + files.field(2, files.field(1, b"") * 2)
                + files.field(3, files.field(5, b"\0" * 4)),
            ),
        }
    )
    (tmp_path / "first").write_bytes(table)
    with pytest.raises(FormatError, match="a tensor must hold its values"):
        zoo.read(tmp_path / "first")


def test_tables_of_others(tmp_path: Path) -> None:
    path = tmp_path / "ckpt.index"
    for content, message in (
        (files.table({b"a": b"1"}), "the index must begin with its header"),
        (files.table({b"": files.field(1, 0)}), "the header must tell shards and byte order"),
        (files.table({b"": files.field(1, 1)}, compression=1), "must not be compressed"),
        (files.table({b"": b"\xff"}), "the message must be whole"),
        (files.table({b"": files.field(1, 1), b"\xff": b""}), "names must be UTF-8"),
        (b"", "must end like a table"),
        (struct.pack("<Q", files.MAGIC).rjust(48, b"\xff"), "the table must be whole"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            zoo.read(path)
