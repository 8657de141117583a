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


@pytest.mark.donor
def test_pytorch_tensors() -> None:
    torch = pytest.importorskip("torch")
    net = network()
    twin = torch.nn.Sequential()
    twin.add_module("conv", torch.nn.Conv2d(1, 2, 3))
    twin.add_module("bn", torch.nn.BatchNorm2d(2))
    net.load_state_dict(twin.state_dict())
    np.testing.assert_array_equal(net.conv.weight.data, twin.conv.weight.detach().numpy())
    net.load_state_dict(dict(twin.named_parameters()), strict=False)


def test_assigned_arrays_become_the_modules_own() -> None:
    net, arrays = network(), drawn()
    result = net.load_state_dict(arrays, assign=True)
    assert result == ([], [])
    for name, array in net.state_dict().items():
        assert array is arrays[name] or np.shares_memory(array, arrays[name])
    assert net.conv.weight.requires_grad and isinstance(net.bn.running_mean, np.ndarray)
    x = np.random.default_rng(0).standard_normal((2, 1, 5, 5)).astype(np.float32)
    net.bn.num_batches_tracked[...] = 0
    net(x)
    assert arrays["bn.num_batches_tracked"] == 1


def test_what_a_module_cannot_own_is_copied() -> None:
    net, arrays = network(), drawn()
    expected = {name: array.copy() for name, array in arrays.items()}
    arrays["conv.weight"] = np.asfortranarray(arrays["conv.weight"])
    arrays["conv.bias"].flags.writeable = False
    arrays["bn.bias"] = arrays["bn.bias"].astype(">f4")
    arrays["bn.running_mean"] = arrays["bn.running_mean"].astype(np.float64)
    arrays["bn.running_var"] = arrays["bn.weight"]
    expected["bn.running_var"] = expected["bn.weight"]
    unaligned = np.zeros(9, np.uint8)[1:].view(np.int64)
    arrays["bn.num_batches_tracked"] = unaligned.reshape(())
    expected["bn.num_batches_tracked"] = np.zeros((), np.int64)
    net.load_state_dict(arrays, assign=True)
    state = net.state_dict()
    for name, array in state.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == network().state_dict()[name].dtype
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    assert not np.shares_memory(state["bn.running_var"], state["bn.weight"])


def test_a_failed_assignment_changes_nothing() -> None:
    net, arrays = network(), drawn()
    before = net.state_dict()
    arrays["bn.weight"] = np.zeros(5, np.float32)
    with pytest.raises(ValueError, match=r"mis-shaped: bn.weight"):
        net.load_state_dict(arrays, assign=True)
    assert all(array is before[name] for name, array in net.state_dict().items())
    del arrays["bn.weight"]
    assert net.load_state_dict(arrays, strict=False, assign=True).missing_keys == ["bn.weight"]
    assert net.bn.weight.data is before["bn.weight"]


def test_a_files_name_is_no_state_dict() -> None:
    with pytest.raises(TypeError, match=r"read_weights reads files \(type=str\)"):
        nn.Linear(2, 2).load_state_dict("weights.npz")  # type: ignore[arg-type]
