"""Adam and AdamW: the papers' formulas, trajectories beside PyTorch's, and saving."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastconv import nn, optim, use_backend

OPTIMIZERS = ["Adam", "AdamW"]
OPTIONS: list[dict[str, Any]] = [
    {"lr": 0.05},
    {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-3},
    {"lr": 0.05, "weight_decay": 0.3},
]
SHAPES = [(1,), (3, 4), (5, 20011)]


def draw(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in SHAPES]


def parameters(dtype: Any = np.float64) -> list[nn.Parameter]:
    return [nn.Parameter(a.astype(dtype)) for a in draw(0)]


def run(optimizer: optim.Optimizer, params: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for p, g in zip(params, draw(100 + step), strict=True):
            p.grad = g.astype(p.dtype)
        optimizer.step()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_formula(name: str, options: Any, dtype: Any) -> None:
    params = parameters(dtype)
    run(getattr(optim, name)(params, **options), params, range(4))
    lr, eps = options["lr"], options.get("eps", 1e-8)
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    decay = options.get("weight_decay", 0.01 if name == "AdamW" else 0.0)
    for i, expected in enumerate(draw(0)):
        m = s = np.zeros_like(expected)
        for step in range(4):
            g = draw(100 + step)[i]
            if name == "AdamW":
                expected = expected - lr * decay * expected
            else:
                g = g + decay * expected
            m = beta1 * m + (1 - beta1) * g
            s = beta2 * s + (1 - beta2) * g**2
            unbiased_m, unbiased_s = m / (1 - beta1 ** (step + 1)), s / (1 - beta2 ** (step + 1))
            expected = expected - lr * unbiased_m / (np.sqrt(unbiased_s) + eps)
        tolerance = 1e-11 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(params[i].data, expected, rtol=tolerance, atol=tolerance)


def test_the_first_step_is_as_long_as_the_rate() -> None:
    for gradient in (1e-3, -5.0, 1e3):
        p = nn.Parameter(np.zeros(1, np.float32))
        p.grad = np.full(1, gradient, np.float32)
        optim.Adam([p], lr=0.25).step()
        assert math.isclose(p.data.item(), -math.copysign(0.25, gradient), rel_tol=1e-4)


@pytest.mark.donor
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trajectories_are_pytorchs(name: str, options: Any) -> None:
    torch = pytest.importorskip("torch")
    params = parameters(np.float32)
    optimizer = getattr(optim, name)(params, **options)
    others = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    theirs = getattr(torch.optim, name)(others, **options)
    for step in range(5):
        run(optimizer, params, range(step, step + 1))
        for other, g in zip(others, draw(100 + step), strict=True):
            other.grad = torch.tensor(g.astype(np.float32))
        theirs.step()
    for mine, other in zip(params, others, strict=True):
        np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.donor
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_moves_to_pytorch_and_back(name: str) -> None:
    torch = pytest.importorskip("torch")
    params = parameters(np.float32)
    optimizer = getattr(optim, name)(params, lr=0.05)
    run(optimizer, params, range(3))
    others = [torch.tensor(p.data.copy(), requires_grad=True) for p in params]
    theirs = getattr(torch.optim, name)(others, lr=7.0)
    saved = optimizer.state_dict()
    saved["state"] = {
        number: {key: torch.tensor(value) for key, value in entry.items()}
        for number, entry in saved["state"].items()
    }
    theirs.load_state_dict(saved)
    for other, g in zip(others, draw(103), strict=True):
        other.grad = torch.tensor(g.astype(np.float32))
    theirs.step()
    run(optimizer, params, range(3, 4))

    back = [nn.Parameter(other.detach().numpy().copy()) for other in others]
    resumed = getattr(optim, name)(back, lr=7.0)
    resumed.load_state_dict(theirs.state_dict())
    assert resumed.param_groups[0]["lr"] == 0.05
    run(optimizer, params, range(4, 6))
    run(resumed, back, range(4, 6))
    for p, other in zip(params, back, strict=True):
        assert resumed.state[other]["step"] == optimizer.state[p]["step"] == 6
        np.testing.assert_allclose(p.data, other.data, rtol=2e-5, atol=2e-6)


def test_the_state_is_as_pytorchs() -> None:
    params = parameters(np.float32)
    optimizer = optim.Adam(params)
    run(optimizer, params, range(2))
    state = optimizer.state_dict()
    assert set(state["state"][1]) == {"step", "exp_avg", "exp_avg_sq"}
    step = state["state"][1]["step"]
    assert step.shape == () and step.dtype == np.float32 and step == 2
    assert state["state"][1]["exp_avg"].shape == SHAPES[1]
    assert state["param_groups"][0]["params"] == [0, 1, 2]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saving_and_going_on(name: str) -> None:
    params = parameters(np.float32)
    optimizer = getattr(optim, name)(params, lr=0.05)
    run(optimizer, params, range(3))
    others = [nn.Parameter(p.data.copy()) for p in params]
    resumed = getattr(optim, name)(others, lr=5.0)
    state = optimizer.state_dict()
    for entry in state["state"].values():
        entry["step"] = int(entry["step"])  # as older files have it
    resumed.load_state_dict(state)
    run(optimizer, params, range(3, 5))
    run(resumed, others, range(3, 5))
    for p, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.data, other.data)


def test_every_parameter_counts_its_own_steps() -> None:
    params = parameters()
    optimizer = optim.Adam(params, lr=0.5)
    for joined in (1, 3):
        for p in params[:joined]:
            p.grad = np.ones(p.shape)
        optimizer.step()
    assert [int(optimizer.state[p]["step"]) for p in params] == [2, 1, 1]
    np.testing.assert_allclose(params[0].data, draw(0)[0] - 1.0, rtol=1e-6)
    np.testing.assert_allclose(params[2].data, draw(0)[2] - 0.5, rtol=1e-6, atol=1e-7)


def test_loading_errors_change_nothing() -> None:
    params = parameters()
    optimizer = optim.Adam(params)
    run(optimizer, params, range(1))

    def saved(**changes: Any) -> dict[str, Any]:
        state = optimizer.state_dict()
        state["state"][1] = {**state["state"][1], **changes}
        return state

    other = optim.Adam(parameters(), lr=1.0)
    with pytest.raises(ValueError, match=r"step must be one number \(parameter=\(3, 4\), saved="):
        other.load_state_dict(saved(step=np.zeros(2)))
    with pytest.raises(ValueError, match=r"exp_avg must have its parameter's shape"):
        other.load_state_dict(saved(exp_avg=np.zeros(2)))
    with pytest.raises(ValueError, match=r"must be that of Adam \(key='max_exp_avg_sq'\)"):
        other.load_state_dict(saved(max_exp_avg_sq=np.zeros((3, 4))))
    with pytest.raises(ValueError, match=r"must be whole \(missing=\['exp_avg_sq'\]"):
        other.load_state_dict(saved(exp_avg_sq=None))
    with pytest.raises(ValueError, match=r"must be that of SGD"):
        optim.SGD(parameters()).load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 1.0 and not other.state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_errors(name: str) -> None:
    params = parameters()
    make = getattr(optim, name)
    for option in ("lr", "eps", "weight_decay"):
        with pytest.raises(ValueError, match=rf"^{name}: {option} must not be negative"):
            make(params, **{option: -1})
        with pytest.raises(
            TypeError, match=rf"^{name}: {option} must be a number \({option}='a'\)"
        ):
            make(params, **{option: "a"})
    for betas in ((0.9, 1.0), (-0.1, 0.9)):
        with pytest.raises(ValueError, match=rf"^{name}: betas must be two numbers in \[0, 1\)"):
            make(params, betas=betas)
    with pytest.raises(ValueError, match=rf"^{name}: betas must be 2 numbers \(betas=\(0.9,\)\)"):
        make(params, betas=(0.9,))
    with pytest.raises(TypeError, match=rf"^{name}: betas must be a sequence .*\(betas=0.9\)"):
        make(params, betas=0.9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_small_network_learns(name: str) -> None:
    from fastconv import manual_seed

    manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    target = np.array([0, 1, 1, 0])
    with use_backend("reference"):
        optimizer = getattr(optim, name)(net.parameters(), lr=0.05)
        for _ in range(100):
            loss = nn.CrossEntropyLoss()(net(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert float(loss) < 0.05
