"""Histories: what they count, and their picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from fastconv.train import History


def history() -> History:
    return History(
        loss=[2.0, 1.5, 1.0, 0.5],
        lr=[0.0, 0.1, 0.2, 0.1],
        train_loss=[1.75, 0.75],
        train_accuracy=[0.5, 0.75],
        accuracy=[0.4, 0.8],
        images_per_second=[1000.0, 3000.0],
        seconds=2.0,
    )


def test_counts() -> None:
    assert (history().steps, history().epochs) == (4, 2)
    assert (History().steps, History().epochs, History().interrupted) == (0, 0, False)


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = history().plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    loss, _ = figure.axes
    (rate,) = (line for line in loss.lines if str(line.get_label()).startswith("learning rate"))
    assert rate.get_label() == "learning rate, up to 0.2"
    np.testing.assert_allclose(rate.get_ydata(), np.array([0, 1, 2, 1]) / 3)
    assert "4 steps, 2.0 s, 2,000 images/s" in [text.get_text() for text in figure.texts]
    with pytest.raises(ValueError, match=r"training_curve: .* \(steps=0\)"):
        History().plot()


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[plots\]'"):
        history().plot()
