"""Callbacks: when they are called, and what they may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastconv.autograd import use_backend
from fastconv.train import (
    Callback,
    CheckpointBest,
    EarlyStopping,
    History,
    State,
    fit,
    load_checkpoint,
)
from trainings import At, Recorder, few, small_net


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    with use_backend("reference"):
        yield


def test_order() -> None:
    recorder = Recorder()
    fit(small_net(), few(6), epochs=2, batch_size=4, callbacks=[recorder], progress=False)
    assert recorder.calls == [
        ("start", 0, 0),
        *[("step", 0, 1), ("step", 0, 2), ("epoch", 1, 0)],
        *[("step", 1, 1), ("step", 1, 2), ("epoch", 2, 0)],
        ("end", 2, 0),
    ]


def test_the_state_shows_the_training() -> None:
    net, seen = small_net(), []

    class Look(Callback):
        def on_epoch(self, state: State) -> None:
            assert state.net is net
            assert (state.epochs, state.steps_per_epoch, state.validation) == (1, 2, True)
            assert state.optimizer.param_groups[0]["lr"] == state.history.lr[-1]
            seen.append(list(state.history.accuracy))

    history = fit(net, few(6), few(6), epochs=1, batch_size=4, callbacks=[Look()], progress=False)
    assert seen == [history.accuracy]


@pytest.mark.parametrize(("step", "epochs"), [(1, 0), (2, 1), (3, 1)])
def test_stop(step: int, epochs: int) -> None:
    recorder = Recorder()
    stop = At(step, lambda state: setattr(state, "stop", True))
    history = fit(
        small_net(), few(6), epochs=3, batch_size=4, callbacks=[stop, recorder], progress=False
    )
    assert (history.steps, history.epochs) == (step, epochs)
    assert recorder.calls[-1][0] == "end"
    assert not history.interrupted


def test_the_end_comes_after_errors_too() -> None:
    recorder = Recorder()

    def fail(_: State) -> None:
        raise RuntimeError("a callback failed")

    with pytest.raises(RuntimeError, match="a callback failed"):
        fit(small_net(), few(8), callbacks=[recorder, At(1, fail)], progress=False)
    assert recorder.calls[-1] == ("end", 0, 1)


def watched(accuracy: list[float], patience: int, min_delta: float = 0.0) -> int:
    """Return after how many epochs early stopping ends a training of such accuracies."""
    net = small_net()
    state = State(net, None, History(), 99, 1, validation=True)  # type: ignore[arg-type]
    stopping = EarlyStopping(patience, min_delta=min_delta)
    stopping.on_start(state)
    for value in accuracy:
        state.history.accuracy.append(value)
        stopping.on_epoch(state)
        if state.stop:
            resumed = State(net, None, state.history, 99, 1, validation=True)  # type: ignore[arg-type]
            EarlyStopping(patience, min_delta=min_delta).on_start(resumed)
            assert resumed.stop
            break
    return len(state.history.accuracy)


@pytest.mark.parametrize(
    ("accuracy", "patience", "min_delta", "epochs"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1, 0.0, 4),
        ([0.1, 0.2, 0.2, 0.4], 1, 0.0, 3),
        ([0.5, 0.4, 0.45, 0.6, 0.5, 0.5], 2, 0.0, 3),
        ([0.5, 0.4, 0.45, 0.6, 0.5, 0.5, 0.5, 0.7], 3, 0.0, 7),
        ([0.5, 0.52, 0.54, 0.56], 2, 0.1, 3),
        ([0.5, 0.56, 0.62, 0.68, 0.74], 2, 0.1, 5),
    ],
)
def test_early_stopping(
    accuracy: list[float], patience: int, min_delta: float, epochs: int
) -> None:
    assert watched(accuracy, patience, min_delta) == epochs


def test_early_stopping_of_a_loss() -> None:
    history = fit(
        small_net(), few(8), epochs=9, batch_size=4, schedule=lambda done: 0.0,
        callbacks=[EarlyStopping(2, "train_loss", min_delta=1.0)], progress=False,
    )  # fmt: skip
    assert history.epochs == 3


def test_checkpoint_best(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path, best = tmp_path / "best.safetensors", []

    class Look(Callback):
        def on_epoch(self, state: State) -> None:
            best.append(load_checkpoint(path).epoch)

    history = fit(
        small_net(), few(16), few(16), epochs=6, batch_size=4,
        callbacks=[CheckpointBest(path), Look()], progress=False,
    )  # fmt: skip
    assert best == [
        history.accuracy.index(max(history.accuracy[: epoch + 1])) + 1 for epoch in range(6)
    ]
    assert load_checkpoint(path).history.accuracy == history.accuracy[: best[-1]]


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"EarlyStopping: metric .* \(metric='speed'\)"):
        EarlyStopping(1, "speed")
    with pytest.raises(ValueError, match=r"EarlyStopping: .* \(patience=0\)"):
        EarlyStopping(0)
    with pytest.raises(ValueError, match=r"EarlyStopping: .* \(min_delta=-1\)"):
        EarlyStopping(1, min_delta=-1)
    with pytest.raises(ValueError, match=r"CheckpointBest: .* in an existing folder .*/a"):
        CheckpointBest(tmp_path / "none" / "a.safetensors")
    for callback in (EarlyStopping(1), CheckpointBest(tmp_path / "best.safetensors")):
        name = type(callback).__name__
        with pytest.raises(ValueError, match=rf"{name}: .* \(metric='accuracy', val=None\)"):
            fit(small_net(), few(8), callbacks=[callback], progress=False)
