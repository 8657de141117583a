from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastconv._core")

from benchmarks import __main__, plot, race, readme, trained
from benchmarks.cases import WrongAnswer
from benchmarks.peers import OURS, PEERS, Peer, Unsupported, Workload, choose
from benchmarks.peers.process import PeerFailed, PeerProcess
from benchmarks.race import difference
from benchmarks.subject import Subject
from fastconv import models, nn


def test_processes_prepare_run_and_report_errors(tmp_path: Path) -> None:
    trained.write(tmp_path, Subject.parse("lenet5"), 2)
    workload = Workload(2, tmp_path, network="lenet5", variant="modern")
    with PeerProcess(OURS, threads=1) as process:
        answer = process.prepare(workload)
        net = trained.build("lenet5", "modern").eval()
        net.load_state_dict(workload.state())
        np.testing.assert_allclose(answer, net(workload.x()).data, rtol=1e-4, atol=1e-5)
        times = process.turn(0.01)
        assert times and all(t > 0 for t in times)
        with pytest.raises(PeerFailed, match="name must be one of"):
            process.prepare(Workload(2, tmp_path, network="lenet6", variant="default"))
        process.prepare(workload)  # and goes on


def test_a_process_that_dies_says_why() -> None:
    class Unknown(Peer):
        name = "nobody"
        packages = ()

    with (
        PeerProcess(Unknown, threads=1) as process,
        pytest.raises(PeerFailed, match=r"nobody died (.|\n)*KeyError"),
    ):
        process.turn(0.01)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    results = tmp_path / "results.json"
    arguments = ["networks", "--quick", "--networks", "lenet5", "--batch", "2"]
    assert __main__.main([*arguments, "--json", str(results)]) == 0
    assert "1 of 2 pictures, scaled" in capsys.readouterr().out
    assert results.with_suffix(".png").exists()
    (result,) = json.loads(results.read_text())["results"]
    assert result["samples"]["numpy"]["scaled_by"] == 2
    assert result["errors"]["numpy"] < 1e-4
    assert result["best_peer"] is None
    assert 0 < result["share"] < 2


def test_training(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = ["training", "--quick", "--batch", "4", "--json", str(results)]
    assert __main__.main(arguments) == 0
    (result,) = json.loads(results.read_text())["results"]
    assert result["errors"]["numpy"] < 1e-4  # losses of three steps
    assert result["training"]


def test_a_wrong_network_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(race, "_TOLERANCE", 1e-12)
    assert __main__.main(["networks", "--quick", "--networks", "lenet5", "--batch", "1"]) == 1
    assert "WRONG: the NumPy twin disagrees" in capsys.readouterr().out


def test_differences() -> None:
    ours = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert difference(ours[:1] + np.float32(1e-4), ours) == pytest.approx(5e-5, rel=0.01)
    for wrong in (ours + 1, ours[:, :2], ours * np.float32(np.nan)):
        with pytest.raises(WrongAnswer):
            difference(wrong, ours)


def test_peers_are_chosen_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for peer in PEERS:
        monkeypatch.setattr(peer, "packages", ())
    assert choose("all") == list(PEERS)
    assert [peer.name for peer in choose("torch,ncnn,torch-jit")] == [
        "torch-eager",
        "torch-channels-last",
        "torch-jit",
        "torch-inductor",
        "ncnn",
    ]
    monkeypatch.setattr(PEERS[-1], "packages", ("no_such_package",))
    assert choose("ncnn") == []
    message = "ncnn is left out: no_such_package not installed (pip install 'fastconv[bench]')\n"
    assert capsys.readouterr().out == message


def test_trained_like_networks_neither_vanish_nor_explode() -> None:
    net = trained.trained_like(Subject.parse("resnet18"))
    x = np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32)
    assert 0.1 < np.std(net(x).data) < 10
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("name", "variant"),
    [("lenet5", "modern"), ("lenet5", "paper"), ("alexnet", "caffe"), ("vgg16", "default")]
    + [("vgg19", "default"), ("googlenet", "caffe"), ("googlenet", "torchvision")]
    + [(f"resnet{n}", "torchvision") for n in (18, 34, 50, 101, 152)],
)
def test_torchs_networks_have_our_state_dicts(name: str, variant: str) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.peers import torch_networks

    with torch.device("meta"):
        theirs = torch_networks.build(name, variant).state_dict()
    options = {} if variant == "default" else {"variant": variant}
    with nn.init.skip_init():
        ours = models.get(name, **options).state_dict()
    shapes = [(key, tuple(value.shape)) for key, value in theirs.items()]
    assert shapes == [(key, value.shape) for key, value in ours.items()]


def test_torch_has_only_what_is_written_down() -> None:
    pytest.importorskip("torch")
    from benchmarks.peers import torch_peer

    workload = Workload(1, Path(), network="vgg16_bn", variant="default")
    with pytest.raises(Unsupported, match="vgg16_bn"):
        torch_peer.load(workload)


@pytest.mark.parametrize(
    ("text", "variant", "shape"),
    [
        ("resnet18", "torchvision", (3, 224, 224)),
        ("resnet50@231x257", "torchvision", (3, 231, 257)),
        ("googlenet:torchvision", "torchvision", (3, 224, 224)),
        ("googlenet:torchvision@64x48", "torchvision", (3, 64, 48)),
    ],
)
def test_subjects(text: str, variant: str, shape: tuple[int, ...]) -> None:
    subject = Subject.parse(text)
    assert (subject.variant, subject.shape) == (variant, shape)
    assert str(subject) == text


@pytest.mark.parametrize("text", ["", "resnet50@231", "resnet50:", "resnet50:none", "vgg17"])
def test_no_subjects(text: str) -> None:
    with pytest.raises(ValueError, match="network|variant|name"):
        Subject.parse(text)


def test_another_picture_size(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = ["networks", "--quick", "--networks", "resnet18@40x56", "--batch", "1"]
    assert __main__.main([*arguments, "--json", str(results)]) == 0
    (result,) = json.loads(results.read_text())["results"]
    assert result["network"] == "resnet18@40x56"
    assert result["flop"] < 0.06 * 2 * 1_814_073_344  # of ResNet-18's at 224x224


def test_the_readme_gets_tables_and_a_picture(tmp_path: Path) -> None:
    def result(network: str, batch: int, ratio: float | None) -> dict[str, object]:
        ncnn = {} if ratio is None else {"ncnn": {"median_s": 0.0125 * ratio}}
        return {
            "network": network,
            "batch": batch,
            "samples": {"fastconv": {"median_s": 0.0125}, **ncnn},
            "best_peer": None if ratio is None else "ncnn",
            "ratio_to_best_peer": ratio,
        }

    def file(name: str, command: str, *results: dict[str, object]) -> Path:
        path = tmp_path / name
        machine = {
            "threads": 2,
            "cpu": "A CPU",
            "isa": "avx2",
            "versions": {"ncnn": "1.0", "x": "2"},
        }
        content = {"command": command, "machine": machine, "peak_gflops": 100.0}
        path.write_text(json.dumps({**content, "results": results}))
        return path

    files = [
        file("one.json", "networks", result("a", 1, 1.0), result("a", 16, None)),
        file("more.json", "networks", result("b", 1, 4.0)),
        file("steps.json", "training", result("a", 8, 2.0), result("b", 32, 8.0)),
    ]
    page, picture = tmp_path / "README.md", tmp_path / "docs" / "race.png"
    picture.parent.mkdir()
    page.write_text(f"above\n{readme._BEGIN}\nold\n{readme._END}\nbelow\n")
    readme.write(files, page, picture)
    lines = page.read_text().splitlines()
    assert lines[0] == "above"
    assert lines[-1] == "below"
    assert "old" not in lines
    assert "![times of the others over fastconv's](docs/race.png)" in lines
    assert picture.read_bytes().startswith(b"\x89PNG")
    steps = lines.index("**A training step, 2 threads** (A CPU, avx2; ncnn 1.0):")
    inference = lines[:steps]
    assert "**Inference, 2 threads** (A CPU, avx2; ncnn 1.0):" in inference
    assert "| a | 12.5 ms, **1.00** x ncnn | 12.5 ms |" in inference
    assert "| b | 12.5 ms, **4.00** x ncnn |  |" in inference
    assert "| geometric mean | **2.00** |  |" in inference
    assert inference[inference.index("Raced against:") + 1 :][:2] == [
        "- batch 1: ncnn",
        "- batch 16: nobody",
    ]
    assert "| a | 8 | 12.5 ms, **2.00** x ncnn |" in lines[steps:]
    assert "| geometric mean |  | **4.00** |" in lines[steps:]
    assert "Raced against: ncnn" in lines[steps:]
    other = picture.with_name("other.md")  # beside its picture
    other.write_text(f"{readme._BEGIN}{readme._END}")
    where = ["--page", str(other), "--picture", str(picture)]
    assert __main__.main(["readme", *map(str, files), *where]) == 0
    assert "![times of the others over fastconv's](race.png)" in other.read_text()
    with pytest.raises(ValueError, match="results of `python -m benchmarks networks`"):
        readme.write(files[2:], page, picture)
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must have the marks"):
        readme.write(files, page, picture)


def test_the_overview_shows_each_networks_largest_batch(tmp_path: Path) -> None:
    def result(network: str, batch: int) -> dict[str, object]:
        samples = {"fastconv": {"median_s": 1e-4 * batch}, "ncnn": {"median_s": 3e-4 * batch}}
        return {"network": network, "batch": batch, "samples": samples}

    machine = {"threads": 2, "cpu": "A CPU", "isa": "avx2"}
    content = {
        "machine": machine,
        "peak_gflops": 100.0,
        "results": [result("a", 16), result("a", 1), result("a", 4), result("b:c", 3)],
    }
    figure = plot.overview(content, None)
    labels = [
        (axes.get_title(loc="left"), [text.get_text() for text in axes.get_xticklabels()])
        for axes in figure.axes
    ]
    assert labels == [
        ("one picture", ["a\nbatch 1, 100 us"]),
        ("a batch", ["a\nbatch 16, 1.60 ms", "b\nc\nbatch 3, 300 us"]),
    ]
