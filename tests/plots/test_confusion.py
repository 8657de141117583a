"""The confusion matrix: counts, names and what is drawn of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from fastconv import plots
from fastconv.plots.confusion import counts

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 1, 1, 1, 1, 0])


def test_counts() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, (2, 200))
    expected = np.zeros((6, 6), int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label, prediction] += 1
    np.testing.assert_array_equal(counts(labels, predictions, 6), expected)


def test_what_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    figure = plots.confusion_matrix(LABELS, PREDICTIONS, ["ants", "bees", "cats"], path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    (axes,) = figure.axes
    np.testing.assert_allclose(
        axes.images[0].get_array(), [[1 / 3, 2 / 3, 0], [0, 1, 0], [1, 0, 0]]
    )
    places = {text.get_position(): text.get_text() for text in axes.texts}
    assert places == {(0, 0): "1", (1, 0): "2", (1, 1): "2", (0, 2): "1"}  # (column, row)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["ants", "bees", "cats"]
    assert [text.get_text() for text in figure.texts] == ["Confusion", "3 of 6 right, 50.0%"]


def test_classes_are_numbers_without_names() -> None:
    (axes,) = plots.confusion_matrix(LABELS, PREDICTIONS).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "1", "2"]


def test_many_classes_have_no_numbers() -> None:
    labels = np.arange(40)
    (axes,) = plots.confusion_matrix(labels, labels).axes
    assert not axes.texts


@pytest.mark.parametrize(
    ("labels", "predictions", "classes", "rule"),
    [
        ([0, 1], [0], None, r"\(labels=2, predictions=1\)"),
        ([], [], None, r"\(labels=0, predictions=0\)"),
        ([0, 2], [0, 1], ["a", "b"], r"\(classes=2, least=0, most=2\)"),
        ([0, -1], [0, 1], None, r"\(classes=2, least=-1, most=1\)"),
    ],
)
def test_mistakes(labels: Any, predictions: Any, classes: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"confusion_matrix: .*{rule}"):
        plots.confusion_matrix(np.array(labels, int), np.array(predictions, int), classes)
