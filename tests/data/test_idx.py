"""The IDX reader: what is well formed is read as it is, everything else is refused by name."""

from __future__ import annotations

import gzip
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastconv.data import read_idx, write_idx

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]


def header(code: int, *sizes: int) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def refused(path: Path, content: bytes, rule: str, **options: int) -> str:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rule) as caught:
        read_idx(path, **options)
    assert str(caught.value).startswith("read_idx: ")
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["some-idx", "some-idx.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (3, 1, 4), (0,), (0, 28, 28), (2, 0)])
def test_round_trip(tmp_path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    write_idx(tmp_path / name, array)
    read = read_idx(tmp_path / name)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.writeable
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, array)


def test_layout_of_the_format(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(header(0x0B, 2, 1) + b"\x01\x02\xff\xfe")
    assert read_idx(str(tmp_path / "a")).tolist() == [[258], [-2]]


def test_gzip_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", np.arange(7, dtype=np.uint8))
    (tmp_path / "a.gz").rename(tmp_path / "a")
    assert read_idx(tmp_path / "a").tolist() == list(range(7))


def test_any_memory_layout_is_written_alike(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    write_idx(tmp_path / "a", array[::-1].T)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array[::-1].T)


@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_at_every_length(tmp_path: Path, zipped: bool) -> None:
    content = header(0x08, 3, 2) + bytes(range(6))
    for length in range(len(content)):
        cut = content[:length]
        refused(tmp_path / "a", gzip.compress(cut) if zipped else cut, "ends too early|exactly")


def test_gzip_stream_cut_at_every_length(tmp_path: Path) -> None:
    content = gzip.compress(header(0x08, 30) + bytes(range(30)))
    for length in range(len(content)):
        refused(tmp_path / "a", content[:length], "whole|too early")


def test_damaged_gzip_streams(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(header(0x08, 1000) + bytes(1000)))
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        (tmp_path / "a").write_bytes(broken)
        try:  # a few places (time stamp, system) mean nothing
            array = read_idx(tmp_path / "a")
        except ValueError as error:
            assert str(error).startswith("read_idx: ")
        else:
            assert array.tolist() == [0] * 1000


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("extra", [1, 4096])
def test_bytes_after_the_last_element(tmp_path: Path, zipped: bool, extra: int) -> None:
    content = header(0x08, 5) + bytes(5 + extra)
    refused(tmp_path / "a", gzip.compress(content) if zipped else content, "follow|exactly")


def test_something_after_the_gzip_stream(tmp_path: Path) -> None:
    refused(tmp_path / "a", gzip.compress(header(0x08, 5) + bytes(5)) + b"tail", "gzip")


@pytest.mark.parametrize("magic", [b"\x01\x00\x08\x01", b"\x00\x08\x08\x01", b"\x89PNG"])
def test_wrong_magic(tmp_path: Path, magic: bytes) -> None:
    message = refused(tmp_path / "a", magic + bytes(8), "first two bytes")
    assert f"magic=0x{magic.hex()}" in message


@pytest.mark.parametrize(
    "code", sorted(set(range(0, 256, 5)) - {0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E})
)
def test_unknown_type(tmp_path: Path, code: int) -> None:
    assert f"type=0x{code:02x}" in refused(tmp_path / "a", header(code, 1) + b"\0", "element type")


@pytest.mark.parametrize("rank", [0, 33, 255])
def test_impossible_rank(tmp_path: Path, rank: int) -> None:
    assert f"rank={rank}" in refused(tmp_path / "a", header(0x08, *[1] * rank) + b"\0", "rank")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        (2**32 - 1,),
        (2**32 - 1,) * 2,  # overflows 64 bits with the element size
        (2**32 - 1,) * 32,
        (0, 2**32 - 1, 2**32 - 1),  # empty, but no NumPy array could have this shape
        (1 << 28,),  # within max_bytes, and not in the file
        (1 << 14, 1 << 14),
    ],
)
def test_a_claim_is_not_allocated(tmp_path: Path, zipped: bool, sizes: tuple[int, ...]) -> None:
    content = header(0x08, *sizes) + bytes(100)
    tracemalloc.start()
    try:
        refused(
            tmp_path / "a", gzip.compress(content) if zipped else content, "max_bytes|early|exactly"
        )
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_is_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(header(0x08, 10) + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="nothing may follow"):
            read_idx(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_max_bytes(tmp_path: Path) -> None:
    content = header(0x0C, 25) + bytes(100)
    (tmp_path / "a").write_bytes(content)
    assert read_idx(tmp_path / "a", max_bytes=100).shape == (25,)
    message = refused(tmp_path / "a", content, "max_bytes", max_bytes=99)
    assert re.search(r"bytes=100, max_bytes=99", message)


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


def test_what_idx_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"write_idx: .* \(dtype=int64\)"):
        write_idx(tmp_path / "a", np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"write_idx: .* \(rank=0\)"):
        write_idx(tmp_path / "a", np.array(1.0))
    assert not (tmp_path / "a").exists()
