"""How a training went, and what the network still gets wrong."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..train import History
from .canvas import (
    ACCENT,
    DIM,
    FAINT,
    SECOND,
    as_drawn,
    epoch_axes,
    finish,
    heading,
    new_figure,
    panels,
    show,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_errors", "draw_training_curve", "errors", "training_curve"]

_COLUMNS = 8


def training_curve(history: History, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw loss and learning rate of every step, and the accuracy after every epoch. Saved to
    `path` if given.

    Raises ValueError if no step was taken.
    """
    figure = new_figure(8, 3.2)
    draw_training_curve(figure, history)
    return finish(figure, path)


def errors(
    images: NDArray[Any],
    labels: NDArray[Any],
    predictions: NDArray[Any],
    limit: int = 32,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the pictures (N, C, H, W), of 1 or 3 channels, whose prediction (N,) is not the label
    (N,): the first `limit` (32), each with what it shows and what was predicted. Saved to `path`
    if given.

    Raises ValueError if lengths differ or the pictures are of another shape.
    """
    wrong = _wrong(images, labels, predictions)
    rows = max(1, math.ceil(min(limit, len(wrong)) / _COLUMNS))
    figure = new_figure(7, 0.6 + 1.1 * rows)
    draw_errors(figure, images, labels, predictions, limit, _COLUMNS)
    return finish(figure, path)


def draw_training_curve(canvas: Any, history: History) -> None:
    """Draw `training_curve` into a figure or a part of one."""
    if not history.steps:
        raise ValueError(f"training_curve: the history must have steps (steps={history.steps})")
    note = f"{history.steps:,} steps, {history.seconds:.1f} s"
    if history.images_per_second:
        note += f", {np.median(history.images_per_second):,.0f} images/s"
    heading(canvas, "Training", note)
    loss_axes, accuracy_axes = canvas.subplots(1, 2)
    canvas.subplots_adjust(left=0.1, right=0.97, bottom=0.16, top=0.8, wspace=0.3)
    loss = np.array(history.loss)
    epochs = max(history.epochs, 1)
    done = np.arange(1, len(loss) + 1) / len(loss) * epochs
    loss_axes.plot(done, loss, color=FAINT, linewidth=0.7)
    width = max(1, len(loss) // 50)
    loss_axes.plot(
        done[width - 1 :],
        np.convolve(loss, np.full(width, 1 / width), "valid"),
        color=ACCENT,
        linewidth=1.6,
    )
    if loss.min() > 0:
        loss_axes.set_yscale("log")
        # Single steps of almost no loss would squeeze all the others into the top.
        loss_axes.set_ylim(max(loss.min(), np.percentile(loss, 5) / 3), loss.max() * 1.3)
    _draw_rate(loss_axes, done, np.array(history.lr))
    _label(loss_axes, "loss", epochs)

    lines = [("training", history.train_accuracy, SECOND), ("validation", history.accuracy, ACCENT)]
    lowest = 100.0
    for name, values, colour in lines:
        if values:
            percent = 100 * np.array(values)
            lowest = min(lowest, float(np.median(percent)))
            places = np.arange(1, len(percent) + 1)
            accuracy_axes.plot(
                places, percent, color=colour, linewidth=1.6, marker="o", markersize=2.5, label=name
            )
    # From below the median up: the end is what differs between trainings.
    accuracy_axes.set_ylim(max(0.0, lowest - 2 * (100.0 - lowest) - 1), 100.0)
    if any(values for _, values, _ in lines):
        accuracy_axes.legend(loc="lower right", frameon=False, fontsize=8, labelcolor=DIM)
    _label(accuracy_axes, "accuracy, %", epochs)


def draw_errors(
    canvas: Any,
    images: NDArray[Any],
    labels: NDArray[Any],
    predictions: NDArray[Any],
    limit: int,
    columns: int,
) -> None:
    """Draw `errors` into a figure or a part of one."""
    wrong = _wrong(images, labels, predictions)
    note = f"{len(wrong):,} of {len(labels):,}"
    if len(wrong) > limit:
        note += f", the first {limit}"
    heading(canvas, "Errors", note)
    if not len(wrong):
        canvas.text(0.5, 0.5, "none", size=11, color=DIM, ha="center", va="center")
        return
    shown = wrong[:limit]
    for one, axes in zip(shown, panels(canvas, len(shown), columns, caption=0.3), strict=True):
        show(axes, as_drawn(images[one]), "gray_r", 0, 1)
        text = f"{labels[one]} \N{RIGHTWARDS ARROW} {predictions[one]}"
        axes.set_xlabel(text, size=8, color=SECOND, labelpad=2)


def _draw_rate(axes: Any, done: NDArray[Any], rate: NDArray[Any]) -> None:
    """Draw the learning rate behind a curve, from the bottom (0) to two thirds of the height."""
    highest = rate.max(initial=0.0)
    if highest > 0:
        height = axes.get_xaxis_transform()  # across: epochs; up: shares of the height
        label = f"learning rate, up to {highest:.3g}"
        axes.plot(
            done,
            rate / highest * (2 / 3),
            transform=height,
            color=SECOND,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            label=label,
            zorder=1,
        )
        axes.legend(loc="upper right", frameon=False, fontsize=8, labelcolor=DIM)


def _wrong(
    images: NDArray[Any], labels: NDArray[Any], predictions: NDArray[Any]
) -> NDArray[np.intp]:
    if not len(images) == len(labels) == len(predictions):
        raise ValueError(
            "errors: there must be one label and one prediction for each picture "
            f"(images={len(images)}, labels={len(labels)}, predictions={len(predictions)})"
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"errors: pictures must have 1 or 3 channels (shape={images.shape})")
    return np.flatnonzero(np.asarray(labels) != np.asarray(predictions))


def _label(axes: Any, name: str, epochs: int) -> None:
    axes.set_title(name, size=9, color=DIM, loc="left", pad=4)
    axes.set_xlim(0, epochs * 1.02)
    epoch_axes(axes)
