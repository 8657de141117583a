"""One picture of a whole experiment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Conv2d, Module
from ..train import History, predict
from .canvas import DIM, INK, finish, heading, new_figure, panels, show
from .network import draw_feature_maps, draw_filters
from .results import draw_errors, draw_training_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["demo_sheet"]


def demo_sheet(
    net: Module,
    history: History,
    images: NDArray[Any],
    labels: NDArray[Any],
    layers: tuple[str, str] | None = None,
    title: str = "LeNet-5 on handwritten digits",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a network of digits on one sheet: its first filters, its training, the feature maps of
    two `layers` (default: its first two convolutions) for the first picture, and its errors on
    `images` (N, 1, H, W) with `labels` (N,). Saved to `path` if given.

    Raises ValueError if the network has fewer than two convolutions and no layers are given.
    """
    shallow, deep = _first_convolutions(net) if layers is None else layers
    predictions = predict(net, images)
    right = float(np.mean(predictions == labels))
    figure = new_figure(11.5, 8.55)
    rows: Any = figure.subfigures(4, 1, height_ratios=[0.55, 2.6, 2.5, 2.9])
    top, first, second, third = rows
    top.text(0.011, 0.4, title, size=17, weight="bold", color=INK, va="center")
    top.text(
        0.989,
        0.4,
        f"{right:.2%} of {len(labels):,} test pictures right",
        size=12,
        color=DIM,
        va="center",
        ha="right",
    )
    left, curve = first.subfigures(1, 2, width_ratios=[3.4, 8.1])
    draw_filters(left, net, 6, 3)
    draw_training_curve(curve, history)
    picture, maps1, maps2 = second.subfigures(1, 3, width_ratios=[1.95, 3.15, 6.4])
    heading(picture, "A digit", f"{labels[0]} seen as {predictions[0]}")
    show(panels(picture, 1, 1)[0], images[0, 0], "gray_r", 0, 1)
    draw_feature_maps(maps1, net, images[:1], shallow, 3)
    draw_feature_maps(maps2, net, images[:1], deep, 8)
    draw_errors(third, images, labels, predictions, 24, 12)
    return finish(figure, path)


def _first_convolutions(net: Module) -> tuple[str, str]:
    names = [name for name, module in net.named_modules() if isinstance(module, Conv2d)]
    if len(names) < 2:
        raise ValueError(
            f"demo_sheet: the network must have two convolutions (convolutions={len(names)})"
        )
    return names[0], names[1]
