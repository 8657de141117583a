"""Weights from files, and into networks with other heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import fastconv
import torch_files
from fastconv import models, nn, zoo
from fastconv.data import Preset
from fastconv.train import load_pretrained, read_pretrained, read_weights, save_checkpoint
from t7_files import module, write


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


def same(found: Mapping[str, np.ndarray], net: nn.Module) -> None:
    expected = net.state_dict()
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


def test_what_a_file_says_of_its_network(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net = models.lenet5(7, variant="paper")
    net.preset = Preset((28, 28), None, "L", (33.0,), (0.01,))
    zoo.save(net, path, license="MIT")
    found = read_pretrained(path, "lenet5")
    same(found.weights, net)
    assert found.options == {"variant": "paper"}
    assert (found.preset, found.license) == (net.preset, "MIT")
    with pytest.raises(ValueError, match=r"another network .*resnet20, holds=lenet5"):
        read_pretrained(path, "resnet20")


def test_weights_alone(tmp_path: Path) -> None:
    net = models.resnet20()
    np.savez(tmp_path / "net.npz", **net.state_dict())
    found = read_pretrained(tmp_path / "net.npz", "resnet20")
    same(found.weights, net)
    assert (found.options, found.preset, found.license) == ({}, None, None)
    # What does not fit is for `load_pretrained` to tell.
    wrong = read_pretrained(tmp_path / "net.npz", "resnet32")
    with pytest.raises(ValueError, match=r"(?s)load_state_dict: .*missing: layer1.3"):
        load_pretrained(models.resnet32(), wrong.weights)
    pytest.importorskip("safetensors")
    save_checkpoint(tmp_path / "checkpoint", net)
    same(read_pretrained(tmp_path / "checkpoint", "resnet20").weights, net)


def test_a_file_of_pytorchs(tmp_path: Path) -> None:
    net = models.resnet18(3)
    arrays = net.state_dict()
    storages = {str(place): array.tobytes() for place, array in enumerate(arrays.values())}
    torch_files.write_zip(tmp_path / "net.pth", torch_files.tensors(arrays), storages)
    found = read_pretrained(tmp_path / "net.pth", "resnet18")
    same(found.weights, net)
    assert found.preset == Preset.imagenet()
    assert found.options == {"variant": "torchvision", "conv1_bias": False}


def test_files_that_hold_no_such_weights(tmp_path: Path) -> None:
    own = tmp_path / "own.t7"
    linear = module("nn.Linear", weight=np.zeros((2, 3), "f4"), bias=np.zeros(2, "f4"))
    own.write_bytes(write(module("nn.Sequential", linear)))
    with pytest.raises(ValueError, match=r"network of its own: .*format=torch7, .*resnet20"):
        read_pretrained(own, "resnet20")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 and nothing behind")
    with pytest.raises(ValueError, match=r"damaged.npz"):
        read_pretrained(tmp_path / "damaged.npz", "resnet20")
    with pytest.raises(FileNotFoundError, match=r"absent.npz"):
        read_pretrained(tmp_path / "absent.npz", "resnet20")
    with pytest.raises(ValueError, match=r"list_models\(\) .*'resnet21'"):
        read_pretrained(own, "resnet21")
