"""GraphModule and the layers that join branches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastconv
from fastconv import nn

RNG = np.random.default_rng(7)


def branching() -> nn.GraphModule:
    net = nn.GraphModule(["data"], ["prob"])
    net.append("conv.1", nn.Conv2d(3, 4, 3, padding=1), "data", "conv")
    net.append("relu", nn.ReLU(), "conv", "conv")  # in place, as Caffe's
    net.append("pool", nn.AvgPool2d(3, 1, 1), "conv", "pooled")
    net.append("forward", nn.Concat(), ["conv", "pooled"], "both")
    net.append("flat", nn.Flatten(), "both", "flat")
    net.append("fc", nn.Linear(8 * 36, 5), "flat", "prob")
    return net


def test_runs_layers_in_order():
    net = branching()
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    conv = nn.ReLU()(net.conv_1(x))
    both = np.concatenate([conv.numpy(), nn.AvgPool2d(3, 1, 1)(conv).numpy()], 1)
    np.testing.assert_allclose(
        net(x).numpy(), both.reshape(2, -1) @ net.fc.weight.data.T + net.fc.bias.data, rtol=1e-5
    )


def test_names_are_attributes_and_state_dict_keys():
    net = branching()
    assert list(net.state_dict()) == ["conv_1.weight", "conv_1.bias", "fc.weight", "fc.bias"]
    assert [name for name, _ in net.named_children()][3] == "forward_2"  # forward is a method


def test_compiles_pickles_and_learns():
    net = branching()
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(
        fastconv.compile(net, x.shape)(x), net(x).numpy(), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        pickle.loads(pickle.dumps(net))(x).numpy(), net(x).numpy(), rtol=1e-5, atol=1e-6
    )
    net(x).sum().backward()
    assert all(np.abs(p.grad).max() > 0 for p in net.parameters())


def test_several_inputs_and_outputs():
    net = nn.GraphModule(["a", "b"], ["sum", "quotient"])
    net.append("sum", nn.Add(), ["a", "b"], "sum")
    net.append("div", nn.Div(), ["a", "b"], "quotient")
    a, b = (RNG.uniform(1, 2, (2, 3)).astype(np.float32) for _ in "ab")
    total, quotient = net(a, b)
    np.testing.assert_array_equal(total.numpy(), a + b)
    np.testing.assert_array_equal(quotient.numpy(), a / b)
    with pytest.raises(ValueError, match="takes 2 inputs"):
        net(a)


def test_unknown_values_are_refused():
    with pytest.raises(ValueError, match="unknown='y'"):
        nn.GraphModule(["x"], ["z"]).append("add", nn.Add(), ["x", "y"], "z")


@pytest.mark.parametrize(
    "layer, expected",
    [
        (nn.Add(), lambda a, b: a + b),
        (nn.Sub(), lambda a, b: a - b),
        (nn.Mul(), lambda a, b: a * b),
        (nn.Div(), lambda a, b: a / b),
        (nn.Concat(2), lambda a, b: np.concatenate([a, np.broadcast_to(b, a.shape)], 2)),
    ],
)
def test_arithmetic(layer, expected):
    a = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    b = RNG.uniform(1, 2, (2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(layer(a, b).numpy(), expected(a, b))


def test_affine_scales_channels():
    layer = nn.Affine(3)
    layer.weight.data[:] = [1, 2, 3]
    layer.bias.data[:] = [0, 0, 5]
    x = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
    expected = x * np.array([1, 2, 3], np.float32)[:, None, None]
    expected[:, 2] += 5
    np.testing.assert_array_equal(layer(x).numpy(), expected)


def test_reshape_and_permute():
    x = RNG.standard_normal((2, 6, 4, 5)).astype(np.float32)
    shuffled = nn.Sequential(
        nn.Reshape(0, 2, 3, 4, 5), nn.Permute(0, 2, 1, 3, 4), nn.Reshape(0, -1, 4, 5)
    )
    expected = x.reshape(2, 2, 3, 4, 5).swapaxes(1, 2).reshape(2, 6, 4, 5)
    np.testing.assert_array_equal(shuffled(x).numpy(), expected)
    with pytest.raises(ValueError, match="every axis once"):
        nn.Permute(0, 0)
