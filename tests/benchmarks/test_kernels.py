from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core")

from benchmarks import __main__, cases, kernels, layers
from benchmarks.layers import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    ConvGradient,
    Entry,
    Gemm,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Network,
)
from benchmarks.report import Table, number
from benchmarks.timing import Sample

CONV = Conv(4, 9, 8, 6, (3, 3), (2, 1), (1, 1), groups=2)
LAYERS = (
    CONV,
    ConvGradient(CONV, "input"),
    ConvGradient(CONV, "weight"),
    MaxPool(5, 7, 7, (3, 3), (2, 2), ceil_mode="caffe"),
    AvgPool(5, 6, 6, (2, 2), (2, 2)),
    AdaptiveAvgPool(5, 6, 6, (1, 1)),
    LocalResponseNorm(7, 3, 3, 5, 1e-4, 0.75, 1.0),
    Linear(30, 20),
    Gemm(5, 6, 7, trans_a=True),
)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_answers_are_the_twins(layer: layers.Layer, batch: int) -> None:
    case = cases.prepare(layer, batch)
    assert case.check() < 1e-5
    assert case.twin_calls in (1, batch)


def test_algorithms() -> None:
    fits, grouped = Conv(8, 12, 12, 8, (3, 3), padding=(1, 1)), CONV
    for layer, expected in ((fits, "winograd4"), (grouped, "direct")):
        case = cases.prepare(layer, 2, "winograd4")
        assert case.algorithm == expected
        case.check()
    assert cases.prepare(fits, 1).algorithm == "direct"


def test_a_wrong_answer_is_seen() -> None:
    right = np.ones((2, 3), np.float32)
    assert cases.compare(right, right, 100) == 0
    for wrong in (right + np.float32(1e-3), np.full_like(right, np.nan), right[:1]):
        with pytest.raises(cases.WrongAnswer):
            cases.compare(wrong, right, 100)


def test_every_picture_is_compared() -> None:
    case = cases.prepare(CONV, 5)
    answer = case.run()
    answer[4, 0, 0, 0] += 1
    with pytest.raises(cases.WrongAnswer):
        cases.compare(answer, case.expected(), case.length)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of tiny layers in the place of the files."""
    entries = tuple(
        Entry(f"layer{i}", 1 + i % 2, layer)
        for i, layer in enumerate(LAYERS)
        if not isinstance(layer, ConvGradient | Gemm)
    )
    found = {
        "tiny": Network("tiny", "", (4, 9, 8), entries),
        "gemm": Network("gemm", "", (), (Entry("product", 1, LAYERS[-1]),)),
    }
    monkeypatch.setattr(layers, "load", found.__getitem__)


def test_the_command(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    results, picture = tmp_path / "results.json", tmp_path / "results.png"
    arguments = ["kernels", "--quick", "--networks", "tiny", "--batch", "1,2", "--check"]
    arguments += ["--ops", "conv,pool,gemm,linear,lrn,conv-backward"]
    __main__.main([*arguments, "--json", str(results), "--plot", str(picture)])
    printed = capsys.readouterr().out
    assert "4x9x8 -> 6, 3x3/2x1 p1 g2" in printed
    assert "of the peak" in printed
    assert picture.stat().st_size > 1000

    content = json.loads(results.read_text())
    machine = content["machine"]
    assert machine["threads"] >= 1 and machine["isa"] and machine["versions"]["numpy"]
    rows = content["rows"]
    # Two gradients more than layers, but not the first layer's by its input; one product.
    assert len(rows) == 2 * (len(LAYERS) - 2) + 1
    for row in rows:
        assert row["samples"]["fastconv"]["median_s"] > 0
        assert row["times_twin"] > 0
        assert ("share" in row) == bool(row["flop"])
        assert row["peak_gflops"] > 0
    conv = next(row for row in rows if row["op"] == "conv" and row["batch"] == 2)
    assert conv["flop"] == CONV.flop(2)
    assert conv["samples"]["numpy"]["scaled_by"] == 2


def test_a_wrong_kernel_fails_the_command(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    functional: Any = cases.functional
    linear = functional.pack_linear
    monkeypatch.setattr(functional, "pack_linear", lambda w, b: linear(w * np.float32(1.001), b))
    arguments = ["kernels", "--quick", "--networks", "tiny", "--batch", "1", "--ops", "linear"]
    assert __main__.main([*arguments, "--json", str(tmp_path / "r.json")]) == 1
    assert "WRONG: error" in capsys.readouterr().out


def test_bad_options(capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (["--batch", "0"], "positive integers"),
        (["--ops", "fft"], "ops must be among"),
        (["--networks", "vgg99"], "network must be one of"),
        (["--peers", "caffe"], "names must be among"),
    ):
        with pytest.raises(SystemExit) as caught:
            __main__.main(["kernels", *options])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


def test_what_the_check_demands() -> None:
    def row(layer: layers.Layer, share: float, times_twin: float) -> kernels.Row:
        seconds = layer.flop(1) / (share * 100e9)
        samples = {"fastconv": Sample(((seconds,),)), "numpy": Sample(((seconds * times_twin,),))}
        return kernels.Row("net", Entry("x", 1, layer), 1, samples, 100.0)

    large, small = Conv(64, 56, 56, 64, (3, 3)), Conv(64, 7, 7, 64, (1, 1))
    product = Gemm(512, 512, 512)
    good = [row(large, 0.6, 2), row(small, 0.1, 2), row(product, 0.8, 1.1)]
    good.append(row(Gemm(256, 256, 256), 0.2, 0.5))
    assert kernels.failures(good, 0.55, 0.75) == []
    bad = [row(large, 0.5, 2), row(small, 0.1, 0.9), row(product, 0.7, 1.1)]
    bad.append(row(product, 0.8, 0.9))
    bad.append(kernels.Row("net", Entry("x", 1, large), 1, problem="WRONG: error"))
    lines = kernels.failures(bad, 0.55, 0.75)
    assert len(lines) == 5
    assert "50.0% of the peak, 55% demanded" in lines[0]
    assert "0.90 times as fast as NumPy" in lines[1]


def test_numbers_and_tables() -> None:
    assert [number(v) for v in (0.001234, 1.234, 12.34, 123.4, 12345.6)] == [
        "0.00",
        "1.23",
        "12.3",
        "123",
        "12346",
    ]
    assert number(None) == ""
    table = Table([("name", Table.width_for(["abcdef"])), ("ms", 6)])
    assert table.head() == "name        ms\n--------------"
    assert table.row(["abc", "1.5"]) == "abc        1.5"
