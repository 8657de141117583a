"""Ctrl-C: the first finishes the step and saves, the second interrupts."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastconv.autograd import use_backend
from fastconv.train import State, fit, load_checkpoint
from trainings import At, Recorder, few, small_net

STEPS = 3  # of an epoch


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    with use_backend("reference"):
        yield


@pytest.fixture(autouse=True)
def handler_is_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler
    yield
    assert signal.getsignal(signal.SIGINT) is before


def press(_: object = None) -> None:
    signal.raise_signal(signal.SIGINT)


def train(*callbacks: Any, **options: Any) -> Any:
    options = {"epochs": 3, "batch_size": 4, "progress": False, **options}
    return fit(small_net(), few(12), callbacks=callbacks, **options)


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2])
def test_the_first_finishes_and_saves(
    step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors")
    path, recorder = tmp_path / "run.safetensors", Recorder()
    history = train(At(step, press), recorder, checkpoint=path)
    assert history.interrupted
    assert history.steps == step
    assert recorder.calls[-1][0] == "end"
    epoch, rest = divmod(step, STEPS)
    if rest == 0:  # before validation
        epoch, rest = epoch - 1, STEPS
    saved = load_checkpoint(path)
    assert (saved.epoch, saved.step, saved.history.steps) == (epoch, rest, step)
    assert not saved.history.interrupted
    assert capsys.readouterr().err == (
        f"fit: interrupted after {epoch} of 3 epochs and {rest} of 3 steps; "
        f"saved as {path}, to be resumed\n"
    )


def test_without_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(At(2, press)).interrupted
    assert capsys.readouterr().err.endswith("3 steps; nothing was saved (checkpoint=None)\n")


def test_the_second_interrupts() -> None:
    def twice(_: State) -> None:
        press()
        press()

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(recorder, At(2, twice))
    assert recorder.calls[-1] == ("end", 0, 2)


def test_in_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors")
    evaluate: Any = importlib.import_module("fastconv.train.evaluate")
    path, calls, real = tmp_path / "run.safetensors", [], evaluate.predict

    def predict(*arguments: Any) -> Any:
        calls.append(arguments)
        press()
        return real(*arguments)

    monkeypatch.setattr(evaluate, "predict", predict)
    history = train(val=few(600), checkpoint=path)
    assert history.interrupted
    assert len(calls) == 1  # of three batches
    assert history.accuracy == history.train_accuracy == []
    assert (load_checkpoint(path).epoch, load_checkpoint(path).step) == (0, STEPS)
    monkeypatch.undo()
    history = train(val=few(600), checkpoint=path, resume=True)
    assert history.epochs == len(history.accuracy) == 3
    assert not history.interrupted


def test_handlers_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    signal.signal(signal.SIGINT, lambda *_: calls.append("theirs"))
    try:
        history = train(At(2, press))
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert calls == ["theirs"]
    assert not history.interrupted
    assert history.epochs == 3


def test_other_threads_train_without_it() -> None:
    found: list[Any] = []

    def work() -> None:
        with use_backend("reference"):
            look = At(1, lambda _: found.append(signal.getsignal(signal.SIGINT)))
            found.append(train(look))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] is signal.default_int_handler
    assert found[1].epochs == 3


def test_the_bar_is_closed_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    train(At(2, press), progress=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("fit: interrupted after 0 of 3 epochs")
