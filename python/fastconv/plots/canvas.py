"""Figures, panels and colours that all pictures share."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "DIM",
    "FAINT",
    "INK",
    "SECOND",
    "as_drawn",
    "epoch_axes",
    "finish",
    "heading",
    "new_figure",
    "panels",
    "show",
]

INK = "#22252b"
FAINT = "#c9ced6"
ACCENT = "#2566b8"
SECOND = "#c8552b"

DIM = "#6b7280"

_DPI = 144
_SIDE = 0.12  # inches around what is drawn
_TOP = 0.42  # and above it, for the heading
_GAP = 0.08  # between panels, of a panel


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inches) that belongs to no window and to no global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        message = "plots: pictures need matplotlib: pip install 'fastconv[plots]'"
        raise ImportError(message) from error
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """Save the figure if there is a path (the suffix decides the format), and return it."""
    if path is not None:
        figure.savefig(path, dpi=_DPI)
    return figure


def heading(canvas: Any, text: str, note: str = "") -> None:
    """Put a title at the upper left of a figure or of a part of one, and a fainter note beside."""
    width, height = _inches(canvas)
    x, y = _SIDE / width, 1 - _SIDE / height
    canvas.text(x, y, text, size=11, weight="bold", color=INK, va="top")
    canvas.text(1 - x, y, note, size=9, color=DIM, va="top", ha="right")


def panels(canvas: Any, count: int, columns: int, caption: float = 0.0) -> list[Any]:
    """Return `count` square panels in rows of `columns`, leaving `caption` of a panel below each.

    They fill a figure or a part of one, below its heading.
    """
    width, height = _inches(canvas)
    rows = max(1, math.ceil(count / columns))
    size = min(
        (width - 2 * _SIDE) / (columns * (1 + _GAP) - _GAP),
        (height - _TOP - _SIDE) / (rows * (1 + _GAP + caption) - _GAP),
    )
    found = []
    for place in range(count):
        row, column = divmod(place, columns)
        x = _SIDE + column * size * (1 + _GAP)
        y = height - _TOP - size - row * size * (1 + _GAP + caption)
        axes = canvas.add_axes((x / width, y / height, size / width, size / height))
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(FAINT)
            spine.set_linewidth(0.6)
        found.append(axes)
    return found


def show(axes: Any, picture: NDArray[Any], colours: str, low: float, high: float) -> None:
    """Draw a picture (H, W), or (H, W, 3) with values from 0 to 1, without smoothing."""
    axes.imshow(np.asarray(picture), cmap=colours, vmin=low, vmax=high, interpolation="nearest")


def as_drawn(picture: NDArray[Any]) -> NDArray[Any]:
    """Return a picture of one channel or three, (C, H, W), as `show` takes it."""
    drawn: NDArray[Any] = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    return drawn


def epoch_axes(axes: Any) -> None:
    """Dress axes whose horizontal is epochs: faint grid, no box."""
    axes.set_xlabel("epoch", size=8, color=DIM, labelpad=2)
    axes.tick_params(labelsize=8, colors=DIM, length=2.5)
    axes.grid(color=FAINT, linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def _inches(canvas: Any) -> tuple[float, float]:
    """The size of a figure, or of a part of one (whose box is in pixels of the whole)."""
    return canvas.bbox.width / canvas.dpi, canvas.bbox.height / canvas.dpi
