"""Training beside PyTorch's: the same weights and batches, step by step."""

from __future__ import annotations

from itertools import chain, count, islice
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, optim, tensor
from fastconv.autograd import ops
from fastconv.data import Loader, mnist

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.donor
pytest.importorskip("fastconv._core", reason="fastconv is not built")


def torch_lenet5() -> Any:
    t = torch.nn
    layers = [
        ("conv1", t.Conv2d(1, 6, 5, padding=2)),
        ("act1", t.ReLU()),
        ("pool1", t.MaxPool2d(2)),
        ("conv2", t.Conv2d(6, 16, 5)),
        ("act2", t.ReLU()),
        ("pool2", t.MaxPool2d(2)),
        ("conv3", t.Conv2d(16, 120, 5)),
        ("act3", t.ReLU()),
        ("flatten", t.Flatten()),
        ("fc1", t.Linear(120, 84)),
        ("act4", t.ReLU()),
        ("fc2", t.Linear(84, 10)),
    ]
    net = t.Sequential()
    for name, layer in layers:
        net.add_module(name, layer)
    return net


def copied(net: nn.Module) -> dict[str, Any]:
    return {name: torch.from_numpy(array.copy()) for name, array in net.state_dict().items()}


def test_the_loss_of_lenet5_over_200_steps() -> None:
    fastconv.manual_seed(1)
    net, theirs = models.lenet5(), torch_lenet5()
    theirs.load_state_dict(copied(net))
    # From other weights, or at other rates, some unit may cross zero a step earlier in one of the
    # two than in the other, and the curves part: training is chaotic. PyTorch's own curve in
    # float64 is 0.02 to 0.04 away from the one in float32.
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    optimizer = optim.SGD(net.parameters(), **options)
    other = torch.optim.SGD(theirs.parameters(), **options)
    losses = []
    loader = Loader(mnist(), 64, shuffle=True, drop_last=True)
    for x, y in islice(chain.from_iterable(map(loader.epoch, count())), 200):
        loss = ops.cross_entropy(net(tensor(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected = torch.nn.functional.cross_entropy(
            theirs(torch.from_numpy(x)), torch.from_numpy(y)
        )
        other.zero_grad()
        expected.backward()
        other.step()
        losses.append((loss.item(), expected.item()))
    ours, reference = np.array(losses).T
    assert reference[-20:].mean() < 0.3 * reference[:5].mean()  # they learn
    assert np.abs(ours - reference).max() < 1e-3


def blocks() -> list[tuple[nn.Module, Any]]:
    """A residual block and a convolution with bias, as pairs of ours and theirs."""
    t = torch.nn
    fastconv.manual_seed(0)  # from other weights some unit may be positive in one of the two only

    class Block(t.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = t.Conv2d(32, 32, 3, padding=1, bias=False)
            self.bn1 = t.BatchNorm2d(32)
            self.conv2 = t.Conv2d(32, 32, 3, padding=1, bias=False)
            self.bn2 = t.BatchNorm2d(32)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(y)) + x)

    return [
        (models.resnet.BasicBlock(32, 32, 1, None), Block()),
        (
            nn.Sequential(nn.Conv2d(32, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
            t.Sequential(t.Conv2d(32, 48, 5, padding=2), t.ReLU(), t.MaxPool2d(3, 2, 1)),
        ),
    ]


@pytest.mark.parametrize(("ours", "theirs"), blocks(), ids=["residual block", "conv, relu, pool"])
def test_gradients_of_layers_computed_together(ours: nn.Module, theirs: Any) -> None:
    theirs.load_state_dict(copied(ours))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 32, 20, 18)).astype(np.float32)
    mine, other = tensor(x, True), torch.tensor(x, requires_grad=True)
    out, expected = ours.train()(mine), theirs.train()(other)
    upstream = rng.standard_normal(out.shape).astype(np.float32)
    out.backward(upstream)
    expected.backward(torch.from_numpy(upstream))
    pairs = [(out.data, expected.detach().numpy()), (mine.grad, other.grad.numpy())]
    gradients = dict(theirs.named_parameters())
    pairs += [(p.grad, gradients[name].grad.numpy()) for name, p in ours.named_parameters()]
    for got, value in pairs:
        assert got is not None
        assert np.abs(got - value).max() <= 2e-5 * np.abs(value).max()
