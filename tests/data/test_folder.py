"""Folders of pictures, on disk and in tars."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fastconv.data import (
    CenterCrop,
    Compose,
    ImageFolder,
    Loader,
    Normalize,
    PictureError,
    RandomResizedCrop,
    Resize,
)
from real_data import DATA

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: data)")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes; pictures are full of one number, each of its own size."""
    root = tmp_path / "root"
    for split, places in (("train", range(4)), ("val", range(4, 6))):
        for place in places:
            folder = root / split / ("bees" if place % 2 else "ants")
            folder.mkdir(parents=True, exist_ok=True)
            picture = np.full((8 + place, 12 - place, 3), 40 * place, np.uint8)
            Image.fromarray(picture).save(folder / f"{place}.PNG")
    (root / "train" / "ants" / "notes.txt").write_text("no picture")
    (root / "train" / "list.png").write_text("in no class")
    (root / "train" / ".cache").mkdir()
    return root


def packed(root: Path, suffix: str) -> Path:
    path = root.parent / f"packed{suffix}"
    with tarfile.open(path, f"w:{suffix[1:]}") as archive:
        for part in sorted(root.iterdir()):
            archive.add(part, part.name)
    return path


@pytest.mark.parametrize("suffix", [None, "", ".gz", ".xz"])
def test_reading(root: Path, suffix: str | None) -> None:
    if suffix is not None:
        root = packed(root, suffix)
    train = ImageFolder(root, split="train")
    assert train.classes == ["ants", "bees"]
    assert (train.labels.tolist(), train.labels.dtype) == ([0, 0, 1, 1], np.int64)
    assert train.files == [f"train/{name}.PNG" for name in ("ants/0", "ants/2", "bees/1", "bees/3")]
    for index, place in enumerate((0, 2, 1, 3)):
        picture = train.read(index)
        assert (picture.shape, picture.dtype) == ((8 + place, 12 - place, 3), np.uint8)
        assert (picture == 40 * place).all()
    assert len(ImageFolder(str(root), "val/")) == 2
    assert repr(train) == f"ImageFolder({str(root)!r}, pictures=4, classes=2)"


def test_a_folder_without_splits(root: Path) -> None:
    assert ImageFolder(root / "train").files == [
        "ants/0.PNG",
        "ants/2.PNG",
        "bees/1.PNG",
        "bees/3.PNG",
    ]


def test_errors(root: Path) -> None:
    with pytest.raises(ValueError, match=r"split must say .*folders=train, val\)"):
        ImageFolder(root)
    with pytest.raises(FileNotFoundError, match=r"in split \(root=.*, split='test'\)"):
        ImageFolder(root, "test")
    with pytest.raises(FileNotFoundError, match="absent"):
        ImageFolder(root / "absent")
    with pytest.raises(ValueError, match="ImageFolder: the file must be a whole tar"):
        ImageFolder(root / "train" / "list.png")
    (root / "train" / "wasps").mkdir()
    (root / "train" / "wasps" / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"must hold pictures .*without=wasps\)"):
        ImageFolder(root, "train")
    with pytest.raises(ValueError, match=r"must hold pictures .*split=None, without=all\)"):
        ImageFolder(root / "train" / "wasps")


@pytest.mark.parametrize("suffix", [None, "", ".gz"])
def test_an_empty_class_is_not_left_out(root: Path, suffix: str | None) -> None:
    # Left out, it would change the numbers of the classes after it.
    (root / "val" / "bats").mkdir()
    if suffix is not None:
        root = packed(root, suffix)
    assert ImageFolder(root, "train").classes == ["ants", "bees"]
    with pytest.raises(ValueError, match=r"must hold pictures .*split='val', without=bats\)"):
        ImageFolder(root, "val")


@pytest.mark.parametrize("suffix", [None, ".gz"])
def test_a_damaged_picture(root: Path, suffix: str | None) -> None:
    victim = root / "train" / "ants" / "2.PNG"
    victim.write_bytes(victim.read_bytes()[:50])
    if suffix is not None:
        root = packed(root, suffix)
    data = ImageFolder(root, "train")
    transform = Resize((4, 4))
    with pytest.raises(PictureError, match=rf"ImageFolder: .*file={root}/train/ants/2.PNG, found="):
        list(Loader(data, transform=transform))
    with pytest.warns(UserWarning, match=r"left out: .*train/ants/2.PNG"):
        ((x, y),) = Loader(data, transform=transform, on_error="skip")
    assert y.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(x[:, 0, 0, 0], np.array([0, 40, 120], np.float32) / 255)


def test_pictures_of_several_sizes_need_a_transform(root: Path) -> None:
    data = ImageFolder(root, "train")
    with pytest.raises(ValueError, match=r"Loader: .* one size; .*sizes=8x12, 10x10, 9x11, 11x9\)"):
        list(Loader(data))
    ((x, _),) = Loader(data, transform=Compose([Resize(8), CenterCrop(8)]))
    assert x.shape == (4, 3, 8, 8)


def test_a_picture_that_vanishes_is_an_os_error(root: Path) -> None:
    data = ImageFolder(root, "train")
    os.remove(root / "train" / "ants" / "0.PNG")
    with pytest.raises(FileNotFoundError):
        list(Loader(data, transform=Resize((4, 4)), on_error="skip"))


REAL = DATA / "hymenoptera" / "hymenoptera.tar"


@pytest.mark.skipif(not REAL.is_file(), reason=f"the photos are not at {REAL} (set FASTCONV_DATA)")
def test_photos() -> None:
    train, val = ImageFolder(REAL, "train"), ImageFolder(REAL, "val")
    assert train.classes == val.classes == ["ants", "bees"]
    assert np.bincount(train.labels).tolist() == [123, 121]  # and a GIF that says "not found"
    assert np.bincount(val.labels).tolist() == [70, 83]
    transform = Compose(
        [RandomResizedCrop(64), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    batches = [
        next(iter(Loader(train, 16, shuffle=True, transform=transform, workers=workers)))
        for workers in (0, 2)
    ]
    assert batches[0][0].shape == (16, 3, 64, 64)
    for one, other in zip(*batches, strict=True):
        np.testing.assert_array_equal(one, other)
