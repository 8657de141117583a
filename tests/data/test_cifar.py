"""CIFAR-10 in all its packings gives one and the same dataset."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastconv.data import ArrayDataset, cifar10
from real_data import DATA

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (6, 3, 3, 32, 32), dtype=np.uint8)  # five batches and a test
LABELS = RNG.integers(0, 10, (6, 3))
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def pickles(folder: Path) -> Path:
    folder = folder / "cifar-10-batches-py"
    folder.mkdir()
    for name, pictures, labels in zip(NAMES, PICTURES, LABELS, strict=True):
        batch = {b"data": pictures.reshape(3, 3072), b"labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    (folder / "batches.meta").write_bytes(b"nothing that is read")
    return folder


def binaries(folder: Path) -> Path:
    folder = folder / "cifar-10-batches-bin"
    folder.mkdir()
    for name, pictures, labels in zip(NAMES, PICTURES, LABELS, strict=True):
        records = [
            bytes([label]) + picture.tobytes()
            for label, picture in zip(labels, pictures, strict=True)
        ]
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    return folder


def pngs(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: data)")
    folder = folder / "pictures"
    for split, count in (("train", 2), ("test", 1)):
        for number, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for place in range(count):
                picture = np.full((32, 32, 3), (number, place, count), np.uint8)
                image.fromarray(picture).save(folder / split / name / f"{place}.png")
    return folder


def packed(folder: Path, suffix: str) -> Path:
    path = folder.parent / f"{folder.name}.tar{suffix}"
    with tarfile.open(path, f"w:{suffix[1:]}") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("write", [pickles, binaries])
@pytest.mark.parametrize("packing", ["folder", "above", "", ".gz"])
def test_batches(tmp_path: Path, write: Callable[[Path], Path], packing: str) -> None:
    path = write(tmp_path)
    if packing == "above":
        path = tmp_path
    elif packing != "folder":
        path = packed(path, packing)
    train, test = cifar10(path), cifar10(str(path), split="test")
    for data, part in ((train, slice(5)), (test, slice(5, 6))):
        assert isinstance(data, ArrayDataset)
        assert data.images.dtype == np.uint8
        assert data.images.transpose(0, 2, 3, 1).flags.c_contiguous
        assert data.images.flags.writeable
        assert data.classes == CLASSES
        np.testing.assert_array_equal(data.images, PICTURES[part].reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(data.labels, LABELS[part].ravel())


@pytest.mark.parametrize("packing", ["folder", "", ".gz", "in a folder"])
def test_pictures(tmp_path: Path, packing: str) -> None:
    path = pngs(tmp_path)
    if packing == "in a folder":
        archive = packed(path, ".gz")
        path = tmp_path / "only"
        path.mkdir()
        archive.rename(path / archive.name)
    elif packing != "folder":
        path = packed(path, packing)
    for split, count in (("train", 2), ("test", 1)):
        data = cifar10(path, split)
        assert data.images.shape == (10 * count, 3, 32, 32)
        assert data.labels.tolist() == [label for label in range(10) for _ in range(count)]
        np.testing.assert_array_equal(data.images[:, 0, 3, 5], data.labels)
        assert data.images[:, 1, 0, 0].tolist() == list(range(count)) * 10


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cifar10: split .* \(split='val'\)"):
        cifar10(tmp_path, "val")
    with pytest.raises(FileNotFoundError, match=r"cifar10: path must hold data_batch_1, .*path="):
        cifar10(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        cifar10(tmp_path / "absent")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match="cifar10: the file must be a whole tar"):
        cifar10(tmp_path / "a.txt")
    for name in ("a.tar", "b.tgz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"several archives; .* archives=a.tar, b.tgz\)"):
        cifar10(tmp_path)


@pytest.mark.parametrize("write", [pickles, binaries])
def test_missing_batches(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    folder = write(tmp_path)
    for number in (2, 4):
        next(folder.glob(f"data_batch_{number}*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"all batches .*missing=data_batch_2\S*, data_b"):
        cifar10(folder)
    assert len(cifar10(folder, "test")) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"records of 3073 bytes \(file=.*data_batch_2.bin, bytes=0\)"),
        (bytes(3074), r"records of 3073 bytes \(file=.*data_batch_2.bin, bytes=3074\)"),
        (b"\x0a" + bytes(3072), r"from 0 to 9 \(file=.*data_batch_2.bin, largest=10\)"),
    ],
)
def test_foreign_binaries(tmp_path: Path, content: bytes, message: str) -> None:
    folder = binaries(tmp_path)
    (folder / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"cifar10: .*{message}"):
        cifar10(folder)


def test_foreign_pickles(tmp_path: Path) -> None:
    folder = pickles(tmp_path)
    (folder / "data_batch_4").write_bytes(b"cposix\nsystem\n.")
    with pytest.raises(ValueError, match=r"must not name 'posix system' \(file=.*/data_batch_4\)"):
        cifar10(folder)


def test_foreign_pictures(tmp_path: Path) -> None:
    folder = pngs(tmp_path)
    victim = folder / "train" / "cat" / "0.png"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:60])
    with pytest.raises(ValueError, match=r"cifar10: .* \(file=.*train/cat/0.png, found="):
        cifar10(folder)
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (32, 31)).save(victim)
    with pytest.raises(ValueError, match=r"32x32 \(file=.*train/cat/0.png, shape=\(31, 32, 3\)\)"):
        cifar10(folder)
    (folder / "train" / "cat").rename(folder / "train" / "tiger")
    with pytest.raises(ValueError, match=r"class folders must be airplane, .*found=.*tiger, truck"):
        cifar10(folder)


REAL = DATA / "cifar10" / "cifar10-jpeg.tar.gz"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason=f"CIFAR-10 is not at {REAL} (set FASTCONV_DATA)")
def test_the_real_set() -> None:
    pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: data)")
    test = cifar10(REAL.parent, "test")
    assert test.images.shape == (10_000, 3, 32, 32)
    assert np.bincount(test.labels).tolist() == [1000] * 10
    # The means that every CIFAR-10 recipe subtracts, of the training set.
    np.testing.assert_allclose(
        test.images.mean((0, 2, 3), dtype=np.float64) / 255, (0.491, 0.482, 0.447), atol=0.01
    )


def test_a_wrong_path_in_a_tar_is_not_found(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train/readme.txt"))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(FileNotFoundError, match="cifar10: path must hold"):
        cifar10(tmp_path / "a.tar")
