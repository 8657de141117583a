"""Layers beside PyTorch's: forward, gradients, running statistics and repr."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import nn, tensor, use_backend

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.donor


def pairs() -> list[Any]:
    t = torch.nn
    return [
        (nn.Conv2d(4, 6, (3, 2), 2, 1, 2, 2), t.Conv2d(4, 6, (3, 2), 2, 1, 2, 2)),
        (nn.Conv2d(4, 6, 1, bias=False), t.Conv2d(4, 6, 1, bias=False)),
        (
            nn.ConvTranspose2d(4, 6, (3, 2), 2, 1, 1, 2),
            t.ConvTranspose2d(4, 6, (3, 2), 2, 1, 1, 2),
        ),
        (
            nn.ConvTranspose2d(4, 3, 3, (1, 2), 0, (2, 1), 1, False, (3, 2)),
            t.ConvTranspose2d(4, 3, 3, (1, 2), 0, (2, 1), 1, False, (3, 2)),
        ),
        (nn.Linear(8, 3), t.Linear(8, 3)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), t.MaxPool2d(3, 2, 1, ceil_mode=True)),
        (nn.AvgPool2d(3, 2, 1, True, False), t.AvgPool2d(3, 2, 1, True, False)),
        (nn.AdaptiveAvgPool2d((3, 5)), t.AdaptiveAvgPool2d((3, 5))),
        (nn.LocalResponseNorm(3, 0.1, 0.5, 2.0), t.LocalResponseNorm(3, 0.1, 0.5, 2.0)),
        (nn.BatchNorm2d(4), t.BatchNorm2d(4)),
        (nn.BatchNorm2d(4, 1e-3, None), t.BatchNorm2d(4, 1e-3, None)),
        (nn.ReLU(), t.ReLU()),
        (nn.LeakyReLU(0.2), t.LeakyReLU(0.2)),
        (nn.PReLU(4), t.PReLU(4)),
        (nn.Sigmoid(), t.Sigmoid()),
        (nn.Tanh(), t.Tanh()),
        (nn.Softmax(1), t.Softmax(1)),
        (nn.LogSoftmax(2), t.LogSoftmax(2)),
        (nn.Flatten(), t.Flatten()),
        (nn.ZeroPad2d((1, 2, 3, 0)), t.ZeroPad2d((1, 2, 3, 0))),
        (nn.Identity(), t.Identity()),
    ]


@pytest.mark.parametrize(("ours", "theirs"), pairs(), ids=lambda layer: type(layer).__name__)
def test_forward_and_gradients(ours: nn.Module, theirs: Any) -> None:
    rng = np.random.default_rng(0)
    theirs.double()
    ours.astype(np.float64)
    state = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    assert {name: array.shape for name, array in ours.state_dict().items()} == {
        name: array.shape for name, array in state.items()
    }
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(theirs.state_dict())
    for training in (True, False):
        ours.train(training).zero_grad()
        theirs.train(training).zero_grad()
        for _ in range(2):  # running statistics move twice
            x = rng.standard_normal((3, 4, 7, 8))
            mine, other = tensor(x, True), torch.tensor(x, requires_grad=True)
            with use_backend("reference"):
                out = ours(mine)
                expected = theirs(other)
                upstream = rng.standard_normal(out.shape)
                out.backward(upstream)
            expected.backward(torch.tensor(upstream))
        close(out.data, expected)
        close(mine.grad, other.grad)
        for mine_p, other_p in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(mine_p.grad, other_p.grad)
        for mine_b, other_b in zip(ours.buffers(), theirs.buffers(), strict=True):
            close(mine_b, other_b)


@pytest.mark.parametrize(("ours", "theirs"), pairs(), ids=lambda layer: type(layer).__name__)
def test_repr(ours: nn.Module, theirs: Any) -> None:
    if isinstance(ours, (nn.AvgPool2d, nn.BatchNorm2d)):
        return  # PyTorch's shows fewer options, or more
    assert repr(ours) == repr(theirs)


def close(mine: Any, other: Any) -> None:
    np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction: str) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((4, 5)), np.array([1, -100, 0, 4])
    mine, other = tensor(x, True), torch.tensor(x, requires_grad=True)
    with use_backend("reference"):
        loss = nn.CrossEntropyLoss(reduction)(mine, target)
        loss.backward(np.ones_like(loss.data))
    expected = torch.nn.CrossEntropyLoss(reduction=reduction)(other, torch.tensor(target))
    expected.backward(torch.ones_like(expected))
    close(loss.data, expected)
    close(mine.grad, other.grad)
