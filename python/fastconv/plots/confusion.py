"""Which classes a network takes for which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import DIM, FAINT, INK, finish, heading, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "counts", "draw_confusion_matrix"]

_CELL = 0.46  # inches
_LETTER = 0.065  # inches of a name, of letters of average width
_MOST_NUMBERS = 25  # classes, beyond which cells are too small for numbers


def confusion_matrix(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    classes: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw how many pictures of each class (rows) were taken for each class (columns).

    `labels` and `predictions` are class numbers (N,); `classes` their names, by default numbers up
    to the largest seen. The darker a cell, the larger its share of the row. Saved to `path` if
    given.

    Raises ValueError if lengths differ, there are none, or a class has no name.
    """
    names = _names(labels, predictions, classes)
    side = max(2.2, _CELL * len(names)) + _margin(names)
    figure = new_figure(side + 0.3, side + 0.4)
    draw_confusion_matrix(figure, labels, predictions, classes)
    return finish(figure, path)


def counts(labels: NDArray[Any], predictions: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return how many pictures of class i were taken for class j, as (classes, classes)."""
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def draw_confusion_matrix(
    canvas: Any,
    labels: NDArray[Any],
    predictions: NDArray[Any],
    classes: Sequence[str] | None = None,
) -> None:
    """Draw `confusion_matrix` into a figure or a part of one."""
    names = _names(labels, predictions, classes)
    matrix = counts(labels, predictions, len(names))
    right = int(np.trace(matrix))
    heading(canvas, "Confusion", f"{right:,} of {len(labels):,} right, {right / len(labels):.1%}")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    width = canvas.bbox.width / canvas.dpi
    height = canvas.bbox.height / canvas.dpi
    margin = _margin(names)
    side = min(width - margin - 0.15, height - margin - 0.42)
    left = margin + (width - margin - 0.15 - side) / 2
    axes = canvas.add_axes(
        (left / width, (height - 0.42 - side) / height, side / width, side / height)
    )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    turned = max(map(len, names)) * _LETTER > 0.9 * side / len(names)
    axes.set_xticks(range(len(names)), names, rotation=45 if turned else 0)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8, colors=DIM, length=0, pad=4)
    if turned:
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted", size=8, color=DIM, labelpad=4)
    axes.set_ylabel("true", size=8, color=DIM, labelpad=4)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    # White lines between the cells.
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    if len(names) <= _MOST_NUMBERS:
        size = min(10.0, 26 * side / len(names))
        for row, column in np.argwhere(matrix):
            colour = "white" if shares[row, column] > 0.55 else INK
            text = f"{matrix[row, column]}"
            axes.text(column, row, text, size=size, color=colour, ha="center", va="center")


def _names(
    labels: NDArray[Any], predictions: NDArray[Any], classes: Sequence[str] | None
) -> list[str]:
    if len(labels) != len(predictions) or not len(labels):
        raise ValueError(
            "confusion_matrix: there must be pictures, and one prediction for each label "
            f"(labels={len(labels)}, predictions={len(predictions)})"
        )
    least = int(min(np.min(labels), np.min(predictions)))
    most = int(max(np.max(labels), np.max(predictions)))
    names = [str(n) for n in range(most + 1)] if classes is None else list(classes)
    if least < 0 or most >= len(names):
        raise ValueError(
            "confusion_matrix: every class must have a name "
            f"(classes={len(names)}, least={least}, most={most})"
        )
    return names


def _margin(names: Sequence[str]) -> float:
    """Inches beside and below the cells, for names and what they are."""
    return 0.5 + _LETTER * max(map(len, names))
