"""The training loop: it learns, it repeats itself, and it says what it did."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator

import numpy as np
import pytest

import fastconv.random
from fastconv import nn
from fastconv.autograd import Tensor, is_grad_enabled, ops, use_backend
from fastconv.data import Digits, mnist, random_shift
from fastconv.train import constant, cosine, evaluate, fit, inference, one_cycle, predict


@pytest.fixture(params=["reference", "native"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "native":
        pytest.importorskip("fastconv._core", reason="fastconv is not built")
    with use_backend(request.param):
        yield request.param


@pytest.fixture(scope="module")
def digits() -> tuple[Digits, Digits]:
    train, test = mnist(), mnist(split="test")
    return (
        Digits(train.images[:640], train.labels[:640]),
        Digits(test.images[:200], test.labels[:200]),
    )


def small_net(seed: int = 0) -> nn.Sequential:
    fastconv.random.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 6 * 6, 10),
    )


def few(count: int = 32) -> Digits:
    rng = np.random.default_rng(0)
    return Digits(rng.random((count, 1, 28, 28), np.float32), rng.integers(0, 10, count))


def test_it_learns(backend: str, digits: tuple[Digits, Digits]) -> None:
    train, test = digits
    net = small_net()
    assert evaluate(net, test) < 0.4
    history = fit(net, train, test, epochs=4, batch_size=32, progress=False)
    assert history.steps == len(history.lr) == 80
    assert history.epochs == len(history.accuracy) == 4
    assert history.seconds > 0
    assert np.mean(history.loss[-20:]) < 0.4 * np.mean(history.loss[:10])
    assert history.accuracy[-1] > 0.75
    assert history.accuracy[-1] == evaluate(net, test)
    assert history.train_accuracy[-1] > history.train_accuracy[0]


def test_both_backends_train_alike() -> None:
    pytest.importorskip("fastconv._core", reason="fastconv is not built")
    losses = []
    for name in ("native", "reference"):
        with use_backend(name):
            net = small_net()
            losses.append(fit(net, few(), epochs=2, batch_size=8, lr=0.01, progress=False).loss)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_the_seed_decides(backend: str) -> None:
    options = {"epochs": 1, "batch_size": 8, "augment": random_shift, "progress": False}

    def losses(seed: int | None) -> list[float]:
        return fit(small_net(), few(), seed=seed, **options).loss  # type: ignore[arg-type]

    assert losses(1) == losses(1) != losses(2)
    assert losses(None) == losses(None)  # small_net restarts fastconv.random


def test_schedule_and_optimizer_options(backend: str) -> None:
    net = small_net()
    before = [parameter.data.copy() for parameter in net.parameters()]
    history = fit(
        net, few(8), epochs=2, batch_size=4, lr=0.3, schedule=lambda done: 0.0, progress=False
    )
    assert history.lr == [0.0] * 4
    for parameter, start in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, start)
    history = fit(net, few(8), epochs=2, batch_size=4, lr=0.5, progress=False)
    assert history.lr == [0.5 * one_cycle(step / 4) for step in range(4)]


def test_a_loss_of_ones_own(backend: str) -> None:
    seen: list[tuple[int, ...]] = []

    def loss(output: Tensor, labels: np.ndarray) -> Tensor:
        seen.append(labels.shape)
        return ops.cross_entropy(output, labels)

    fit(small_net(), few(6), epochs=1, batch_size=4, loss=loss, progress=False)
    assert seen == [(4,), (2,)]


def test_without_validation_there_is_no_accuracy(backend: str) -> None:
    history = fit(small_net(), few(8), epochs=1, progress=False)
    assert history.accuracy == []
    assert len(history.train_accuracy) == 1


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with use_backend("reference"):
        fit(small_net(), few(8), few(8), epochs=2, batch_size=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    assert "train " in lines[1]
    assert "val " in lines[1]


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with use_backend("reference"):
        fit(small_net(), few(8), few(8), epochs=2, batch_size=4)
    out = capsys.readouterr().out
    assert "epoch 2/2: 100%" in out
    assert "4/4" in out


def test_a_terminal_without_tqdm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setitem(importlib.import_module("sys").modules, "tqdm", None)
    with use_backend("reference"):
        fit(small_net(), few(8), epochs=1)
    assert capsys.readouterr().out.startswith("epoch 1/1  loss ")


def test_bad_arguments() -> None:
    net = small_net()
    with pytest.raises(ValueError, match=r"fit: .* \(images=0, labels=0\)"):
        fit(net, few(0))
    with pytest.raises(ValueError, match=r"fit: .* \(images=0, labels=0\)"):
        fit(net, few(), few(0))
    with pytest.raises(ValueError, match=r"fit: .* \(epochs=0, batch_size=64\)"):
        fit(net, few(), epochs=0)
    with pytest.raises(ValueError, match=r"fit: .*batch_size=0\)"):
        fit(net, few(), batch_size=0)
    with pytest.raises(ValueError, match=r"fit: .* \(images=32, labels=31\)"):
        fit(net, (few().images, few().labels[1:]), progress=False)


def test_divergence_is_reported() -> None:
    images, labels = few(8)
    with (
        use_backend("reference"),
        pytest.raises(
            FloatingPointError, match=r"fit: the loss must stay finite.*step=0, loss=nan"
        ),
    ):
        fit(small_net(), (images * np.float32(np.nan), labels), progress=False)


def test_predict_and_evaluate(backend: str) -> None:
    images, _ = few(10)
    net = small_net()
    answers = predict(net, images, batch_size=4)
    assert answers.dtype == np.int64
    np.testing.assert_array_equal(answers, net(images).data.argmax(1))
    labels = answers.copy()
    labels[:3] += 1
    assert evaluate(net, (images, labels)) == 0.7
    assert predict(net, images[:0]).shape == (0,)


def test_evaluate_bad_arguments() -> None:
    net = small_net()
    with pytest.raises(ValueError, match=r"evaluate: .* \(images=0, labels=0\)"):
        evaluate(net, few(0))
    with pytest.raises(ValueError, match=r"evaluate: .* \(images=4, labels=3\)"):
        evaluate(net, (few(4).images, few(3).labels))
    with pytest.raises(ValueError, match=r"predict: .* \(batch_size=0\)"):
        predict(net, few(4).images, 0)


def test_inference_leaves_each_layer_as_it_was() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    net[1].eval()
    with inference(net):
        assert not any(module.training for module in net.modules())
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert [module.training for module in net.modules()] == [True, True, False]


@pytest.mark.parametrize("schedule", [constant, cosine, one_cycle])
def test_schedules(schedule: object) -> None:
    values = [schedule(done / 100) for done in range(101)]  # type: ignore[operator]
    assert max(values) == 1.0
    assert min(values) >= 0.0
    if schedule is cosine:
        assert values[0] == 1.0
        assert math.isclose(values[50], 0.5)
    if schedule is one_cycle:
        assert math.isclose(values[0], 0.04)
        assert values.index(1.0) == 20
        assert sorted(values[20:], reverse=True) == values[20:]
    if schedule is not constant:
        assert values[100] < 1e-12
