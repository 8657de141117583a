"""The shipped digits, the full set where it is at hand, and folders that are not MNIST."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastconv.data import Digits, mnist, read_idx, write_idx
from real_data import DATA

FULL = DATA / "mnist"
needs_full_set = pytest.mark.skipif(
    not FULL.is_dir(), reason=f"the full MNIST is not at {FULL} (set FASTCONV_DATA)"
)
NAMES = ("images-idx3-ubyte", "labels-idx1-ubyte")


def write_set(folder: Path, images: np.ndarray, labels: np.ndarray, split: str = "train") -> Path:
    for name, array in zip(NAMES, (images, labels), strict=True):
        write_idx(folder / f"{split}-{name}", array)
    return folder


@pytest.mark.parametrize(("split", "count"), [("train", 5000), ("test", 1000)])
def test_sample(split: str, count: int) -> None:
    digits = mnist(split=split)
    images, labels = digits
    assert isinstance(digits, Digits)
    assert images.shape == (count, 1, 28, 28)
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    assert labels.shape == (count,)
    assert labels.dtype == np.int64
    assert images.min() == 0.0
    assert images.max() == 1.0
    assert 0.12 < images.mean(dtype=np.float64) < 0.14  # 0.1307 over the full set
    share = np.bincount(labels, minlength=10) / count
    assert share.shape == (10,)
    assert share.min() > 0.08
    assert share.max() < 0.12


def test_sample_size_on_disk() -> None:
    folder = Path(sys.modules["fastconv.data"].__file__ or "").parent / "digits"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    assert "ShareAlike 3.0" in (folder / "README.md").read_text()


def test_train_is_the_default() -> None:
    assert len(mnist().labels) == 5000


@needs_full_set
def test_full_set() -> None:
    train, test = mnist(FULL), mnist(FULL, split="test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert np.bincount(test.labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@needs_full_set
@pytest.mark.parametrize(("split", "step"), [("train", 12), ("t10k", 10)])
def test_sample_is_cut_from_the_full_set(split: str, step: int) -> None:
    shipped = mnist(split={"train": "train", "t10k": "test"}[split])
    images, labels = (read_idx(FULL / f"{split}-{name}.gz") for name in NAMES)
    chosen = np.arange(0, len(labels), step) + np.arange(len(labels) // step) % 2
    np.testing.assert_array_equal(shipped.labels, labels[chosen])
    np.testing.assert_array_equal(np.rint(shipped.images[:, 0] * 255), images[chosen])


def test_scaling_and_plain_files(tmp_path: Path) -> None:
    images = np.arange(2 * 784, dtype=np.int64).astype(np.uint8).reshape(2, 28, 28)
    write_set(tmp_path, images, np.array([3, 9], np.uint8))
    read = mnist(str(tmp_path))
    assert read.labels.tolist() == [3, 9]
    np.testing.assert_array_equal(read.images[:, 0], images.astype(np.float32) / np.float32(255))


def test_empty_set(tmp_path: Path) -> None:
    write_set(tmp_path, np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8))
    assert mnist(tmp_path).images.shape == (0, 1, 28, 28)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match=r"mnist: split must be .* \(split='val'\)"):
        mnist(split="val")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte.*download=True"):
        mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="t10k-images"):
        mnist(tmp_path / "absent", split="test")


BLANK = np.zeros((3, 28, 28), np.uint8)
ZEROS = np.zeros(3, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "rule"),
    [
        (BLANK, np.zeros(2, np.uint8), r"one label for each picture .*images=3, labels=2"),
        (np.zeros((3, 28, 27), np.uint8), ZEROS, r"28x28 .*shape=\(3, 28, 27\)"),
        (BLANK, np.array([0, 10, 1], np.uint8), r"between 0 and 9 .*largest=10"),
        (BLANK.astype(np.int16), ZEROS, r"bytes in 3 dimensions .*dtype=int16"),
        (ZEROS, ZEROS, r"bytes in 3 dimensions .*shape=\(3,\)"),
        (BLANK, BLANK, r"bytes in 1 dimensions .*shape=\(3, 28, 28\)"),
    ],
)
def test_folders_that_are_not_mnist(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, rule: str
) -> None:
    write_set(tmp_path, images, labels)
    with pytest.raises(ValueError, match=f"mnist: .*{rule}") as caught:
        mnist(tmp_path)
    assert str(tmp_path) in str(caught.value)


class FakePooch:
    """Mirrors that fail as told; a good one delivers the shipped sample."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []

    def retrieve(self, url: str, known_hash: str, fname: str, path: Path, **_: object) -> str:
        assert len(known_hash) == len("sha256:") + hashlib.sha256().digest_size * 2
        self.asked.append(url)
        if self.failures:
            raise self.failures.pop(0)
        images, labels = mnist()
        content = images[:, 0] * 255 if "images" in fname else labels
        Path(path).mkdir(parents=True, exist_ok=True)
        write_idx(Path(path) / fname, np.rint(content).astype(np.uint8))
        return str(Path(path) / fname)

    def os_cache(self, name: str) -> str:
        return str(Path(os.environ["FAKE_CACHE"]) / name)

    HTTPDownloader = SimpleNamespace


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_CACHE", str(tmp_path))
    monkeypatch.delenv("FASTCONV_HOME", raising=False)
    return tmp_path


def test_download_goes_to_the_next_mirror(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePooch(OSError("no route"), ValueError("wrong sum"))
    monkeypatch.setitem(sys.modules, "pooch", fake)  # type: ignore[arg-type]
    assert len(mnist(download=True).labels) == 5000
    assert len({url.split("/")[2] for url in fake.asked}) == 3
    assert sorted(path.name for path in (cache / "fastconv" / "mnist").iterdir()) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    asked = len(fake.asked)
    mnist(download=True)
    assert len(fake.asked) == asked  # what is there is not fetched again


def test_download_folders(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", FakePooch())  # type: ignore[arg-type]
    monkeypatch.setenv("FASTCONV_HOME", str(cache / "home"))
    mnist(download=True)
    assert (cache / "home" / "mnist" / "train-images-idx3-ubyte.gz").is_file()
    mnist(cache / "mine", download=True)
    assert (cache / "mine" / "train-images-idx3-ubyte.gz").is_file()


def test_no_mirror_delivers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePooch(OSError("first"), OSError("second"), OSError("third"))
    monkeypatch.setitem(sys.modules, "pooch", fake)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match=r"train-images.*first.*second.*third"):
        mnist(download=True)


def test_download_without_pooch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[data\]'"):
        mnist(download=True)
