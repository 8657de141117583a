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
# One element, a few, and more than one thread's share.
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nesterov", [False, True])
def test_caffes_convention(nesterov: bool, dtype: Any) -> None:
    params = parameters(dtype)
    options: Any = {"momentum": 0.9, "weight_decay": 0.05, "nesterov": nesterov}
    optimizer = optim.SGD(params, lr=0.1, convention="caffe", **options)
    run(optimizer, params, range(2))
    optimizer.scale_lr(0.1)
    run(optimizer, params, range(2, 4))
    for p, expected, i in zip(params, start(), range(3), strict=True):
        history = np.zeros_like(expected)
        for step in range(4):
            # Caffe's SGDSolver and NesterovSolver, as in its src/caffe/solvers.
            diff = (0.1 if step < 2 else 0.01) * (gradients(step)[i] + 0.05 * expected)
            before, history = history, diff + 0.9 * history
            update = (1 + 0.9) * history - 0.9 * before if nesterov else history
            expected = expected - update
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(p.data, expected, rtol=tolerance, atol=tolerance)


def test_conventions_agree_while_lr_is_constant() -> None:
    ours, caffes = parameters(), parameters()
    run(optim.SGD(ours, lr=0.1, momentum=0.9), ours, range(3))
    run(optim.SGD(caffes, lr=0.1, momentum=0.9, convention="caffe"), caffes, range(3))
    for a, b in zip(ours, caffes, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-15)


def test_backends_step_alike() -> None:
    pytest.importorskip("fastconv._core", reason="fastconv is not built")
    ours, twins = parameters(np.float32), parameters(np.float32)
    for params, backend in ((ours, "native"), (twins, "reference")):
        with use_backend(backend):
            run(optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1), params, range(3))
    for a, b in zip(ours, twins, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-5, atol=1e-6)


def test_parameters_join_late() -> None:
    # One that has no gradient at first has a first step of its own later.
    params = parameters()
    optimizer = optim.SGD(params, lr=1.0, momentum=0.5, dampening=0.5)
    for joined in (1, 3):
        for p in params[:joined]:
            p.grad = np.ones(p.shape)
        optimizer.step()
    np.testing.assert_allclose(params[0].data, start()[0] - 2.0)  # 1, then 0.5 + 0.5
    np.testing.assert_allclose(params[2].data, start()[2] - 1.0)


def test_mixed_types_run_on_the_twin() -> None:
    params = [nn.Parameter(np.ones(3, dtype)) for dtype in (np.float32, np.float64)]
    for p in params:
        p.grad = np.full(3, 0.5, p.dtype)
    optim.SGD(params, lr=1.0, momentum=0.9).step()
    for p, dtype in zip(params, (np.float32, np.float64), strict=True):
        assert p.dtype == dtype
        np.testing.assert_array_equal(p.data, 0.5)


@pytest.mark.donor
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


@pytest.mark.donor
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_are_in_place(dtype: Any) -> None:
    params = parameters(dtype)
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


def test_schedules_scale_each_groups_own_rate() -> None:
    params = parameters()
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1:2]}], lr=0.1)
    for factor in (0.5, 0.0, 2.0):
        optimizer.scale_lr(factor)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == [0.5 * factor, 0.1 * factor]
    optimizer.add_param_group({"params": params[2], "lr": 0.3})
    optimizer.scale_lr(0.1)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 0.1, 0.3]
    assert optimizer.param_groups[2]["lr"] == 0.3 * 0.1

    resumed = optim.SGD([{"params": p} for p in parameters()], lr=7.0)
    resumed.load_state_dict(optimizer.state_dict())
    resumed.scale_lr(1.0)
    assert [group["lr"] for group in resumed.param_groups] == [0.5, 0.1, 0.3]
    for factor in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"scale_lr: factor must not be negative \(factor="):
            optimizer.scale_lr(factor)


def test_groups_saved_without_an_initial_rate() -> None:
    optimizer = optim.SGD(parameters(), lr=0.1)
    state = optimizer.state_dict()
    del state["param_groups"][0]["initial_lr"]
    state["param_groups"][0]["lr"] = 0.2
    optimizer.load_state_dict(state)
    optimizer.scale_lr(0.5)
    assert optimizer.param_groups[0]["lr"] == 0.1


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
    state["state"][0] = {"exp_avg": np.zeros(1)}
    with pytest.raises(ValueError, match=r"the state must be that of SGD \(key='exp_avg'\)"):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 1.0 and not other.state


@use_backend("reference")
def test_errors() -> None:
    p = nn.Parameter(np.zeros(2))
    for name in ("lr", "momentum", "dampening", "weight_decay"):
        with pytest.raises(ValueError, match=rf"SGD: {name} must not be negative \({name}=-1\)"):
            optim.SGD([p], **{name: -1})
    with pytest.raises(ValueError, match=r"SGD: lr must be finite \(lr=inf\)"):
        optim.SGD([p], lr=float("inf"))
    with pytest.raises(TypeError, match=r"SGD: nesterov must be True or False"):
        optim.SGD([p], 0.1, 0.9, nesterov="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"SGD: nesterov needs momentum and no dampening"):
        optim.SGD([p], lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"SGD: convention must be 'pytorch' or 'caffe'"):
        optim.SGD([p], convention="torch")
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
