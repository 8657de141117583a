"""The training loop: it learns, it repeats itself, and it says what it did."""

from __future__ import annotations

import importlib
import math
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import nn, optim
from fastconv.autograd import Tensor, is_grad_enabled, ops, use_backend
from fastconv.data import ArrayDataset, Digits, Loader, PictureError, mnist, random_shift
from fastconv.train import constant, cosine, evaluate, fit, inference, one_cycle, predict
from trainings import At, Recorder, few, same_history, same_weights, small_net


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


@pytest.mark.parametrize(
    "make",
    [
        lambda net: optim.SGD(net.parameters(), lr=0.3, momentum=0.9, weight_decay=5e-4),
        lambda net: optim.Adam(net.parameters(), lr=0.3),
    ],
)
def test_an_optimizer_of_ones_own(make: Callable[[nn.Module], optim.Optimizer]) -> None:
    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "seed": 1, "progress": False}
    with use_backend("reference"):
        net, other = small_net(), small_net()
        optimizer = make(net)
        history = fit(net, few(8), optimizer=optimizer, **options)
        assert history.lr == [0.3 * one_cycle(step / 4) for step in range(4)]
        assert optimizer.param_groups[0]["lr"] == history.lr[-1]
        assert len(optimizer.state) == 4
        default = fit(other, few(8), lr=0.3, **options)
    if isinstance(optimizer, optim.SGD):
        same_history(history, default)
        same_weights(net, other)
    else:
        assert history.loss != default.loss


def test_groups_keep_their_own_rates() -> None:
    net = small_net()
    optimizer = optim.SGD(optim.layer_groups(net, {"4": 0.5}, lr=0.1))
    with use_backend("reference"):
        fit(net, few(8), epochs=2, batch_size=4, optimizer=optimizer, progress=False)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [0.5 * one_cycle(0.75), 0.1 * one_cycle(0.75)]


def test_gradients_are_clipped() -> None:
    moved = {}
    for limit in (None, 1e-3):
        net = small_net()
        before = [parameter.data.copy() for parameter in net.parameters()]
        with use_backend("reference"):
            fit(
                net, few(8), epochs=1, batch_size=8, lr=1.0, momentum=0.0, weight_decay=0.0,
                schedule=constant, clip_grad_norm=limit, progress=False,
            )  # fmt: skip
        steps = [
            np.square(parameter.data - start).sum()
            for parameter, start in zip(net.parameters(), before, strict=True)
        ]
        moved[limit] = math.sqrt(sum(steps))
    assert moved[None] > 0.1
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-3)  # one step of the clipped gradient


def test_accuracy_is_the_averages(digits: tuple[Digits, Digits]) -> None:
    net = small_net()
    ema = optim.EMA(net, 0.9)
    train, test = digits
    with use_backend("reference"):
        history = fit(net, train, test, epochs=1, lr=0.2, ema=ema, progress=False)
        assert ema.updates == history.steps
        with ema.applied():
            assert history.accuracy == [evaluate(net, test)]
        assert history.accuracy != [evaluate(net, test)]


def test_loaders_and_datasets(backend: str) -> None:
    images, labels = few(10)
    pixels = np.rint(images * 255).astype(np.uint8)
    options: dict[str, Any] = {"epochs": 2, "progress": False}
    histories = []
    for train, val in (
        ((pixels, labels), (pixels, labels)),
        (ArrayDataset(pixels, labels), ArrayDataset(pixels, labels)),
        (Loader((pixels, labels), 4, shuffle=True, seed=3), Loader((pixels, labels), 3)),
    ):
        own = {} if isinstance(train, Loader) else {"batch_size": 4, "seed": 3}
        net = small_net()
        histories.append(fit(net, train, val, **own, **options))
        assert histories[-1].accuracy[-1] == evaluate(net, val)
    same_history(histories[0], histories[1])
    same_history(histories[0], histories[2])


def test_every_picture_counts_once(backend: str) -> None:
    history = fit(small_net(), few(10), epochs=2, batch_size=4, lr=0.0, progress=False)
    assert history.train_accuracy[0] == history.train_accuracy[1] == evaluate(small_net(), few(10))
    assert history.train_loss[0] == pytest.approx(sum(history.loss[:3]) / 3)
    assert min(history.images_per_second) > 0


def test_a_loss_of_ones_own(backend: str) -> None:
    seen: list[tuple[int, ...]] = []

    def loss(output: Tensor, labels: np.ndarray) -> Tensor:
        seen.append(labels.shape)
        return ops.cross_entropy(output, labels)

    fit(small_net(), few(6), epochs=1, batch_size=4, loss=loss, progress=False)
    assert seen == [(4,), (2,)]


def test_auxiliary_heads(backend: str) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            self.main = small_net()
            self.auxiliary = small_net(1)

        def forward(self, x: Tensor) -> Any:
            return (self.main(x), self.auxiliary(x)) if self.training else self.main(x)

    def loss(output: tuple[Tensor, Tensor], labels: np.ndarray) -> Tensor:
        main, auxiliary = (ops.cross_entropy(head, labels) for head in output)
        return main + auxiliary * 0.3

    net = Heads()
    before = net.auxiliary[0].weight.data.copy()
    options: dict[str, Any] = {"epochs": 1, "batch_size": 4, "loss": loss, "progress": False}
    history = fit(net, few(8), few(8), lr=0.0, **options)
    assert history.train_accuracy == history.accuracy == [evaluate(small_net(), few(8))]
    fit(net, few(8), **options)
    assert (net.auxiliary[0].weight.data != before).any()


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
    assert re.fullmatch(
        r"epoch 2/2  loss \d\.\d{4}  train [\d.]+%  val [\d.]+%  [\d,]+ images/s", lines[1]
    )


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with use_backend("reference"):
        fit(small_net(), few(8), few(8), epochs=2, batch_size=4)
    out = capsys.readouterr().out
    shown = [line.strip() for line in re.split(r"[\r\n]", out) if line.strip()]
    assert re.fullmatch(
        r"epoch 2/2: 100%\|.*\| 00:\d\d<00:00, loss \d\.\d{3} train [\d.]+% val [\d.]+% "
        r"[\d,]+ images/s",
        shown[-1],
    )
    assert max(map(len, shown)) <= 80
    assert shown[0].startswith("epoch 1/2:   0%|")


def test_nothing_is_shown_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with use_backend("reference"):
        fit(small_net(), few(8), epochs=1, progress=False)
    assert capsys.readouterr() == ("", "")


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
    with pytest.raises(ValueError, match=r"fit: there must be pictures \(pictures=0\)"):
        fit(net, few(0))
    with pytest.raises(ValueError, match=r"fit: there must be pictures \(pictures=0\)"):
        fit(net, few(), few(0))
    with pytest.raises(ValueError, match=r"fit: epochs must be at least 1 \(epochs=0\)"):
        fit(net, few(), epochs=0)
    with pytest.raises(ValueError, match=r"fit: .*batch_size=0\)"):
        fit(net, few(), batch_size=0)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"fit: an optimizer has options .* \(lr=0.1\)"):
        fit(net, few(), lr=0.1, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"\(momentum=0.5, weight_decay=0\)"):
        fit(net, few(), momentum=0.5, weight_decay=0, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"fit: a loader .* \(batch_size=4, seed=1\)"):
        fit(net, Loader(few()), batch_size=4, seed=1)
    with pytest.raises(ValueError, match=r"fit: a loader .* \(augment=random_shift\)"):
        fit(net, Loader(few()), augment=random_shift)
    with pytest.raises(ValueError, match=r"fit: the loader must have batches \(batches=0\)"):
        fit(net, Loader(few(3), 4, drop_last=True))
    with pytest.raises(ValueError, match=r"fit: .* \(clip_grad_norm=0\)"):
        fit(net, few(), clip_grad_norm=0)
    with pytest.raises(ValueError, match=r"fit: .* \(seed=-1\)"):
        fit(net, few(), seed=-1)
    with pytest.raises(ValueError, match=r"fit: ema must be the average of the network"):
        fit(net, few(), ema=optim.EMA(small_net()))
    with pytest.raises(ValueError, match=r"one label for each picture \(images=32, labels=\(31,\)"):
        fit(net, (few().images, few().labels[1:]), progress=False)


def test_something_must_learn() -> None:
    net = small_net()
    net.freeze()
    with pytest.raises(ValueError, match=r"fit: net must have a parameter that learns"):
        fit(net, few())


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"epochs": 1.5}, r"fit: epochs must be an integer \(epochs=1.5\)"),
        ({"batch_size": "a"}, r"fit: batch_size must be an integer \(batch_size='a'\)"),
        ({"seed": 0.5}, r"fit: seed must be an integer"),
        ({"optimizer": "adam"}, r"fit: optimizer must be one, .*\(optimizer='adam'\)"),
        ({"callbacks": Recorder()}, r"fit: callbacks must be a list"),
        ({"callbacks": [Recorder]}, r"fit: callbacks must be a list"),
        ({"schedule": "cosine"}, r"fit: schedule must be a function \(schedule='cosine'\)"),
        ({"loss": None}, r"fit: loss must be a function \(loss=None\)"),
        ({"clip_grad_norm": "a"}, r"fit: clip_grad_norm must be a number"),
        ({"train": None}, r"fit: dataset must be .*type=NoneType"),
        ({"train": np.zeros((4, 1, 28, 28), np.float32)}, r"fit: dataset must be .*type=ndarray"),
        ({"net": nn.Linear}, r"fit: net must be a network, an nn.Module \(net=Linear\)"),
    ],
)
def test_arguments_of_another_kind(options: dict[str, Any], rule: str) -> None:
    net, train = options.pop("net", small_net()), options.pop("train", few(4))
    with pytest.raises(TypeError, match=rule):
        fit(net, train, **options)


def test_validation_pictures_of_another_size_are_known_before_the_first_step() -> None:
    net, recorder = small_net(), Recorder()
    narrow = np.zeros((2, 1, 20, 20), np.float32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="linear: the last axis of x must be in_features"):
        fit(net, few(4), narrow, callbacks=[recorder], progress=False)
    assert recorder.calls == []
    assert all(layer.training for layer in net.modules())


def test_the_optimizer_must_be_the_networks() -> None:
    net = small_net()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net.replace_head(3)
    before = {name: array.copy() for name, array in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"after replace_head \(parameters=4, of others=2\)"):
        fit(net, few(4), optimizer=optimizer)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("cache", [False, True])
def test_batches_without_a_readable_picture_are_passed_over(tmp_path: Path, cache: bool) -> None:
    """The training is that on the others, and goes on bit for bit from within such an epoch."""
    pytest.importorskip("safetensors")

    def run(path: Path, **options: Any) -> nn.Module:
        net = small_net()
        if cache:
            net.freeze(until="4")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            history = fit(
                net, Loader(Torn(), 1, on_error="skip"), Loader(Torn(), 1, on_error="skip"),
                epochs=2, checkpoint=path, progress=False, cache_features=cache, **options,
            )  # fmt: skip
        if not history.interrupted:
            assert history.steps == 4
            assert len(history.accuracy) == 2
            np.testing.assert_allclose(history.train_loss[1], np.mean(history.loss[2:]), rtol=1e-6)
        return net

    whole = run(tmp_path / "whole.safetensors")
    if not cache:
        run(tmp_path / "part.safetensors", callbacks=[At(3, _press)])
        same_weights(run(tmp_path / "part.safetensors", resume=True), whole)


def _press(_: object) -> None:
    signal.raise_signal(signal.SIGINT)


class Torn:
    """Three pictures, of which the second cannot be read."""

    labels = np.array([3, 4, 5])
    classes = None

    def __len__(self) -> int:
        return 3

    def read(self, index: int) -> np.ndarray:
        if index == 1:
            raise PictureError(f"picture{index}")
        return np.random.default_rng(index).integers(0, 256, (28, 28, 1), np.uint8)


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
    with pytest.raises(ValueError, match=r"one label for each picture .*labels=\(10, 1\)"):
        evaluate(net, (images, labels[:, None]))
    with pytest.raises(TypeError, match="labels must be integers"):
        evaluate(net, (images, labels.astype(np.float32)))
    assert predict(net, images[:0]).shape == (0,)


def test_evaluate_bad_arguments() -> None:
    net = small_net()
    with pytest.raises(ValueError, match=r"evaluate: there must be pictures \(pictures=0\)"):
        evaluate(net, few(0))
    with pytest.raises(ValueError, match=r"one label for each picture \(images=4, labels=\(3,\)"):
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
