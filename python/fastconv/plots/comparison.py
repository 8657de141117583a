"""Several trainings side by side, and what the best of them gets most wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import data
from ..train.finetune import Comparison, Mistake, Run
from .canvas import (
    ACCENT,
    DIM,
    INK,
    SECOND,
    as_drawn,
    epoch_axes,
    finish,
    heading,
    new_figure,
    panels,
    show,
)
from .confusion import draw_confusion_matrix
from .grad_cam import class_activation, draw_grad_cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_curves", "draw_accuracy_curves", "draw_mistakes", "finetune_sheet"]

Preset: TypeAlias = "tuple[Sequence[float], Sequence[float]] | data.Preset"

_COLOURS = (DIM, SECOND, ACCENT, INK)
_SHOWN = 8  # mistakes in a row


def accuracy_curves(runs: Sequence[Run], path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the validation accuracy of several runs, epoch by epoch. Saved to `path` if given.

    Raises ValueError if a run has none.
    """
    figure = new_figure(5.5, 3.4)
    draw_accuracy_curves(figure, runs)
    return finish(figure, path)


def finetune_sheet(
    comparison: Comparison,
    classes: Sequence[str],
    title: str = "Fine-tuning",
    *,
    preset: Preset | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what `train.compare_starts` found on one sheet: the accuracy of each start, and of the
    best one its confusion matrix and the pictures it gets most wrong, each above the places that
    spoke for the wrong class (Grad-CAM).

    `classes` are the names of the classes; `preset` says how the network's pictures were
    normalised: a `data.Preset`, or (mean, deviation) of values from 0 to 1, one a channel (default
    None: they lie between 0 and 1). Saved to `path` if given.
    """
    best = comparison.best
    figure = new_figure(11.5, 7.9)
    rows: Any = figure.subfigures(3, 1, height_ratios=[0.55, 3.6, 3.75])
    top, middle, bottom = rows
    top.text(0.011, 0.4, title, size=17, weight="bold", color=INK, va="center")
    summary = "   ".join(f"{run.name} {run.accuracy:.1%}" for run in comparison.runs)
    top.text(0.989, 0.4, summary, size=12, color=DIM, va="center", ha="right")
    left, right = middle.subfigures(1, 2, width_ratios=[6.9, 4.6])
    draw_accuracy_curves(left, comparison.runs)
    draw_confusion_matrix(right, comparison.labels, comparison.predictions, classes)
    draw_mistakes(bottom, best, comparison.mistakes[:_SHOWN], classes, preset)
    return finish(figure, path)


def draw_accuracy_curves(canvas: Any, runs: Sequence[Run]) -> None:
    """Draw `accuracy_curves` into a figure or a part of one."""
    for run in runs:
        if not run.history.accuracy:
            raise ValueError(f"accuracy_curves: a run must have accuracies (run={run.name!r})")
    heading(canvas, "Validation accuracy", "%, after each epoch")
    axes = canvas.subplots()
    canvas.subplots_adjust(left=0.08, right=0.83, bottom=0.12, top=0.86)
    values = [100 * np.array(run.history.accuracy) for run in runs]
    low, high = min(map(np.min, values)), max(map(np.max, values))
    room = max(high - low, 4.0) * 0.08
    ends = _apart([float(v[-1]) for v in values], (high - low + 2 * room) * 0.075)
    longest = max(map(len, values))
    for number, (run, percent, end) in enumerate(zip(runs, values, ends, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        places = np.arange(1, len(percent) + 1)
        axes.plot(places, percent, color=colour, linewidth=1.8, marker="o", markersize=2.8)
        # Names where the lines end, instead of a legend.
        axes.annotate(
            f"{run.name} {percent[-1]:.1f}",
            (longest, end),
            (8, 0),
            textcoords="offset points",
            size=9,
            color=colour,
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(max(0.0, low - room), min(100.0, high + room) + 0.5)
    axes.set_xlim(1 - 0.02 * longest, longest + 0.02 * longest)
    axes.locator_params(axis="x", integer=True, nbins=min(10, longest + 1))
    epoch_axes(axes)


def draw_mistakes(
    canvas: Any,
    run: Run,
    mistakes: Sequence[Mistake],
    classes: Sequence[str],
    preset: Preset | None = None,
) -> None:
    """Draw pictures that a run's network takes for the wrong class, the surest first, and below
    each where it sees that class."""
    note = "above the true class, below the answer and what speaks for it"
    heading(canvas, f"Most wrong, {run.name}", note)
    if not mistakes:
        canvas.text(0.5, 0.5, "none", size=11, color=DIM, ha="center", va="center")
        return
    count = len(mistakes)
    axes = panels(canvas, 2 * max(count, 4), max(count, 4), caption=0.22)
    above, below = axes[: len(axes) // 2], axes[len(axes) // 2 :]
    for one in (*above[count:], *below[count:]):
        one.remove()
    for mistake, picture_axes, map_axes in zip(mistakes, above, below, strict=False):
        shown = as_drawn(_plain(mistake.picture, preset))
        show(picture_axes, shown, "gray", 0, 1)
        found = class_activation(run.net, mistake.picture, mistake.prediction)
        draw_grad_cam([map_axes], shown, found.map)
        picture_axes.set_xlabel(classes[mistake.label], size=8, color=INK, labelpad=2)
        map_axes.set_xlabel(
            f"{classes[mistake.prediction]} {mistake.probability:.0%}",
            size=8,
            color=SECOND,
            labelpad=2,
        )


def _plain(picture: NDArray[Any], preset: Preset | None) -> NDArray[Any]:
    """Undo a picture's normalisation."""
    if isinstance(preset, data.Preset):
        mean, scale = (np.reshape(values, (-1, 1, 1)) for values in (preset.mean, preset.scale))
        picture = (picture / scale + mean) / 255
        picture = picture[::-1] if preset.order == "BGR" else picture
    elif preset is not None:
        mean, deviation = (np.reshape(values, (-1, 1, 1)) for values in preset)
        picture = picture * deviation + mean
    plain: NDArray[Any] = np.clip(picture, 0, 1)
    return plain


def _apart(values: list[float], least: float) -> list[float]:
    """Move values so that they lie at least `least` apart, by the least squares of ways."""
    order = np.argsort(values, kind="stable")
    room = least * np.arange(len(values))
    # Less the room that each needs they only must not fall: isotonic regression, whose solution
    # is means of neighbours that were in the wrong order.
    groups: list[list[float]] = []
    for value in np.array(values)[order] - room:
        groups.append([float(value)])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    moved = np.empty(len(values))
    moved[order] = [np.mean(group) for group in groups for _ in group] + room
    return [float(value) for value in moved]
