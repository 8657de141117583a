"""Logs: whole lines, continued by a resumed training."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastconv.autograd import use_backend
from fastconv.train import Callback, CSVLog, JSONLog, TensorBoardLog, fit
from trainings import At, few, small_net

STEPS = 3  # of an epoch


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    with use_backend("reference"):
        yield


def train(*callbacks: Callback, **options: Any) -> Any:
    options = {"epochs": 2, "batch_size": 4, "progress": False, **options}
    return fit(small_net(), few(10), callbacks=callbacks, **options)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("of an earlier training")
    history = train(CSVLog(path), val=few(4))
    first, second = rows(path)
    assert (first["epoch"], first["step"], second["epoch"], second["step"]) == ("1", "3", "2", "6")
    assert float(second["loss"]) == pytest.approx(sum(history.loss[3:]) / 3, rel=1e-15)
    assert [float(row["accuracy"]) for row in (first, second)] == history.accuracy
    assert [float(row["train_accuracy"]) for row in (first, second)] == history.train_accuracy
    assert float(second["lr"]) == history.lr[-1]
    train(CSVLog(path))
    assert [row["accuracy"] for row in rows(path)] == ["", ""]


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    history = train(JSONLog(path, every=2))
    found = records(path)
    assert [record["step"] for record in found] == [2, 3, 4, 6, 6]
    assert [record.get("epoch") for record in found] == [None, 1, None, None, 2]
    assert found[0] == {"step": 2, "loss": history.loss[1], "lr": history.lr[1]}
    assert found[-1]["accuracy"] is None
    assert found[-1]["loss"] == history.train_loss[-1]


def test_resumed_logs_have_each_line_once(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    paths = [tmp_path / "log.csv", tmp_path / "log.jsonl"]
    logs = [CSVLog(paths[0]), JSONLog(paths[1], every=1)]
    options = {"checkpoint": tmp_path / "run.safetensors", "epochs": 3}

    def crash(_: object) -> None:
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):  # the checkpoint is that of the first epoch
        train(*logs, At(5, crash), **options)
    for path in paths:
        with open(path, "a") as file:
            file.write('{"step": 6, "lo')  # as a machine leaves it that loses its power
    train(*logs, resume=True, **options)
    assert [row["step"] for row in rows(paths[0])] == ["3", "6", "9"]
    steps = [record["step"] for record in records(paths[1]) if "epoch" not in record]
    assert steps == list(range(1, 10))
    assert [record["epoch"] for record in records(paths[1]) if "epoch" in record] == [1, 2, 3]


def test_a_log_of_another_kind_is_not_continued(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path, options = tmp_path / "log", {"checkpoint": tmp_path / "run.safetensors"}
    path.write_text("shopping list\nbread\n")
    train(epochs=1, **options)
    for log in (CSVLog(path), JSONLog(path)):
        name = type(log).__name__
        with pytest.raises(ValueError, match=rf"{name}: the log to continue .*file=.*shopping"):
            train(log, epochs=2, resume=True, **options)
    assert path.read_text() == "shopping list\nbread\n"


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"CSVLog: .* in an existing folder \(file=.*absent"):
        CSVLog(tmp_path / "absent" / "log.csv")
    with pytest.raises(ValueError, match=r"JSONLog: .* in an existing folder"):
        JSONLog(tmp_path)
    with pytest.raises(ValueError, match=r"JSONLog: .* \(every=0\)"):
        JSONLog(tmp_path / "log.jsonl", every=0)
    with pytest.raises(ValueError, match=r"TensorBoardLog: .* \(every=0\)"):
        TensorBoardLog(tmp_path, every=0)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read curves as TensorBoard itself does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


@pytest.mark.parametrize("package", ["tensorboard", "tensorboardX"])
def test_tensorboard(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors")
    pytest.importorskip("tensorboard")
    if package == "tensorboardX":
        pytest.importorskip("tensorboardX")
        monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    folder = tmp_path / "curves"
    log, options = TensorBoardLog(folder), {"checkpoint": tmp_path / "run.safetensors"}
    stop = At(5, lambda state: setattr(state, "stop", True))
    train(stop, log, val=few(4), **options)
    (tmp_path / "run.safetensors").unlink()
    history = train(log, val=few(4), **options)
    monkeypatch.undo()
    curves = scalars(folder)
    assert set(curves) == {"loss", "lr", "train_accuracy", "accuracy", "images_per_second"}
    assert [step for step, _ in curves["loss"]] == list(range(1, 7))
    assert [value for _, value in curves["loss"]] == pytest.approx(history.loss, rel=1e-6)
    assert [step for step, _ in curves["accuracy"]] == [3, 6]


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "tensorboardX"):
        for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"TensorBoardLog: .*: pip install tensorboard"):
        TensorBoardLog(tmp_path)
