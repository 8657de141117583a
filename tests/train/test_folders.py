"""Loaders of folders of class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures need pillow")

from fastconv.data import Preset
from fastconv.train import folder_loaders
from pictures_on_disk import write_folders


def test_what_they_give(tmp_path: Path) -> None:
    write_folders(tmp_path, train=5, val=3)
    train, plain, val, classes = folder_loaders(tmp_path, 32, batch_size=4, seed=1)
    assert classes == ["green", "red"]
    assert [len(loader.labels) for loader in (train, plain, val)] == [10, 10, 6]
    np.testing.assert_array_equal(val.labels, [0, 0, 0, 1, 1, 1])
    (x, y) = next(val.epoch())
    assert x.shape == (4, 3, 32, 32)
    # Even pictures stay what they are, normalised.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colours = x[:, :, 16, 16] * std + mean
    np.testing.assert_allclose(colours[0], [0, 1, 0], atol=0.05)
    np.testing.assert_allclose(colours[3], [1, 0, 0], atol=0.05)
    np.testing.assert_array_equal(y, [0, 0, 0, 1])
    first, second = (np.concatenate([x for x, _ in plain.epoch(n)]) for n in (0, 1))
    np.testing.assert_allclose(np.sort(first, axis=None), np.sort(second, axis=None))
    assert len({tuple(y) for _, y in train.epoch(0)}) > 1  # shuffled


@pytest.mark.parametrize("size", [17, (20, 12)])
@pytest.mark.parametrize("preset", [None, Preset.caffe(227, None), Preset((9, 9), None)])
def test_pictures_as_a_preset_says(
    tmp_path: Path, preset: Preset | None, size: int | tuple[int, int]
) -> None:
    write_folders(tmp_path, train=2, val=3, noise=60)
    loaders = folder_loaders(tmp_path, size, seed=1, preset=preset)
    used = loaders.preset
    wanted = preset or Preset.imagenet()
    assert used.size == ((17, 17) if size == 17 else size)
    assert used.resize == (19 if size == 17 else 23)  # 8 / 7
    assert (used.order, used.mean, used.scale) == (wanted.order, wanted.mean, wanted.scale)
    # Validation is what `predict` does with the files, to the bit.
    (x, _) = next(loaders.val.epoch())
    files = [tmp_path / name for name in loaders.val.dataset.files]
    np.testing.assert_array_equal(x, used.batch(files))
    assert x.dtype == np.float32 and x.transpose(0, 2, 3, 1).flags.c_contiguous
    # Training pictures have the same colours: green ones are green in the preset's order.
    (x, y) = next(loaders.train.epoch())
    green = x[y == 0].mean((0, 2, 3)) / np.array(used.scale) + np.array(used.mean)
    first, middle, last = green
    assert x.shape == (4, 3, *used.size) and middle > 200 and max(first, last) < 60
    red = x[y == 1].mean((0, 2, 3)) / np.array(used.scale) + np.array(used.mean)
    assert red[2 if used.order == "BGR" else 0] > 200 and np.sort(red)[1] < 60


def test_other_classes_in_validation(tmp_path: Path) -> None:
    write_folders(tmp_path, train=1, val=1)
    (tmp_path / "val" / "red").rename(tmp_path / "val" / "blue")
    with pytest.raises(ValueError, match=r"folder_loaders: .*train=\['green', 'red'\]"):
        folder_loaders(tmp_path, 32)


def test_unreadable_pictures_are_left_out(tmp_path: Path) -> None:
    write_folders(tmp_path, train=1, val=2)
    (tmp_path / "val" / "red" / "0.png").write_bytes(b"no picture")
    val = folder_loaders(tmp_path, 16).val
    with pytest.warns(UserWarning, match="left out"):
        assert [len(y) for _, y in val.epoch()] == [3]
