"""A resumed training is the uninterrupted one, bit for bit; with other settings it is refused."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv.random
from fastconv import nn, optim
from fastconv.autograd import ops, use_backend
from fastconv.data import Loader, RandomCrop, random_shift
from fastconv.models import lenet5
from fastconv.train import (
    EarlyStopping,
    constant,
    cosine,
    evaluate,
    fit,
    load_checkpoint,
    one_cycle,
)
from trainings import At, digits, few, full_net, same_history, same_weights, small_net

pytest.importorskip("safetensors")

OPTIMIZERS: dict[str, Callable[[nn.Module], Any]] = {
    "SGD": lambda net: optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda net: optim.Adam(net.parameters(), lr=2e-3),
    "AdamW": lambda net: optim.AdamW(optim.decay_groups(net, 0.1), lr=2e-3, betas=(0.8, 0.99)),
}
STEPS = 5  # of an epoch


def press(_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def lenet(seed: int) -> nn.Module:
    fastconv.random.manual_seed(seed)
    return lenet5()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("build", [lenet, full_net])
def test_bit_for_bit(
    build: Callable[[int], nn.Module], name: str, backend: str, tmp_path: Path
) -> None:
    if backend == "native":
        pytest.importorskip("fastconv._core", reason="fastconv is not built")
    path = tmp_path / "run.safetensors"
    train, val = digits(77), digits(40)

    def run(seed: int, *callbacks: Any, **options: Any) -> tuple[nn.Module, Any]:
        net = build(seed)
        history = fit(
            net,
            train,
            val,
            epochs=3,
            batch_size=16,
            optimizer=OPTIMIZERS[name](net),
            ema=optim.EMA(net, 0.9) if name == "AdamW" else None,
            augment=random_shift,
            clip_grad_norm=2.0,
            callbacks=callbacks,
            progress=False,
            **options,
        )
        return net, history

    with use_backend(backend):
        whole, expected = run(0)
        after = fastconv.random.generator().random(4)
        _, history = run(0, At(2, press), checkpoint=path)
        assert (history.interrupted, history.steps) == (True, 2)
        for step in (STEPS, STEPS + 3, 2 * STEPS + 4):  # also at the end of an epoch
            _, history = run(step, At(step, press), checkpoint=path, resume=True)
            assert (history.interrupted, history.steps) == (True, step)
        net, history = run(99, checkpoint=path, resume=True)
        np.testing.assert_array_equal(fastconv.random.generator().random(4), after)
        if name != "AdamW":  # there it is the average's
            assert evaluate(net, val) == expected.accuracy[-1]
    assert not history.interrupted
    assert len(history.images_per_second) == 3
    same_history(history, expected)
    same_weights(net, whole)


@pytest.fixture
def reference() -> Iterator[None]:
    with use_backend("reference"):
        yield


@pytest.fixture
def interrupted(tmp_path: Path, reference: None) -> Path:
    """The checkpoint of a training of 2 epochs, interrupted in the second."""
    path = tmp_path / "run.safetensors"
    history = fit(
        small_net(), few(20), epochs=2, batch_size=4, checkpoint=path, seed=1,
        callbacks=[At(7, press)], progress=False,
    )  # fmt: skip
    assert history.interrupted
    return path


def resume(path: Path, net: nn.Module | None = None, **options: Any) -> Any:
    options = {"epochs": 2, "batch_size": 4, "progress": False, **options}
    return fit(
        net or small_net(5), options.pop("train", few(20)), checkpoint=path, resume=True, **options
    )


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"batch_size": 5}, r"steps_per_epoch=4 but saved=5, batch_size=5 but saved=4"),
        ({"train": few(19)}, r"pictures=19 but saved=20"),
        ({"seed": 2}, r"seed=2 but saved=1"),
        ({"lr": 0.2}, r"groups=.*'lr': 0.2.* but saved=.*'lr': 0.1"),
        ({"momentum": 0.5}, r"groups=.*'momentum': 0.5"),
        ({"clip_grad_norm": 1.0}, r"clip_grad_norm=1.0 but saved=None"),
        ({"schedule": cosine}, r"schedule=cosine but saved=one_cycle"),
        ({"schedule": partial(cosine, end=0.1)}, r"schedule=cosine\(end=0.1\) but saved=one_cycle"),
        ({"loss": ops.mean}, r"loss=mean but saved=cross_entropy"),
        ({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, r"loss=CrossEntropyLoss\(.*ing=0.1\)"),
        ({"augment": random_shift}, r"transform=random_shift but saved=None"),
        ({"epochs": 1}, r"epochs must not be below those begun before .*epochs=1, begun=2"),
        ({"net": small_net(5, channels=9)}, r"load_checkpoint: the network must have the shapes"),
    ],
)
def test_other_settings_are_refused(interrupted: Path, options: dict[str, Any], rule: str) -> None:
    content = interrupted.read_bytes()
    net = options.pop("net", None) or small_net(5)
    before = {name: array.copy() for name, array in net.state_dict().items()}
    with pytest.raises(ValueError, match=rf"{rule}") as caught:
        resume(interrupted, net, **options)
    assert f"file={interrupted}" in str(caught.value)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert interrupted.read_bytes() == content


def test_another_transform_is_refused(tmp_path: Path, reference: None) -> None:
    path = tmp_path / "run.safetensors"

    def run(padding: int, **options: Any) -> None:
        crop = RandomCrop(28, padding=padding)
        pixels = np.zeros((8, 1, 28, 28), np.uint8)
        train = Loader((pixels, np.arange(8)), 4, transform=crop)
        fit(small_net(), train, epochs=2, checkpoint=path, progress=False, **options)

    run(2)
    with pytest.raises(ValueError, match=r"transform=RandomCrop.*padding=4.*but saved=RandomCrop"):
        run(4, resume=True)


def test_the_seed_may_be_left_out(interrupted: Path) -> None:
    assert resume(interrupted).steps == 10
    assert resume(interrupted, seed=1).steps == 10  # there is nothing left to do


def test_a_drawn_seed_is_found_again(tmp_path: Path, reference: None) -> None:
    path = tmp_path / "run.safetensors"
    whole = fit(small_net(), few(20), epochs=2, batch_size=4, progress=False)
    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "checkpoint": path, "progress": False}
    fit(small_net(), few(20), callbacks=[At(3, press)], **options)
    same_history(fit(small_net(7), few(20), resume=True, **options), whole)


def test_more_epochs_bend_the_schedule(interrupted: Path) -> None:
    history = resume(interrupted, epochs=4)
    expected = [0.1 * one_cycle(step / 10) for step in range(7)]
    assert history.lr == [*expected, *(0.1 * one_cycle(step / 20) for step in range(7, 20))]


def test_without_a_file_it_starts(tmp_path: Path, reference: None) -> None:
    path = tmp_path / "run.safetensors"
    assert resume(path).steps == 10
    assert load_checkpoint(path).epoch == 2


def test_a_damaged_file_is_not_overwritten(interrupted: Path) -> None:
    content = interrupted.read_bytes()[:-1]
    interrupted.write_bytes(content)
    with pytest.raises(ValueError, match="load_checkpoint: the file must be a whole"):
        resume(interrupted)
    assert interrupted.read_bytes() == content


def test_what_stopped_early_stays_stopped(tmp_path: Path, reference: None) -> None:
    path = tmp_path / "run.safetensors"
    options: dict[str, Any] = {
        "epochs": 9, "schedule": constant, "lr": 0.0,
        "callbacks": [EarlyStopping(2, "train_accuracy")],
    }  # fmt: skip
    first = resume(path, small_net(), **options)
    assert first.epochs < 9
    same_history(resume(path, small_net(), **options), first)
    assert resume(path, small_net(), **{**options, "callbacks": []}).epochs == 9


def test_loaders_and_lengthened_time(tmp_path: Path, reference: None) -> None:
    path = tmp_path / "run.safetensors"

    def run(**options: Any) -> tuple[nn.Module, Any]:
        net = full_net()
        train = Loader(few(22), 4, shuffle=True, seed=3, transform=random_shift)
        val = Loader(few(10), 3)
        return net, fit(net, train, val, epochs=2, progress=False, **options)

    whole, expected = run()
    _, part = run(checkpoint=path, callbacks=[At(8, press)])
    net, history = run(checkpoint=path, resume=True)
    same_history(history, expected)
    same_weights(net, whole)
    assert history.seconds > part.seconds > 0
