"""Averages of weights: the recursion, lending them to the network, and saving."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn, optim


def network(dtype: Any = np.float32) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).astype(dtype)


def learn(net: nn.Module, seed: int) -> dict[str, Any]:
    """Other weights and statistics, as a training step leaves them."""
    rng = np.random.default_rng(seed)
    for name, array in net.state_dict().items():
        array[...] = seed if name.endswith("tracked") else rng.standard_normal(array.shape)
    return copies(net)


def copies(net: nn.Module) -> dict[str, Any]:
    return {name: array.copy() for name, array in net.state_dict().items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("warm_up", [True, False])
def test_the_recursion(warm_up: bool, dtype: Any) -> None:
    net = network(dtype)
    expected = {name: a.astype(np.float64) for name, a in learn(net, 0).items()}
    ema = optim.EMA(net, decay=0.2, warm_up=warm_up)
    for n in range(4):
        now = learn(net, n + 1)
        decay = min(0.2, (1 + n) / (10 + n)) if warm_up else 0.2
        assert (decay < 0.2) == (warm_up and n < 2)
        ema.update()
        for name, value in now.items():
            if "running" in name or "tracked" in name:
                expected[name] = value
            else:
                expected[name] = decay * expected[name] + (1 - decay) * value
            np.testing.assert_allclose(ema.averages[name], expected[name], rtol=1e-5, atol=1e-6)
            assert ema.averages[name].dtype == value.dtype
    assert ema.updates == 4


def test_the_network_keeps_its_own_weights() -> None:
    net = network()
    before = learn(net, 0)
    arrays = net.state_dict()
    ema = optim.EMA(net, decay=0.5)
    after = learn(net, 1)
    ema.update()
    with ema.applied():
        for name, array in net.state_dict().items():
            assert array is arrays[name]
            np.testing.assert_array_equal(array, ema.averages[name])
        assert not np.array_equal(net[0].weight.data, after["0.weight"])
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, after[name])
    np.testing.assert_allclose(
        ema.averages["0.bias"], 0.1 * before["0.bias"] + 0.9 * after["0.bias"], rtol=1e-5
    )
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    np.testing.assert_array_equal(net[0].weight.data, after["0.weight"])


def test_shared_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net[0].weight.data.fill(0.0)
    ema = optim.EMA(net, decay=0.0)
    net[0].weight.data.fill(2.0)
    ema.update()
    with ema.applied():
        np.testing.assert_array_equal(net[1].weight.data, 2.0)
    for name in ("0.weight", "1.weight"):
        np.testing.assert_array_equal(ema.averages[name], 2.0)


def test_saving_and_going_on() -> None:
    net = network()
    learn(net, 0)
    ema = optim.EMA(net, decay=0.9)
    learn(net, 1)
    ema.update()
    other = optim.EMA(network(), decay=0.1, warm_up=False)
    other.load_state_dict(ema.state_dict())
    other.net = net
    assert (other.decay, other.warm_up, other.updates) == (0.9, True, 1)
    learn(net, 2)
    ema.update()
    other.update()
    for name, average in ema.averages.items():
        np.testing.assert_array_equal(average, other.averages[name])
        assert average is not other.averages[name]
    fresh = network()
    fresh.load_state_dict(ema.state_dict()["averages"])


def test_errors() -> None:
    net = network()
    with pytest.raises(ValueError, match=r"EMA: decay must be finite \(decay=nan\)"):
        optim.EMA(net, float("nan"))
    for decay in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"EMA: decay must be in \[0, 1\) \(decay="):
            optim.EMA(net, decay)
    ema = optim.EMA(net)
    with ema.applied():
        with pytest.raises(RuntimeError, match=r"update: the network must have its own weights"):
            ema.update()
        with pytest.raises(RuntimeError, match=r"applied: the network must have its own"):
            ema.applied().__enter__()
    state = optim.EMA(nn.Linear(2, 3), 0.5).state_dict()
    with pytest.raises(ValueError, match=r"averages must be those of this network \(wrong=\['0.b"):
        ema.load_state_dict(state)
    assert ema.decay == 0.999
