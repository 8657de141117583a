"""Pictures: the right panels, real files, and errors by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from fastconv import nn, plots
from fastconv.autograd import use_backend
from fastconv.models import lenet5
from fastconv.train import History

RNG = np.random.default_rng(0)
IMAGES = RNG.random((40, 1, 28, 28), np.float32)
LABELS = np.arange(40) % 10


@pytest.fixture(autouse=True)
def reference() -> Any:
    with use_backend("reference"):
        yield


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return lenet5()


def history(epochs: int = 3, steps: int = 12) -> History:
    return History(
        loss=list(np.linspace(2.3, 0.1, steps)),
        lr=[0.1] * steps,
        train_accuracy=list(np.linspace(0.3, 0.9, epochs)),
        accuracy=list(np.linspace(0.4, 0.95, epochs)),
        seconds=1.5,
    )


def is_png(path: Path) -> bool:
    from matplotlib.image import imread

    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and imread(path).ndim == 3


def texts(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("shape", "count"),
    [((6, 1, 5, 5), 6), ((96, 3, 11, 11), 64), ((4, 8, 3, 3), 32), ((1, 1, 1, 1), 1)],
)
def test_filters_of_a_weight(tmp_path: Path, shape: tuple[int, ...], count: int) -> None:
    weight = RNG.standard_normal(shape, np.float32)
    figure = plots.filters(weight, path=tmp_path / "filters.png")
    assert len(figure.axes) == count
    assert is_png(tmp_path / "filters.png")
    assert "x".join(map(str, shape)) in texts(figure)
    (image,) = figure.axes[0].images
    if shape[1] != 3:
        np.testing.assert_array_equal(image.get_array(), weight[0, 0])
        assert image.norm.vmin == -image.norm.vmax  # zero is white


def test_filters_of_a_network_and_a_parameter(net: nn.Module) -> None:
    assert len(plots.filters(net).axes) == 6
    assert len(plots.filters(net.conv1.weight).axes) == 6
    assert "16x6x5x5" in texts(plots.filters(net, "conv2"))
    assert len(plots.filters(np.zeros((2, 1, 3, 3), np.float32)).axes) == 2


def test_filters_errors() -> None:
    with pytest.raises(ValueError, match=r"filters: .* \(shape=\(3, 3\)\)"):
        plots.filters(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match=r"plots: .* \(net=Linear\)"):
        plots.filters(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"filters: layer must be a convolution \(layer=0, type=L"):
        plots.filters(nn.Sequential(nn.Linear(2, 2)), "0")


@pytest.mark.parametrize(("layer", "count"), [(None, 6), ("act2", 16), ("pool1", 6)])
def test_feature_maps(tmp_path: Path, net: nn.Module, layer: str | None, count: int) -> None:
    figure = plots.feature_maps(net, IMAGES[0], layer, path=tmp_path / "maps.png")
    assert len(figure.axes) == count
    assert is_png(tmp_path / "maps.png")
    assert f"Feature maps of {layer or 'conv1'}" in texts(figure)
    assert net.training


def test_feature_maps_are_the_layers_output(net: nn.Module) -> None:
    figure = plots.feature_maps(net, IMAGES[:1], net.conv1, limit=4)
    assert len(figure.axes) == 4
    expected = net.conv1(IMAGES[:1]).data[0, 3]
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), expected, rtol=1e-6)
    assert not net.conv1._forward_hooks


@pytest.mark.parametrize(
    ("image", "layer", "rule"),
    [
        (IMAGES[0], "conv9", r"layer must be one of conv1, .*layer='conv9'"),
        (IMAGES[0], nn.ReLU(), r"layer must be one of .*layer=ReLU"),
        (IMAGES[0], "fc1", r"must give maps .*output=\(1, 84\)"),
        (IMAGES[:2], None, r"one picture .*shape=\(2, 1, 28, 28\)"),
        (IMAGES[0, 0], None, r"one picture .*shape=\(1, 28, 28\)"),
    ],
)
def test_feature_maps_errors(net: nn.Module, image: np.ndarray, layer: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"feature_maps: .*{rule}"):
        plots.feature_maps(net, image, layer)


def test_training_curve(tmp_path: Path) -> None:
    figure = plots.training_curve(history(), path=tmp_path / "curve.png")
    assert is_png(tmp_path / "curve.png")
    loss, accuracy = figure.axes
    assert loss.get_title(loc="left") == "loss"
    assert [line.get_label() for line in accuracy.lines] == ["training", "validation"]
    np.testing.assert_allclose(loss.lines[0].get_ydata(), history().loss)


def test_training_curve_of_little() -> None:
    plots.training_curve(History(loss=[0.0]))
    figure = plots.training_curve(History(loss=[1.0, 0.5], train_accuracy=[1.0]))
    assert len(figure.axes[1].lines) == 1
    with pytest.raises(ValueError, match=r"training_curve: .* \(steps=0\)"):
        plots.training_curve(History())


def test_errors(tmp_path: Path) -> None:
    predictions = LABELS.copy()
    predictions[[3, 7]] = [5, 1]
    figure = plots.errors(IMAGES, LABELS, predictions, path=tmp_path / "errors.png")
    assert is_png(tmp_path / "errors.png")
    assert [axes.get_xlabel() for axes in figure.axes] == ["3 \u2192 5", "7 \u2192 1"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), IMAGES[3, 0])
    assert "2 of 40" in texts(figure)


def test_errors_many_none_and_in_colour() -> None:
    figure = plots.errors(IMAGES, LABELS, LABELS + 1, limit=10)
    assert len(figure.axes) == 10
    assert "the first 10" in texts(figure)
    figure = plots.errors(IMAGES, LABELS, LABELS)
    assert not figure.axes
    assert "none" in texts(figure)
    figure = plots.errors(RNG.random((2, 3, 8, 8)), np.zeros(2), np.ones(2))
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)


def test_errors_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"errors: .* \(images=40, labels=39, predictions=40\)"):
        plots.errors(IMAGES, LABELS[1:], LABELS)
    with pytest.raises(ValueError, match=r"errors: .* \(shape=\(40, 28, 28\)\)"):
        plots.errors(IMAGES[:, 0], LABELS, LABELS)


def test_demo_sheet(tmp_path: Path, net: nn.Module) -> None:
    path = tmp_path / "sheet.png"
    figure = plots.demo_sheet(net, history(), IMAGES, LABELS, ("act1", "act2"), "Title", path)
    assert is_png(path)
    found = texts(figure)
    for part in ("Title", "Filters", "Training", "maps of act1", "maps of act2", "Errors"):
        assert part in found
    panels = [len(part.axes) for row in figure.subfigs for part in (row.subfigs or [row])]
    assert panels[:6] == [0, 6, 2, 1, 6, 16]
    assert "maps of conv2" in texts(plots.demo_sheet(net, history(), IMAGES, LABELS))


def test_demo_sheet_needs_two_convolutions() -> None:
    with pytest.raises(ValueError, match=r"demo_sheet: .* \(convolutions=0\)"):
        plots.demo_sheet(nn.Linear(2, 2), history(), IMAGES, LABELS)


def test_no_global_state_is_touched(net: nn.Module) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    plots.demo_sheet(net, history(), IMAGES, LABELS)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, net: nn.Module) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[plots\]'"):
        plots.filters(net)
    importlib.reload(plots)  # importing it needs nothing
