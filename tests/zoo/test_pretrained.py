"""Weights to start from, and what their files say of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import torch_files
from fastconv import models, nn, zoo
from fastconv.data import Preset
from fastconv.train import load_pretrained, save_checkpoint
from fastconv.zoo import read_pretrained
from t7_files import module, write


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
