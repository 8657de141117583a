"""`fastconv finetune`: from folders of pictures to a table and a report."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")
pytest.importorskip("PIL", reason="pictures need pillow")
pytest.importorskip("fastconv._core", reason="fastconv is not built")

import commands
from fastconv import models, nn, zoo
from fastconv.data import Preset
from fastconv.models import resnet20
from fastconv.train import folder_loaders
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
    assert lines[1].startswith("pictures enter as RGB, 16x16 cut out of 18, mean (123.675, ")
    assert lines[1].endswith(", ImageNet's, for want of a preset in weights.npz")
    assert "data:image/png" in report.read_text(encoding="utf-8")
    with np.load(best) as arrays:
        resnet20(2).load_state_dict(arrays)
    assert f"saved as {best}" in lines[-2]


@pytest.fixture(scope="module")
def bgr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose pictures are BGR from 0 to 255."""
    path = tmp_path_factory.mktemp("weights") / "bgr.safetensors"
    net = resnet20()
    net.preset = Preset.caffe(24, None)
    zoo.save(net, path, license="MIT")
    return path


def test_the_saved_network_predicts(
    tmp_path: Path, folders: Path, bgr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    if importlib.util.find_spec("matplotlib") is not None:
        monkeypatch.setattr(
            "fastconv.plots.finetune_sheet", lambda *args, **options: drawn.append(options)
        )
        report: list[Any] = ["--report", tmp_path / "report.png"]
    else:
        report = []
    tuned = tmp_path / "tuned.safetensors"
    result = run(
        *("resnet20", "--data", folders, "--weights", bgr, "--epochs", 3, "--batch-size", 4),
        *("--threads", 1, "--save", tuned, *report),
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("resnet20, pictures of 24x24: ")  # the size of the weights
    assert lines[1] == (
        "pictures enter as BGR, 24x24 cut out of 27, mean (103.939, 116.779, 123.68), "
        "scale (1.0, 1.0, 1.0), as in bgr.safetensors"
    )
    net = zoo.load(tuned)
    assert net.preset == Preset.caffe(24, 27)
    assert net.classes == ("green", "red")
    assert net.architecture == ("resnet20", {"num_classes": 2})
    (name,) = re.findall(r"^weights of ([\w-]+) saved as ", result.output, re.M)
    assert net.license == (None if name == "scratch" else "MIT")
    assert not report or drawn[0]["preset"] == net.preset

    # What the command line answers is what validation measured, picture by picture.
    loader = folder_loaders(folders, 24, preset=Preset.caffe()).val
    (x, labels) = next(loader.epoch())
    logits = net(x).numpy()
    photos = [folders / file for file in loader.dataset.files]
    answers = commands.succeed("predict", tuned, *photos, "--top", 1).splitlines()[1::2]
    assert [line.split()[2] for line in answers] == [net.classes[n] for n in logits.argmax(1)]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares = 100 * shares.max(1) / shares.sum(1)
    found = [float(line.split("%")[0]) for line in answers]
    np.testing.assert_allclose(found, shares, atol=0.02)
    (accuracy,) = re.findall(rf"^{name} +\S+ +(\S+)% ", result.output, re.M)
    assert float(accuracy) == pytest.approx(100 * np.mean(logits.argmax(1) == labels), abs=0.06)


def test_a_size_of_ones_own(tmp_path: Path, folders: Path, bgr: Path) -> None:
    tuned = tmp_path / "tuned.safetensors"
    result = run(
        *("resnet20", "--data", folders, "--weights", bgr, "--epochs", 1),
        *("--size", 17, "--save", tuned),
    )
    assert result.exit_code == 0, result.output
    assert zoo.load(tuned).preset == Preset.caffe(17, 19)


def test_the_variant_of_the_weights(tmp_path: Path, folders: Path) -> None:
    with nn.init.skip_init():
        net = models.resnet18(3, variant="caffe", conv1_bias=True)
    for key, array in net.state_dict().items():
        array[...] = 1 if "var" in key else 0
    net.preset = Preset.caffe()
    source, tuned = tmp_path / "caffe.safetensors", tmp_path / "tuned.safetensors"
    zoo.save(net, source)
    result = run(
        *("resnet18", "--data", folders, "--weights", source, "--epochs", 1),
        *("--size", 32, "--save", tuned),
    )
    assert result.exit_code == 0, result.output
    options = {"num_classes": 2, "variant": "caffe", "conv1_bias": True}
    assert zoo.load(tuned).architecture == ("resnet18", options)


def test_from_scratch_too(tmp_path: Path, folders: Path) -> None:
    tuned = tmp_path / "tuned.safetensors"
    result = run("resnet20", "--data", folders, "--epochs", 1, "--size", 16, "--save", tuned)
    assert result.exit_code == 0, result.output
    net = zoo.load(tuned)
    assert net.preset == Preset.imagenet(16, 18) and net.classes == ("green", "red")


def test_grey_weights(tmp_path: Path, folders: Path) -> None:
    net = resnet20()
    net.preset = Preset((32, 32), None, "L", (0,), (1,))
    zoo.save(net, tmp_path / "grey.safetensors")
    result = run("resnet20", "--data", folders, "--weights", tmp_path / "grey.safetensors")
    assert "grey.safetensors takes grey pictures, resnet20 coloured ones" in result.output


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
