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
        message = f"weights= is for formats with two files .format={name}, weights="
        with pytest.raises(zoo.FormatError, match=message):
            zoo.read(tmp_path, tmp_path)


def test_weights_are_not_ignored(tmp_path: Path) -> None:
    zoo.save(models.lenet5(), tmp_path / "a.safetensors")
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    for path in (tmp_path / "a.safetensors", tmp_path / "a.npz"):
        with pytest.raises(zoo.FormatError, match="weights= is for formats with two files"):
            zoo.load(path, weights=path)


def test_unknown_architectures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of models.list_models.*'lenet', near=lenet5"):
        zoo.load(tmp_path / "absent", "lenet")
    with pytest.raises(ValueError, match="architecture='xyz', near=none"):
        zoo.load(tmp_path / "absent", "xyz")


def test_files_that_name_their_network(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    net = models.lenet5(variant="paper", num_classes=3)
    zoo.save(net, path)
    with pytest.raises(zoo.FormatError, match="architecture=resnet20, holds=lenet5"):
        zoo.load(path, "resnet20")
    # Options go over those of the file.
    assert zoo.load(path).architecture == net.architecture
    other = zoo.load(path, variant="modern")
    assert other.architecture == ("lenet5", {"variant": "modern", "num_classes": 3})
    np.testing.assert_array_equal(other.state_dict()["fc2.bias"], net.fc2.bias.data)
    with pytest.raises(zoo.FormatError, match="must fit the network that the file names.*mis-sh"):
        zoo.load(path, num_classes=4)
    with pytest.raises(zoo.FormatError, match="must fit the network that the file names.*wide"):
        zoo.load(path, wide=True)


def test_licences_stay_with_the_weights(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    net = models.lenet5()
    assert net.license is None
    zoo.save(net, first)
    assert zoo.load(first).license is None
    zoo.save(net, first, license="CC-BY-4.0")
    again = zoo.load(first)
    assert again.license == "CC-BY-4.0"
    zoo.save(again, second)
    assert zoo.load(second).license == "CC-BY-4.0"
    zoo.save(again, second, license="MIT")
    assert zoo.load(second).license == "MIT"
