"""Weights from files, and into networks with other heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import models, nn
from fastconv.train import load_pretrained, read_weights, save_checkpoint


def test_all_but_heads_of_another_size() -> None:
    fastconv.manual_seed(0)
    source = models.resnet20(10).state_dict()
    net = models.resnet20(3)
    fresh = net.fc.weight.data.copy()
    assert load_pretrained(net, source) == ["fc"]
    np.testing.assert_array_equal(net.fc.weight.data, fresh)
    for key, array in net.state_dict().items():
        if not key.startswith("fc."):
            np.testing.assert_array_equal(array, source[key])
    same = models.resnet20(10)
    assert load_pretrained(same, source) == []
    np.testing.assert_array_equal(same.fc.weight.data, source["fc.weight"])


def test_auxiliary_heads() -> None:
    with nn.init.skip_init():
        net, other = (models.googlenet(n, aux_logits=True) for n in (4, 5))
    assert load_pretrained(net, other.state_dict()) == ["fc", "aux1.fc2", "aux2.fc2"]


def test_everything_else_must_fit() -> None:
    net, source = models.resnet20(3), models.resnet20(10).state_dict()
    before = net.conv1.weight.data.copy()
    del source["layer1.0.conv1.weight"]
    with pytest.raises(ValueError, match=r"missing: layer1.0.conv1.weight"):
        load_pretrained(net, source)
    with pytest.raises(ValueError, match=r"missing: fc.weight"):
        load_pretrained(net, {k: v for k, v in net.state_dict().items() if k != "fc.weight"})
    np.testing.assert_array_equal(net.conv1.weight.data, before)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", "checkpoint"])
def test_files(tmp_path: Path, suffix: str) -> None:
    net = models.lenet5()
    path = tmp_path / "weights.safetensors"
    if suffix == ".npz":
        path = path.with_suffix(".npz")
        np.savez(path, **net.state_dict())
    else:
        numpy = pytest.importorskip("safetensors.numpy")
        if suffix == "checkpoint":
            save_checkpoint(path, net)
        else:
            numpy.save_file(net.state_dict(), path)
    found = read_weights(path)
    assert found.keys() == net.state_dict().keys()
    for key, array in net.state_dict().items():
        np.testing.assert_array_equal(found[key], array)


def test_damaged_files(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(FileNotFoundError, match=r"read_weights: .*absent.npz"):
        read_weights(tmp_path / "absent.npz")
    for name in ("a.npz", "a.safetensors", "a.h5"):
        path = tmp_path / name
        path.write_bytes(b"PK\x03\x04 and nothing behind")
        with pytest.raises(ValueError, match=rf"read_weights: the file must be .*{name}"):
            read_weights(path)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match=r"read_weights: .*objects.npz"):
        read_weights(tmp_path / "objects.npz")
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, a=np.random.default_rng(0).random(1000))
    content = bytearray(whole.read_bytes())
    content[200:400] = bytes(200)
    whole.write_bytes(content)
    with pytest.raises(ValueError, match=r"read_weights: .*whole.npz"):
        read_weights(whole)
