"""`fastconv finetune`: from folders of pictures to a table and a report."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")
pytest.importorskip("PIL", reason="pictures need pillow")
pytest.importorskip("fastconv._core", reason="fastconv is not built")

import commands
from fastconv.models import resnet20
from pictures_on_disk import write_folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colours")
    write_folders(root, train=8, val=4, noise=120)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(path, **resnet20().state_dict())
    return path


def run(*arguments: object) -> commands.Result:
    return commands.run("finetune", *arguments)


def test_three_starts(tmp_path: Path, folders: Path, weights: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need matplotlib")
    report, best = tmp_path / "report.html", tmp_path / "best.npz"
    result = run(
        *("resnet20", "--data", folders, "--weights", weights, "--epochs", 2, "--batch-size", 8),
        *("--size", 16, "--threads", 1, "--report", report, "--save", best),
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == ("resnet20, pictures of 16x16: 16 to learn from, 8 to test on, 2 classes")
    names = ["scratch", "frozen", "fine-tuned"]
    assert [line for line in lines if line in names] == names
    table = [line for line in lines if re.fullmatch(r"[\w-]+ +\d+.\d% +\d+.\d% +\d+.\d s", line)]
    assert [row.split()[0] for row in table] == names
    assert lines[-1] == f"report saved as {report}"
    assert "data:image/png" in report.read_text(encoding="utf-8")
    with np.load(best) as arrays:
        resnet20(2).load_state_dict(arrays)
    assert f"saved as {best}" in lines[-2]


def test_without_weights(folders: Path) -> None:
    result = run("resnet20", "--data", folders, "--epochs", 1, "--size", 16)
    assert result.exit_code == 0, result.output
    assert "no --weights: only from scratch" in result.output
    assert "\nscratch " in result.output and "frozen  " not in result.output


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["resnet21"], r"no such network: 'resnet21'"),
        (["lenet5"], r"lenet5 takes pictures of 1 channel"),
        (["resnet20", "--weights", "absent.npz"], r"'absent.npz' does not exist"),
        (["resnet20", "--size", "4"], r"--size"),
        (["resnet20", "--report", "report.txt"], r"must end in .png or .pdf or .svg or .html"),
    ],
)
def test_mistakes(folders: Path, arguments: list[str], rule: str) -> None:
    result = run(*arguments, "--data", folders)
    assert result.exit_code != 0
    assert re.search(rule, result.output)
    assert isinstance(result.exception, SystemExit)  # no traceback


def test_wrong_weights_and_layers(folders: Path, weights: Path) -> None:
    result = run("resnet32", "--data", folders, "--weights", weights)
    assert "Error: load_state_dict: the keys must fit CifarResNet" in result.output
    result = run("resnet20", "--data", folders, "--weights", weights, "--freeze", "layer9")
    assert "Error: freeze: names must be" in result.output
    assert "near=layer" in result.output


def test_no_class_folders(tmp_path: Path) -> None:
    assert "Error: " in run("resnet20", "--data", tmp_path).output
