"""Checkpoint files: what is in them, that they are whole, and what is refused."""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv.random
from fastconv import nn
from fastconv.autograd import use_backend
from fastconv.optim import SGD
from fastconv.train import fit, load_checkpoint, save_checkpoint
from fastconv.train.storage import replace_file
from trainings import few, full_net, same_weights, small_net

safetensors: Any = pytest.importorskip("safetensors.numpy")


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    with use_backend("reference"):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of a training of one epoch."""
    path = tmp_path / "run.safetensors"
    fit(full_net(), few(8), few(4), epochs=1, batch_size=4, checkpoint=path, progress=False)
    return path


def header(path: Path) -> dict[str, Any]:
    """Read the header by the letter of the format: its length in 8 bytes, then JSON."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    found: dict[str, Any] = json.loads(content[8 : 8 + length])
    return found


def rewrite(path: Path, **changes: Any) -> None:
    """Write the file again with parts of its content changed."""
    metadata = header(path)["__metadata__"]
    content = json.loads(metadata["content"])
    content.update(changes)
    arrays = safetensors.load_file(path)
    metadata["content"] = json.dumps(content)
    bytes_of_all = metadata["content"].encode() + b"".join(
        arrays[name].tobytes() for name in sorted(arrays)
    )
    metadata["crc32"] = f"{zlib.crc32(bytes_of_all):08x}"
    safetensors.save_file(arrays, path, metadata)


def test_any_reader_finds_the_weights(path: Path) -> None:
    arrays = safetensors.load_file(path)
    saved = load_checkpoint(path)
    for name, array in saved.weights.items():
        np.testing.assert_array_equal(arrays[f"weights.{name}"], array)
    assert arrays["history.loss"].tolist() == saved.history.loss
    metadata = header(path)["__metadata__"]
    assert (metadata["format"], metadata["version"]) == ("fastconv.checkpoint", "1")
    assert json.loads(metadata["content"])["random"]["bit_generator"] == "PCG64"


def test_restore(path: Path) -> None:
    saved = load_checkpoint(path)
    net = full_net(seed=9)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    saved.restore(net, optimizer)
    assert fastconv.random.generator().bit_generator.state == saved.random
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, saved.weights[name])
    assert len(optimizer.state) == len(list(net.parameters()))
    assert (saved.epoch, saved.step, saved.history.epochs) == (1, 0, 1)
    other = full_net(seed=3)
    other.load_state_dict(saved.weights)
    same_weights(net, other)


def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    path, net = tmp_path / "own.safetensors", small_net()
    save_checkpoint(
        path, net, epoch=3, settings={"rate": 0.5, "pair": (1, 2), "count": np.int64(3)}
    )
    saved = load_checkpoint(path)
    assert (saved.epoch, saved.optimizer, saved.ema) == (3, None, None)
    assert saved.settings == {"rate": 0.5, "pair": [1, 2], "count": 3}
    saved.restore(net)
    with pytest.raises(ValueError, match=r"load_checkpoint: the optimizer .*saved=None"):
        saved.restore(net, SGD(net.parameters(), lr=0.1))
    with pytest.raises(TypeError, match=r"save_checkpoint: .* \(name=settings.x, type=object\)"):
        save_checkpoint(path, net, settings={"x": object()})
    assert load_checkpoint(path).epoch == 3
    with pytest.raises(ValueError, match=r"fit: resume=True needs the settings"):
        fit(net, few(8), checkpoint=path, resume=True, progress=False)


def test_views_and_scalars_are_stored_as_they_look(tmp_path: Path) -> None:
    path, net = tmp_path / "own.safetensors", nn.Linear(3, 2)
    net.weight.data = np.arange(6, dtype=np.float32).reshape(3, 2).T
    net.register_buffer("count", np.array(7, np.int64))
    save_checkpoint(path, net)
    weights = load_checkpoint(path).weights
    np.testing.assert_array_equal(weights["weight"], [[0, 2, 4], [1, 3, 5]])
    assert weights["count"].shape == ()


def test_every_cut_is_noticed(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in {0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1}:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"load_checkpoint: the file must be a whole .*cut\."):
            load_checkpoint(cut)
    cut.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match=r"load_checkpoint: the file must be a whole"):
        load_checkpoint(cut)


def test_every_flipped_bit_is_noticed(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    flipped = tmp_path / "flipped.safetensors"
    rng = np.random.default_rng(0)
    length = int.from_bytes(content[:8], "little")
    in_header = rng.integers(8, 8 + length, 50)
    in_tensors = rng.integers(8 + length, len(content), 50)
    for place in [*in_header, *in_tensors, len(content) - 1]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        flipped.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"load_checkpoint: .*flipped\."):
            load_checkpoint(flipped)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match=r"load_checkpoint: .* must exist \(file=.*x\."):
        load_checkpoint(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match=r"load_checkpoint: .* safetensors file \(file=.*x\."):
        load_checkpoint(path)
    for metadata in (None, {"format": "pt"}):
        safetensors.save_file({"x": np.zeros(3)}, path, metadata)
        with pytest.raises(ValueError, match=r"must be a checkpoint of fastconv \(file=.*format="):
            load_checkpoint(path)
    safetensors.save_file({}, path, {"format": "fastconv.checkpoint", "version": "2"})
    with pytest.raises(ValueError, match=r"version must be 1 \(file=.*, version='2'\)"):
        load_checkpoint(path)
    for metadata in ({}, {"content": "{"}, {"content": "[]"}, {"content": '{"x": 1}'}):
        checksum = f"{zlib.crc32(metadata.get('content', '').encode()):08x}"
        named = {"format": "fastconv.checkpoint", "version": "1", "crc32": checksum, **metadata}
        safetensors.save_file({}, path, named)
        with pytest.raises(ValueError, match=r"load_checkpoint: the content must .*file=.*x\."):
            load_checkpoint(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": -1},
        {"step": "2"},
        {"step": True},
        {"extra": 1},
        {"weights": {"x": 1}},
        {"weights": {}},
        {"random": {"bit_generator": "MT19937"}},
        {"random": {"bit_generator": "PCG64", "state": {}}},
        {"history": {}},
        {"optimizer": {"name": "SGD"}},
        {"optimizer": {"name": "SGD", "state": {"99": {}}, "param_groups": [{"params": [0]}]}},
        {"ema": 3},
        {"tally": None},
        {"settings": []},
    ],
)
def test_damaged_content(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path)
    load_checkpoint(path)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=r"load_checkpoint: the content must .*run\.safetensors"):
        load_checkpoint(path)


def test_nothing_changes_unless_all_fits(path: Path) -> None:
    saved = load_checkpoint(path)

    def refuse(net: nn.Module, rule: str, optimizer: SGD | None = None) -> None:
        before = {name: array.copy() for name, array in net.state_dict().items()}
        state = fastconv.random.generator().bit_generator.state
        with pytest.raises(ValueError, match=rf"load_checkpoint: {rule}.*run\.safetensors"):
            saved.restore(net, optimizer)
        for name, array in net.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        assert fastconv.random.generator().bit_generator.state == state
        assert optimizer is None or not optimizer.state

    refuse(small_net(), "the network must have the names")
    refuse(full_net(classes=11), "the network must have the shapes and types")
    refuse(full_net(seed=1).astype(np.float64), "the network must have the shapes and types")
    net = full_net(seed=1)
    first, *others = net.parameters()
    refuse(net, "the optimizer must have the groups", SGD(others, lr=0.1))
    groups = [{"params": [first]}, {"params": others}]
    refuse(net, "the optimizer must have the groups", SGD(groups, lr=0.1))

    class Other(SGD):
        pass

    refuse(net, "the optimizer must be the one", Other(net.parameters(), lr=0.1))
    backwards = SGD(list(net.parameters())[::-1], lr=0.1)
    refuse(net, "the optimizer's state must fit", backwards)


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, small_net())
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_order_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = tmp_path / "file", []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        calls.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    replace_file(path, lambda temporary: temporary.write_text("new") and None)
    assert calls == ["file", "rename", "folder"][: 3 if os.name == "posix" else 2]
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")
def test_modes_and_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "run.safetensors", tmp_path / "run.safetensors"
    link.symlink_to(target)
    save_checkpoint(link, small_net())
    (tmp_path / "plain").touch()
    assert link.is_symlink()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_bad_arguments(tmp_path: Path) -> None:
    net, data, path = small_net(), few(8), tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=r"fit: resume=True needs a checkpoint"):
        fit(net, data, resume=True)
    with pytest.raises(ValueError, match=r"fit: .* need a checkpoint \(checkpoint=None\)"):
        fit(net, data, checkpoint_steps=1)
    with pytest.raises(ValueError, match=r"fit: .* \(checkpoint_steps=0\)"):
        fit(net, data, checkpoint=path, checkpoint_steps=0)
    with pytest.raises(ValueError, match=r"fit: .* \(checkpoint_seconds=0\)"):
        fit(net, data, checkpoint=path, checkpoint_seconds=0)
    for wrong in (tmp_path, tmp_path / "absent" / "run.safetensors"):
        with pytest.raises(ValueError, match=r"fit: .* in an existing folder \(file="):
            fit(net, data, checkpoint=wrong)


def test_how_often(tmp_path: Path) -> None:
    path, places = tmp_path / "run.safetensors", []

    def look(options: dict[str, Any]) -> list[tuple[int, int]]:
        from fastconv.train import saver

        places.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(saver.State, "save", lambda s, _: places.append((s.epoch, s.step)))
            fit(small_net(), few(12), epochs=2, batch_size=4, checkpoint=path, **options)
        return places

    options = {"progress": False}
    assert look(options) == [(1, 0), (2, 0)]
    assert look({**options, "checkpoint_steps": 2}) == [(0, 2), (1, 0), (1, 1), (1, 3), (2, 0)]
    assert len(look({**options, "checkpoint_seconds": 1e-9})) == 8
    assert len(look({**options, "checkpoint_seconds": 1e9})) == 2


def test_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for name in [name for name in sys.modules if name.startswith("safetensors.")]:
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "run.safetensors"
    with pytest.raises(ImportError, match=r"save_checkpoint: .*pip install 'fastconv\[train\]'"):
        save_checkpoint(path, small_net())
    with pytest.raises(ImportError, match=r"load_checkpoint: .*pip install 'fastconv\[train\]'"):
        load_checkpoint(path)
    with pytest.raises(ImportError, match=r"fit: .*pip install 'fastconv\[train\]'"):
        fit(small_net(), few(8), checkpoint=path)
    fit(small_net(), few(8), epochs=1, progress=False)
