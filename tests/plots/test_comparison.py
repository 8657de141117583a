"""Pictures and pages of several trainings side by side."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

import fastconv
from fastconv import models, nn, plots
from fastconv.data import Preset
from fastconv.plots.comparison import _apart, _plain
from fastconv.plots.grad_cam import class_activation
from fastconv.train import Comparison, History, Mistake, Run

RNG = np.random.default_rng(0)
CLASSES = ["ant", "bee"]


def run(name: str, accuracy: list[float], net: nn.Module | None = None) -> Run:
    epochs = len(accuracy)
    history = History(
        loss=[1.0] * epochs, train_accuracy=[0.5] * epochs, accuracy=accuracy, seconds=1.5
    )
    return Run(name, nn.ReLU() if net is None else net, history)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    fastconv.manual_seed(0)
    net = models.resnet20(2)
    runs = (run("scratch", [0.5, 0.6]), run("frozen", [0.7, 0.7]), run("tuned", [0.7, 0.9], net))
    mistakes = tuple(
        Mistake(RNG.standard_normal((3, 32, 32)).astype(np.float32), 0, 1, 0.9 - n / 10)
        for n in range(3)
    )
    return Comparison(runs, np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1]), mistakes)


def texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


def test_curves(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    runs = [run("a", [0.5, 0.75]), run("b", [0.25])]
    (axes,) = plots.accuracy_curves(runs, path).axes
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert [list(line.get_ydata()) for line in axes.lines] == [[50, 75], [25]]
    assert [text.get_text() for text in axes.texts] == ["a 75.0", "b 25.0"]
    with pytest.raises(ValueError, match=r"accuracy_curves: .* \(run='c'\)"):
        plots.accuracy_curves([run("c", [])])


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [3.0, 1.0, 1.2], [0.0, 9.0], [5.0]])
def test_names_are_moved_apart(values: list[float]) -> None:
    moved = np.array(_apart(values, 0.5))
    assert (np.argsort(values, kind="stable") == np.argsort(moved, kind="stable")).all()
    assert (np.diff(np.sort(moved)) >= 0.5 - 1e-12).all()
    assert moved.mean() == pytest.approx(np.mean(values))


def test_sheet(tmp_path: Path, comparison: Comparison) -> None:
    path = tmp_path / "sheet.png"
    preset = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    figure = plots.finetune_sheet(comparison, CLASSES, "Insects", preset=preset, path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    found = texts(figure)
    for part in ("Insects", "Validation accuracy", "Confusion", "Most wrong, tuned", "bee 90%"):
        assert part in found
    bottom = figure.subfigs[2]
    assert len(bottom.axes) == 6
    picture = comparison.mistakes[0].picture
    drawn = bottom.axes[0].images[0].get_array()
    expected = np.clip(picture * 0.25 + 0.5, 0, 1).transpose(1, 2, 0)
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)
    (below,) = [axes for axes in bottom.axes if axes.get_xlabel() == "bee 90%"]
    activation = class_activation(comparison.best.net, picture, 1).map
    np.testing.assert_allclose(
        below.images[1].get_array(), activation / (activation.max() or 1), rtol=1e-5, atol=1e-6
    )


def test_pictures_look_as_they_did() -> None:
    photo = RNG.integers(0, 256, (6, 7, 3), np.uint8)
    expected = photo.transpose(2, 0, 1) / 255
    for preset in (
        Preset.imagenet(),
        Preset.caffe(),
        Preset((6, 7), None, "BGR", (1, 2, 3), (-1, 0.5, 2)),
    ):
        shown = _plain(preset.normalize(photo[None])[0], preset)
        np.testing.assert_allclose(shown, expected, atol=1e-5)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    shown = _plain(Preset.imagenet().normalize(photo[None])[0], (mean, deviation))
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    grey = Preset((6, 7), None, "L", (33,), (0.01,))
    shown = _plain(grey.normalize(photo[None, :, :, :1].repeat(3, axis=3))[0], grey)
    np.testing.assert_allclose(shown, photo[None, :, :, 0] / 255, atol=1e-5)


def test_sheet_without_mistakes(comparison: Comparison) -> None:
    right = Comparison(comparison.runs, comparison.labels, comparison.labels, ())
    assert "none" in texts(plots.finetune_sheet(right, CLASSES))


def test_page(tmp_path: Path, comparison: Comparison) -> None:
    path = tmp_path / "report.html"
    page = plots.finetune_page(comparison, CLASSES, "Ants & bees", path=path)
    assert path.read_text(encoding="utf-8") == page
    assert "<title>Ants &amp; bees</title>" in page
    assert re.search(r'<tr class="best"><td>tuned</td><td>50.0%</td><td>90.0%</td>', page)
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(picture)[:4] == b"\x89PNG"
