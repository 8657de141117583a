"""SGD: trajectories beside PyTorch's, groups, saving, and that updates stay in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, optim, tensor, use_backend

OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": True},
]
# One element, less than a piece, several pieces and a rest.
SHAPES = [(1,), (3, 4), (5, 20011)]


def start() -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in SHAPES]


def gradients(step: int) -> list[Any]:
    rng = np.random.default_rng(100 + step)
    return [rng.standard_normal(shape) for shape in SHAPES]


def parameters(dtype: Any = np.float64) -> list[nn.Parameter]:
    return [nn.Parameter(a.astype(dtype)) for a in start()]


def run(optimizer: optim.SGD, params: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for p, g in zip(params, gradients(step), strict=True):
            p.grad = g.astype(p.dtype)
        optimizer.step()


@pytest.mark.parametrize("options", OPTIONS)
def test_the_formula(options: Any) -> None:
    params = parameters()
    run(optim.SGD(params, **options), params, range(4))
    momentum, decay = options.get("momentum", 0), options.get("weight_decay", 0)
    for i, expected in enumerate(start()):
        velocity = None
        for step in range(4):
            g = gradients(step)[i] + decay * expected
            if velocity is None:
                velocity = g
            else:
                velocity = momentum * velocity + (1 - options.get("dampening", 0)) * g
            change = g + momentum * velocity if options.get("nesterov") else velocity
            expected = expected - options["lr"] * change
        np.testing.assert_allclose(params[i].data, expected, rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
def test_trajectories_are_pytorchs(options: Any) -> None:
    torch = pytest.importorskip("torch")
    params = parameters(np.float32)
    optimizer = optim.SGD(params, **options)
    others = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    theirs = torch.optim.SGD(others, **options)
    for step in range(5):
        run(optimizer, params, range(step, step + 1))
        for other, g in zip(others, gradients(step), strict=True):
            other.grad = torch.tensor(g.astype(np.float32))
        theirs.step()
    for mine, other in zip(params, others, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_state_of_pytorch_loads() -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
    others = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    theirs = torch.optim.SGD(others, lr=0.1, momentum=0.9)
    for other, g in zip(others, gradients(0), strict=True):
        other.grad = torch.tensor(g)
    theirs.step()
    optimizer = optim.SGD(params, lr=7.0)
    optimizer.load_state_dict(theirs.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
    for p, g in zip(params, gradients(0), strict=True):
        np.testing.assert_allclose(optimizer.state[p]["momentum_buffer"], g)


def test_updates_are_in_place() -> None:
    params = parameters()
    arrays = [p.data for p in params]
    run(optim.SGD(params, lr=0.1, momentum=0.9), params, range(2))
    assert all(p.data is a for p, a in zip(params, arrays, strict=True))


def test_gradients_are_left_alone() -> None:
    params = parameters()
    run(optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True), params, range(1))
    for p, g in zip(params, gradients(0), strict=True):
        np.testing.assert_array_equal(p.grad, g)


def test_transposed_gradients() -> None:
    p = nn.Parameter(np.zeros((3, 4)))
    p.grad = np.arange(12.0).reshape(4, 3).T
    optim.SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(p.data, -p.grad)


def test_parameters_without_gradients_stay() -> None:
    params = parameters()
    params[0].grad = np.ones(1)
    optimizer = optim.SGD(params, lr=1.0, weight_decay=1.0)
    optimizer.step()
    np.testing.assert_array_equal(params[1].data, start()[1])
    optimizer.zero_grad()
    assert params[0].grad is None


def test_groups() -> None:
    params = parameters()
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.0}, {"params": params[1:2]}], lr=1.0)
    optimizer.add_param_group({"params": params[2], "weight_decay": 0.5})
    for p in params:
        p.grad = np.ones(p.shape)
    optimizer.step()
    for p, expected in zip(params, start(), strict=True):
        change = {(1,): 0.0, (3, 4): 1.0}.get(p.shape, 1 + 0.5 * expected)
        np.testing.assert_allclose(p.data, expected - change)
    assert "1 parameters: lr=0.0, momentum=0.0" in repr(optimizer)


def test_saving_and_going_on() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, range(3))

    others = [nn.Parameter(p.data.copy()) for p in params]
    resumed = optim.SGD(others, lr=5.0)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.param_groups[0]["lr"] == 0.1
    run(optimizer, params, range(3, 5))
    run(resumed, others, range(3, 5))
    for p, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.data, other.data)


def test_loading_errors_change_nothing() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, range(1))
    state = optimizer.state_dict()
    other = optim.SGD(parameters()[:2], lr=1.0)
    with pytest.raises(ValueError, match=r"groups must have the sizes .* \(sizes=\[2\], saved=\[3"):
        other.load_state_dict(state)
    other = optim.SGD(parameters()[::-1], lr=1.0)
    with pytest.raises(ValueError, match=r"momentum_buffer must have its parameter's shape"):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 1.0 and not other.state


@use_backend("reference")
def test_errors() -> None:
    p = nn.Parameter(np.zeros(2))
    for name in ("lr", "momentum", "weight_decay"):
        with pytest.raises(ValueError, match=rf"SGD: {name} must not be negative \({name}=-1\)"):
            optim.SGD([p], **{name: -1})
    with pytest.raises(ValueError, match=r"SGD: nesterov needs momentum and no dampening"):
        optim.SGD([p], lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"SGD: at least one parameter is needed"):
        optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match=r"SGD: a parameter may appear only once \(shape=\(2,\)\)"):
        optim.SGD([p, p], lr=0.1)
    with pytest.raises(ValueError, match=r"SGD: options must be known \(unknown=\['rate'\]\)"):
        optim.SGD([{"params": [p], "rate": 1}], lr=0.1)
    with pytest.raises(TypeError, match=r"SGD: params must be an iterable of parameters"):
        optim.SGD(p, lr=0.1)
    for wrong in (np.zeros(2), tensor(np.zeros(2), True) * 2):
        with pytest.raises(TypeError, match=r"SGD: params must be leaf tensors"):
            optim.SGD([wrong], lr=0.1)
    with pytest.raises(NotImplementedError, match="Optimizer: step is not written"):
        optim.Optimizer([p], {}).step()


@use_backend("reference")
def test_a_small_network_learns() -> None:
    fastconv.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    target = np.array([0, 1, 1, 0])
    optimizer = optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for _ in range(100):
        loss = nn.CrossEntropyLoss()(net(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.05
    np.testing.assert_array_equal(net(x).data.argmax(1), target)
