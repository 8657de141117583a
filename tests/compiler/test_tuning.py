"""Tuning: what is measured is remembered, and a file that makes no sense does no harm."""

from __future__ import annotations

import json
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import assert_agree, layered, pictures, randomise
from fastconv import functional as F
from fastconv import nn
from fastconv.compiler.tuning import default_path

SHAPE = (1, 8, 14, 14)
ALGORITHMS = ("direct", "winograd2", "winograd4", "winograd6")


def network() -> nn.Module:
    layers = (
        nn.Conv2d(8, 24, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1, groups=2),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),  # depthwise: no choice
        nn.Conv2d(24, 8, 3, stride=2),  # nor here
    )
    return randomise(nn.Sequential(*layers))


def algorithms(compiled: Any) -> list[str]:
    return [step.algorithm for step in compiled.profile(repeats=1).steps if step.flop]


def choices(path: Path) -> dict[str, str]:
    content = json.loads(path.read_text())
    assert content["format"] == 1
    (machine,) = content["machines"].values()
    return dict(machine)


def rewrite(path: Path, algorithm: str) -> None:
    content = json.loads(path.read_text())
    for machine in content["machines"].values():
        machine.update(dict.fromkeys(machine, algorithm))
    path.write_text(json.dumps(content))


def test_what_has_a_choice_is_measured_and_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tuning.json"
    net = network()
    compiled = fastconv.compile(net, SHAPE, tune=path)
    kept = choices(path)
    assert len(kept) == 2
    assert set(kept.values()) <= set(ALGORITHMS)
    assert any("8->24" in key and "1x14x14" in key for key in kept)
    assert algorithms(compiled)[2:] == ["direct", "direct"]
    assert_agree(compiled(pictures(*SHAPE)), layered(net, pictures(*SHAPE)))
    assert [p.name for p in path.parent.iterdir()] == ["tuning.json"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_file_says_is_done(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "tuning.json"
    net = network()
    fastconv.compile(net, SHAPE, tune=str(path))
    rewrite(path, algorithm)
    compiled = fastconv.compile(net, SHAPE, tune=str(path))
    assert algorithms(compiled)[:2] == [algorithm] * 2
    assert_agree(compiled(pictures(*SHAPE)), layered(net, pictures(*SHAPE)))

    path.unlink()
    copy = pickle.loads(pickle.dumps(compiled))
    assert algorithms(copy) == algorithms(compiled)
    np.testing.assert_array_equal(copy(pictures(*SHAPE)), compiled(pictures(*SHAPE)))
    assert not path.exists()


def test_without_winograd_there_is_nothing_to_tune(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    compiled = fastconv.compile(network(), SHAPE, tune=path, winograd=False)
    assert algorithms(compiled) == ["direct"] * 4
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00tuning",
        b'{"format": 1, "machines": {"a": {"b"',
        b"[1, 2]",
        b'{"format": 2, "machines": {}}',
        b'{"format": 1}',
        b'{"format": 1, "machines": {"a": {"b": 4}}}',
        b"[" * 100_000,
    ],
)
def test_a_corrupt_file_is_ignored_and_written_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tuning.json"
    path.write_bytes(content)
    net = network()
    with pytest.warns(UserWarning, match=r"compile: the tuning file .*tuning\.json is ignored"):
        compiled = fastconv.compile(net, SHAPE, tune=path)
    assert_agree(compiled(pictures(*SHAPE)), layered(net, pictures(*SHAPE)))
    assert len(choices(path)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastconv.compile(net, SHAPE, tune=path)


def test_unknown_algorithms_are_measured_again_and_other_machines_stay(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    fastconv.compile(network(), SHAPE, tune=path)
    rewrite(path, "fft")
    content = json.loads(path.read_text())
    content["machines"]["another"] = {"key": "direct"}
    path.write_text(json.dumps(content))
    fastconv.compile(network(), SHAPE, tune=path)
    content = json.loads(path.read_text())
    assert content["machines"].pop("another") == {"key": "direct"}
    (machine,) = content["machines"].values()
    assert set(machine.values()) <= set(ALGORITHMS)


def test_5x5_kernels_have_a_choice(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    net = randomise(nn.Sequential(nn.Conv2d(8, 24, 5, padding=2)))
    fastconv.compile(net, SHAPE, tune=path)
    assert list(choices(path)) == [next(key for key in choices(path) if "5x5" in key)]
    rewrite(path, "winograd4")
    compiled = fastconv.compile(net, SHAPE, tune=path)
    assert algorithms(compiled) == ["winograd4"]
    assert_agree(compiled(pictures(*SHAPE)), layered(net, pictures(*SHAPE)))


def test_loaded_under_another_thread_count_it_keeps_its_algorithms(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    before = fastconv.get_num_threads()
    try:
        fastconv.set_num_threads(1)
        fastconv.compile(network(), SHAPE, tune=path)
        rewrite(path, "winograd2")
        compiled = fastconv.compile(network(), SHAPE, tune=path)
        expected, data = compiled(pictures(*SHAPE)), pickle.dumps(compiled)
        fastconv.set_num_threads(3)
        copy = pickle.loads(data)
        assert algorithms(copy)[:2] == ["winograd2"] * 2
        np.testing.assert_array_equal(copy(pictures(*SHAPE)), expected)
    finally:
        fastconv.set_num_threads(before)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    net = network()
    with pytest.warns(UserWarning, match="cannot be written"):
        compiled = fastconv.compile(net, SHAPE, tune=tmp_path / "file" / "tuning.json")
    assert_agree(compiled(pictures(*SHAPE)), layered(net, pictures(*SHAPE)))


def test_true_means_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fastconv.compile(network(), SHAPE, tune=True)
    assert len(choices(tmp_path / "fastconv" / "tuning.json")) == 2


def test_bad_argument() -> None:
    with pytest.raises(TypeError, match="tune must be True, False or the path of a file"):
        fastconv.compile(network(), SHAPE, tune=3)  # type: ignore[arg-type]


def test_the_file_of_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_path() == Path(tempfile.gettempdir()) / "fastconv" / "tuning.json"


def test_strides_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    layers = (nn.Conv2d(8, 24, 5, padding=2), nn.Conv2d(8, 24, 5, stride=2, padding=2))
    for layer in layers:
        fastconv.compile(randomise(nn.Sequential(layer)), SHAPE, tune=path)
    assert sorted(key.split(",")[0] for key in choices(path)) == [
        "conv2d 5x5 8->24",
        "conv2d 5x5/2 8->24",
    ]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_what_is_tuned_is_what_the_core_can_compute(tmp_path: Path, stride: int) -> None:
    for kernel in (1, 2, 3, 4, 5, 6, 7, 10, 11):
        path = tmp_path / f"{kernel}.json"
        net = randomise(nn.Sequential(nn.Conv2d(8, 24, kernel, stride=stride, padding=kernel // 2)))
        fastconv.compile(net, SHAPE, tune=path)
        weight = np.zeros((24, 8, kernel, kernel), np.float32)
        try:
            F.pack_conv2d(weight, stride=stride, algorithm="winograd4")
        except ValueError:
            assert not path.exists()
        else:
            assert choices(path)
