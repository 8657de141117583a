"""Saving and loading: keys, shapes, types, and that a failed load changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn


def network() -> nn.Sequential:
    return nn.Sequential(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2))


def drawn(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(array.shape).astype(array.dtype)
        for name, array in network().state_dict().items()
    }


def test_round_trip_copies() -> None:
    net, arrays = network(), drawn()
    result = net.load_state_dict(arrays)
    assert result.missing_keys == [] and result.unexpected_keys == []
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, arrays[name])
        assert not np.shares_memory(array, arrays[name])


def test_the_arrays_are_the_modules_own() -> None:
    net = network()
    net.state_dict()["conv.bias"][...] = 7
    assert (net.conv.bias.data == 7).all()


def test_all_problems_are_listed_and_nothing_is_loaded() -> None:
    net, arrays = network(), drawn()
    before = {name: array.copy() for name, array in net.state_dict().items()}
    del arrays["conv.bias"]
    arrays["fc.weight"] = np.zeros((3, 4), np.float32)
    arrays["bn.weight"] = np.zeros(5, np.float32)
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(arrays)
    assert str(caught.value) == (
        "load_state_dict: the keys must fit Sequential (missing=1, unexpected=1, mis-shaped=1)\n"
        "  mis-shaped: bn.weight (expected=(2,), got=(5,))\n"
        "  missing: conv.bias (expected=(2,))\n"
        "  unexpected: fc.weight (got=(3, 4))"
    )
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_not_strict() -> None:
    net, arrays = network(), drawn()
    del arrays["conv.bias"]
    arrays["extra"] = np.zeros(1)
    assert net.load_state_dict(arrays, strict=False) == (["conv.bias"], ["extra"])
    np.testing.assert_array_equal(net.conv.weight.data, arrays["conv.weight"])
    arrays["bn.weight"] = np.zeros(5)
    with pytest.raises(ValueError, match=r"mis-shaped: bn.weight"):
        net.load_state_dict(arrays, strict=False)


def test_old_batch_norms_do_not_count_batches() -> None:
    net, arrays = network(), drawn()
    del arrays["bn.num_batches_tracked"]
    assert net.load_state_dict(arrays).missing_keys == []


def test_types() -> None:
    net, arrays = network(), drawn()
    arrays["conv.weight"] = arrays["conv.weight"].astype(np.float64)
    arrays["conv.bias"] = arrays["conv.bias"].astype(np.float16)
    net.load_state_dict(arrays)
    assert net.conv.weight.dtype == np.float32
    arrays["bn.num_batches_tracked"] = np.float32(3)
    with pytest.raises(TypeError, match=r"num_batches_tracked must hold int64 \(dtype=float32\)"):
        net.load_state_dict(arrays)
    arrays["conv.weight"] = "weights"
    with pytest.raises(TypeError, match=r"conv.weight must be an array \(type=str\)"):
        net.load_state_dict(arrays)


def test_pytorch_tensors() -> None:
    torch = pytest.importorskip("torch")
    net = network()
    twin = torch.nn.Sequential()
    twin.add_module("conv", torch.nn.Conv2d(1, 2, 3))
    twin.add_module("bn", torch.nn.BatchNorm2d(2))
    net.load_state_dict(twin.state_dict())
    np.testing.assert_array_equal(net.conv.weight.data, twin.conv.weight.detach().numpy())
    net.load_state_dict(dict(twin.named_parameters()), strict=False)
