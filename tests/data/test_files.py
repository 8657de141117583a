"""Files in folders and tars: found alike, never extracted, never believed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from fastconv.data.files import open_files

CONTENT = {
    "train/b/1.jpg": b"one",
    "train/a/2.jpg": b"two" * 1000,
    "train/a/deeper/3.JPG": b"",
    "notes.txt": b"x",
    ".hidden/4.jpg": b"x",
    "train/a/._5.jpg": b"x",
}
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def pictures(name: str) -> bool:
    return name.lower().endswith(".jpg")


def tar(content: dict[str, bytes] = CONTENT, prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, part in content.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
    return buffer.getvalue()


def folder(root: Path) -> Path:
    for name, part in CONTENT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(part)
    return root


def check(root: Path) -> None:
    files = open_files("test", root, pictures)
    assert files.names == ["train/a/2.jpg", "train/a/deeper/3.JPG", "train/b/1.jpg"]
    assert {name: files.read(name) for name in files.names} == {
        name: CONTENT[name] for name in files.names
    }
    assert (
        {"", "train", "train/a", "train/b", "train/a/deeper"} >= files.folders >= {"train/a/deeper"}
    )
    assert files.title("train/b/1.jpg") == f"{root}/train/b/1.jpg"


def test_folder(tmp_path: Path) -> None:
    check(folder(tmp_path / "root"))


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_tar(tmp_path: Path, kind: str, prefix: str) -> None:
    path = tmp_path / "a.tar"  # known by its content, not its name
    path.write_bytes(PACK[kind](tar(prefix=prefix)))
    check(path)
    assert os.listdir(tmp_path) == ["a.tar"]


def test_links(tmp_path: Path) -> None:
    root = folder(tmp_path / "root")
    os.symlink(root / "train" / "a", root / "train" / "c")
    os.symlink(root, root / "train" / "a" / "round")  # a loop
    assert "train/c/2.jpg" in open_files("test", root, pictures).names
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(f"link{kind!r}.jpg")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    assert open_files("test", tmp_path / "a.tar", pictures).names == []


@pytest.mark.parametrize("kind", PACK)
def test_truncated(tmp_path: Path, kind: str) -> None:
    whole = PACK[kind](tar({"a/1.jpg": os.urandom(3000), "a/2.jpg": os.urandom(3000)}))
    path = tmp_path / "a.tar"
    data_end = 2 * (512 + 3072) if kind == "" else len(whole)
    for length in (*range(1, data_end - 512, 397), data_end - 511):
        path.write_bytes(whole[:length])
        try:
            names = open_files("test", path, pictures).names
        except ValueError as error:
            assert str(error).startswith("test: ") and str(path) in str(error)
        else:  # a plain tar may end after any member
            assert kind == "" and length % 512 == 0 and names == ["a/1.jpg"]


def test_a_damaged_header_in_the_middle(tmp_path: Path) -> None:
    whole = bytearray(tar())
    whole[512 * 2 + 3] ^= 0xFF  # the second member's name; the first is a block long
    (tmp_path / "a.tar").write_bytes(whole)
    with pytest.raises(ValueError, match=r"test: .*found=a header that is none\)"):
        open_files("test", tmp_path / "a.tar", pictures)


@pytest.mark.parametrize("kind", [".gz", ".bz2", ".xz"])
def test_damage_is_noticed(tmp_path: Path, kind: str) -> None:
    whole = bytearray(PACK[kind](tar({"a/1.jpg": os.urandom(3000)})))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "a.tar"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"test: .* whole tar, .* \(file=.*a.tar, found="):
        open_files("test", path, pictures)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4" + bytes(600), bytes(100)])
def test_what_is_no_tar(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="test: the file must be a whole tar"):
        open_files("test", tmp_path / "a", pictures)
    with pytest.raises(FileNotFoundError, match="absent"):
        open_files("test", tmp_path / "absent", pictures)


def claim(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("size", [1 << 20, 1 << 33, 1 << 62])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_claims_are_not_believed(tmp_path: Path, zipped: bool, size: int, kind: bytes) -> None:
    content = claim("a/1.jpg", size, kind) + bytes(2048)
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress(content) if zipped else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="test: "):
            open_files("test", path, pictures, max_bytes=1 << 24)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a/1.jpg", "a/unwanted.txt"])
def test_a_bomb_is_not_expanded(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar({name: bytes(32 << 20)}), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"beyond max_bytes \(file=.*, max_bytes=1048576\)"):
            open_files("test", path, pictures, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    header = bytearray(claim("a/1.jpg", 0, tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"%011o\0" % (1 << 32)  # the size that its holes add up to
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ValueError, match="sparse"):
        open_files("test", tmp_path / "a.tar", pictures)
