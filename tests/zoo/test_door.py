"""What `zoo.load` does whatever the format is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

from fastconv import models, zoo
from fastconv.zoo import readers

PAIRS = {"caffe", "caffe2"}


@pytest.mark.parametrize("name", readers._NAMES)
def test_only_formats_of_two_files_take_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reader = import_module(f"fastconv.zoo.readers.{name}")
    monkeypatch.setattr("fastconv.zoo.door.reader_of", lambda path: reader)
    archive = zoo.Archive(name, tmp_path, {})
    monkeypatch.setattr(reader, "read", lambda path, weights: archive)
    assert zoo.read(tmp_path) is archive
    if name in PAIRS:
        assert zoo.read(tmp_path, tmp_path) is archive
    else:
        message = f"weights= is for formats with two files .format={reader.FORMATS[0]}, weights="
        with pytest.raises(zoo.FormatError, match=message):
            zoo.read(tmp_path, tmp_path)


def test_weights_are_not_ignored(tmp_path: Path) -> None:
    zoo.save(models.lenet5(), tmp_path / "a.safetensors")
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    for path in (tmp_path / "a.safetensors", tmp_path / "a.npz"):
        with pytest.raises(zoo.FormatError, match="weights= is for formats with two files"):
            zoo.load(path, weights=path)
