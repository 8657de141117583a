"""The roofline plot of a profile (Williams, Waterman and Patterson 2009)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .profile import Profile

__all__ = ["draw_roofline"]


def draw_roofline(profile: Profile, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw every step with multiply-adds at its FLOP per byte and its GFLOP/s."""
    from ..plots.canvas import ACCENT, INK, SECOND, finish, heading, new_figure

    steps = [step for step in profile.steps if step.flop]
    if not steps:
        raise ValueError("plot: the network has no steps with multiply-adds (steps=0)")
    figure = new_figure(7, 4.2)
    heading(figure, "Steps under the roof", profile.name)
    axes = figure.add_axes((0.1, 0.14, 0.87, 0.74))
    intensity = np.array([step.flop / step.bytes for step in steps])
    speed = np.array([step.gflops for step in steps])
    share = np.array([step.seconds for step in steps]) / profile.seconds

    ridge = profile.peak_gflops / profile.bandwidth
    ends = np.array([min(intensity.min(), ridge) / 2, max(intensity.max(), ridge) * 2])
    line = np.array([ends[0], ridge, ends[1]])
    roof = np.minimum(profile.peak_gflops, line * profile.bandwidth)
    axes.plot(line, roof, color=INK, linewidth=1.4)
    axes.text(ends[1], profile.peak_gflops * 1.05, f"{profile.peak_gflops:.0f} GFLOP/s", ha="right")
    middle = (ends[0] * ridge) ** 0.5
    axes.text(
        middle, middle * profile.bandwidth * 1.2, f"{profile.bandwidth:.0f} GB/s  ", ha="right"
    )
    winograd = np.array([step.algorithm.startswith("winograd") for step in steps])
    for label, chosen, colour in (("direct", ~winograd, ACCENT), ("Winograd", winograd, SECOND)):
        if chosen.any():
            sizes = 12 + 900 * share[chosen]
            axes.scatter(
                intensity[chosen],
                speed[chosen],
                sizes,
                color=colour,
                alpha=0.6,
                linewidth=0,
                label=label,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("multiply-adds of the formula, FLOP a byte")
    axes.set_ylabel("GFLOP/s")
    axes.legend(frameon=False, loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return finish(figure, path)
