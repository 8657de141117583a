"""The command line: what it prints, what it writes, and one line for every mistake."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")
pytest.importorskip("fastconv._core", reason="fastconv is not built")

import fastconv
from commands import fail, run, succeed
from fastconv import nn
from fastconv.cli import main
from fastconv.cli.race import race
from fastconv.cli.recipes import RECIPES
from fastconv.data import Loader, cifar10, mnist, random_shift, write_idx
from fastconv.models import lenet5
from fastconv.optim import SGD
from fastconv.train import CSVLog, State, constant, evaluate, fit
from fastconv.zoo import load


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first 500 and 200 digits of the sample."""
    folder = tmp_path_factory.mktemp("mnist")
    for split, name, count in (("train", "train", 500), ("test", "t10k", 200)):
        images, labels = mnist(split=split)
        pixels = np.rint(images[:count, 0] * 255).astype(np.uint8)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels[:count].astype(np.uint8))
    return folder


def test_info() -> None:
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in succeed("info").splitlines())
    assert rows["version"] == fastconv.__version__
    assert rows["instruction set"].startswith(f"{fastconv.get_isa()} (available: ")
    assert rows["threads"] == str(fastconv.get_num_threads())
    assert rows["NumPy"] == np.__version__
    assert {"build", "Python"} <= rows.keys()


def test_version_and_help() -> None:
    assert succeed("--version") == f"fastconv {fastconv.__version__}\n"
    for name in ("info", "summary", "train", "finetune", "demo"):
        assert name in succeed("--help")
        assert "Usage:" in succeed(name, "-h")


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "fastconv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"fastconv {fastconv.__version__}\n"


def test_summary() -> None:
    out = succeed("summary", "lenet5")
    assert "(28 - 5 + 2*2)/1 + 1 = 28" in out
    assert "61,706" in out


def test_summary_variants_and_shapes() -> None:
    assert "96x55x55" in succeed("summary", "alexnet")
    assert "64x55x55" in succeed("summary", "alexnet", "--variant", "torchvision")
    assert "input 2x3x64x64" in succeed("summary", "resnet18", "--shape", "2,3,64,64")
    assert "input 1x3x64x96" in succeed("summary", "resnet18", "--shape", "3x64x96")
    assert "vgg" in succeed("summary", "vgg11", "--variant", "default").lower()


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["lenet6"], r"no such network: 'lenet6'; choose from .*lenet5.*resnet152"),
        (["lenet5", "--variant", "x"], r"no variant 'x'; choose from modern, paper"),
        (["lenet5", "--shape", "1,a"], r"'1,a' must be sizes"),
        (["lenet5", "--shape", "1,0,5"], r"must be sizes"),
        (["lenet5", "--shape", "1,99999999999999999999,5"], r"must be sizes"),
        (["lenet5", "--shape", "1,3,3"], r"conv2d: .*"),
        ([], r"Missing argument 'MODEL'"),
    ],
)
def test_summary_mistakes(arguments: list[str], rule: str) -> None:
    assert re.search(rule, fail("summary", *arguments))


def test_train(tmp_path: Path, few_digits: Path) -> None:
    weights, curves = tmp_path / "weights.npz", tmp_path / "curves.png"
    out = succeed(
        *("train", "lenet5", "--data", few_digits, "--epochs", 4, "--batch-size", 16, "--lr", 0.05),
        *("--seed", 3, "--threads", 1, "--save", weights, "--plot", curves),
    )
    lines = out.splitlines()
    assert lines[0] == "lenet5: 500 digits to learn from, 200 to test on"
    assert [line[:9] for line in lines[1:5]] == [f"epoch {n}/4" for n in range(1, 5)]
    assert lines[5].startswith("128 steps in ")
    assert lines[6] == f"loss and accuracy drawn in {curves}"
    assert curves.read_bytes().startswith(b"\x89PNG")
    assert lines[7] == f"network saved as {weights}"
    (accuracy,) = re.fullmatch(r"test accuracy (\d+\.\d\d) %", lines[8]).groups()  # type: ignore[union-attr]
    assert fastconv.get_num_threads() == 1
    net = lenet5()
    with np.load(weights) as arrays:
        net.load_state_dict(arrays)
    measured = evaluate(net, mnist(few_digits, "test"))
    assert f"{100 * measured:.2f}" == accuracy
    assert measured > 0.3  # chance is a tenth


def test_train_on_the_sample_repeats_itself() -> None:
    arguments = ("train", "lenet5", "--epochs", 2, "--batch-size", 500)
    first, second = (succeed(*arguments, "--seed", 5).splitlines() for _ in range(2))
    assert first[0] == "lenet5: 5,000 digits to learn from, 1,000 to test on"
    for one, other in zip(first[1:3], second[1:3], strict=True):
        assert re.fullmatch(r"epoch \d/2  loss .*  [\d,]+ images/s", one)
        assert one.rpartition("  ")[0] == other.rpartition("  ")[0]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["resnet50"], r"no such network of 1x28x28 or .*: 'resnet50'; choose from lenet5"),
        (["lenet5", "--epochs", "0"], r"--epochs"),
        (["lenet5", "--batch-size", "x"], r"--batch-size"),
        (["lenet5", "--lr", "0"], r"--lr"),
        (["lenet5", "--threads", "0"], r"--threads"),
        (["lenet5", "--resume"], r"--resume.* there must be a --checkpoint"),
        (["lenet5", "--checkpoint", "run.npz"], r"'run.npz' must end in .safetensors"),
        (["lenet5", "--log", "log.txt"], r"'log.txt' must end in .csv or .jsonl"),
        (["lenet5", "--optimizer", "rprop"], r"'rprop' is not one of 'sgd', 'adam', 'adamw'"),
        (["lenet5", "--optimizer", "adam", "--nesterov"], r"--nesterov.* adam has no momentum"),
        (["lenet5", "--label-smoothing", "2"], r"--label-smoothing"),
        (["lenet5", "--schedule", "x"], r"'x' is not one of 'one_cycle', 'cosine'"),
        (["lenet5", "--save", "weights.h5"], r"'weights.h5' must end in .safetensors or .npz"),
        (["lenet5", "--save", "absent/weights.npz"], r"there is no folder absent"),
        (["lenet5", "--data", "absent"], r"mnist: .*train-images-idx3-ubyte.*folder=absent"),
        (["lenet5", "--lr", "1e9", "--epochs", "1"], r"fit: the loss must stay finite"),
    ],
)
def test_train_mistakes(
    arguments: list[str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.search(rule, fail("train", *arguments))


def test_train_is_interrupted_and_resumed(
    tmp_path: Path, few_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("safetensors")
    checkpoint, log = tmp_path / "run.safetensors", tmp_path / "log.csv"
    options = ["train", "lenet5", "--data", few_digits, "--epochs", 3, "--batch-size", 50]
    options += ["--optimizer", "adamw", "--schedule", "cosine", "--seed", 2]
    expected = succeed(*options).splitlines()[-1]
    options += ["--checkpoint", checkpoint, "--log", log]

    class Press(CSVLog):
        def on_step(self, state: State) -> None:
            if state.history.steps == 14:
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("fastconv.train"), "CSVLog", Press)
        result = run(*options)
    assert result.exit_code == 130
    assert "fit: interrupted after 1 of 3 epochs and 4 of 10 steps" in result.output
    out = succeed(*options, "--resume").splitlines()
    assert out[1] == f"{checkpoint}: to go on after 1 epochs and 4 steps"
    assert out[-1] == expected
    assert [line.split(",")[0] for line in log.read_text().splitlines()] == ["epoch", *"123"]
    assert "seed=3 but saved=2" in fail(*options, "--resume", "--seed", 3)
    cut = checkpoint.read_bytes()[:-1]
    checkpoint.write_bytes(cut)
    assert "a whole safetensors file" in fail(*options, "--resume")
    assert checkpoint.read_bytes() == cut


def test_what_was_trained_predicts(tmp_path: Path, few_digits: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    file, photo = tmp_path / "net.safetensors", tmp_path / "digit.png"
    succeed("train", "lenet5", "--data", few_digits, "--epochs", 1, "--save", file)
    digit = mnist(few_digits, "test").images[7]
    pillow.fromarray(np.rint(255 * digit[0]).astype(np.uint8)).save(photo)
    logits = load(file)(digit[None]).numpy()[0]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    best = int(shares.argmax())
    line = succeed("predict", file, photo, "--top", 1)
    assert line.split() == [f"{shares[best]:.2%}", str(best), str(best)]


def test_a_missing_extra_is_known_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    line = fail("train", "lenet5", "--save", tmp_path / "net.safetensors")
    assert re.search(r"--save.* need safetensors: pip install 'fastconv\[train\]'", line)


def test_train_does_what_fit_does(tmp_path: Path, few_digits: Path) -> None:
    weights = tmp_path / "weights.npz"
    succeed(
        *("train", "lenet5", "--data", few_digits, "--epochs", 1, "--batch-size", 50),
        *("--nesterov", "--label-smoothing", 0.3, "--schedule", "constant", "--save", weights),
    )
    fastconv.manual_seed(0)
    net = lenet5()
    digits = Loader(mnist(few_digits), 50, shuffle=True, transform=random_shift, seed=0)
    fit(
        net,
        digits,
        epochs=1,
        optimizer=SGD(net.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True),
        schedule=constant,
        loss=nn.CrossEntropyLoss(label_smoothing=0.3),
    )
    with np.load(weights) as arrays:
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(arrays[name], value)


def test_train_on_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten(), nn.Linear(64, 10))

    registry: Any = importlib.import_module("fastconv.models.registry")
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register(default=(3, 32, 32))(tiny)
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        rows = rng.integers(0, 256, (40, 3073), np.uint8)  # a label, then three planes
        rows[:, 0] %= 10
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    out = succeed("train", "tiny", "--data", tmp_path, "--epochs", 2, "--schedule", "step")
    lines = out.splitlines()
    assert lines[0] == "tiny: 200 pictures to learn from, 40 to test on"
    assert lines[3].startswith("4 steps in ")  # of 128
    assert "must be given" in fail("train", "tiny")
    photo, recipe = cifar10(tmp_path, "test").read(3), RECIPES[3, 32, 32]
    tested = recipe.test_transform()(photo[None], rng)[0]
    np.testing.assert_allclose(recipe.preset().prepare(photo), tested, rtol=1e-5, atol=1e-5)


def test_damaged_data_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00")
    assert "ends too early" in fail("train", "lenet5", "--data", tmp_path)


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the demo draws")
    module = importlib.import_module("fastconv.cli.demo")
    monkeypatch.setattr(module, "_EPOCHS", 1)
    monkeypatch.setattr(module, "_NETWORKS", {"LeNet-5": "lenet5"})
    monkeypatch.setattr(importlib.import_module("fastconv.cli.race"), "_BUDGET", 0.01)
    picture = tmp_path / "demo.png"
    out = succeed("demo", "--output", picture)
    assert re.search(r"^test accuracy \d+\.\d\d % on 1,000 other digits, after ", out, re.M)
    assert f"picture saved as {picture}\n" in out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert re.search(r"^LeNet-5 +1x28x28 +10 +61,706 +\d+\.\d ms +\d+ ms +\d+\.\dx$", out, re.M)
    head, row = (
        next(line for line in out.splitlines() if line.startswith(start))
        for start in ("network", "LeNet-5  ")
    )
    assert len(head) == len(row)


def test_demo_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "must end in .png" in fail("demo", "--output", tmp_path / "demo.txt")
    assert "there is no folder" in fail("demo", "--output", tmp_path / "absent" / "demo.png")
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'fastconv[plots]'" in fail("demo", "--output", tmp_path / "demo.png")


def test_race_compares_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = importlib.import_module("fastconv.cli.race")
    monkeypatch.setattr(module, "_BUDGET", 0.0)
    result = race("lenet5")
    assert result.output_shape == (10,)
    assert result.parameters == 61_706
    assert min(result.seconds, result.twin_seconds) > 0
    monkeypatch.setattr(module, "_TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"race: .* \(network=lenet5, error="):
        race("lenet5")


def test_unknown_command() -> None:
    assert "No such command 'trian'" in fail("trian")


def test_without_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit, match=r"pip install 'fastconv\[cli\]'"):
        main()


def test_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fastconv", "info"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert fastconv.get_isa() in capsys.readouterr().out
