"""Profiles: how long each step takes, and how near it comes to what the machine can do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .build import by_node
from .costs import description, macs, moved_bytes
from .graph import Graph
from .packing import Packer
from .plan import Plan
from .table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Profile", "StepProfile", "profile"]


@dataclass(frozen=True)
class StepProfile:
    """One step: the median of its time, and what it would cost by the plain formula."""

    layer: str
    step: str
    algorithm: str
    seconds: float
    flop: int  # of multiply-adds; 0 for steps that have none
    bytes: int  # weights, inputs and output, each once

    @property
    def gflops(self) -> float:
        """GFLOP/s."""
        return self.flop / self.seconds / 1e9

    @property
    def gbytes(self) -> float:
        """GB/s."""
        return self.bytes / self.seconds / 1e9


@dataclass(frozen=True)
class Profile:
    """The steps of a network, and the two roofs over them.

    A step can take no less time than its multiply-adds at `peak_gflops`, nor than its bytes at
    `bandwidth` (GB/s, from memory); its share of the roof is the longer of these over its time. It
    may exceed 1: Winograd's algorithms multiply less than the formula, and caches are faster.
    """

    name: str
    input_shape: tuple[int, ...]
    steps: tuple[StepProfile, ...]
    seconds: float  # the median of whole runs
    peak_gflops: float
    bandwidth: float

    def roof_share(self, step: StepProfile) -> float:
        """Return the least time a step could take, divided by the time it took."""
        least = max(step.flop / self.peak_gflops, step.bytes / self.bandwidth) / 1e9
        return least / step.seconds

    def __str__(self) -> str:
        head = ("layer", "step", "algorithm", "ms", "share", "GFLOP/s", "GB/s", "of roof")
        total = sum(step.seconds for step in self.steps)
        rows = [
            (
                step.layer,
                step.step,
                step.algorithm,
                f"{1e3 * step.seconds:.3f}",
                f"{100 * step.seconds / total:.1f} %",
                f"{step.gflops:.1f}" if step.flop else "",
                f"{step.gbytes:.1f}",
                f"{100 * self.roof_share(step):.0f} %",
            )
            for step in self.steps
        ]
        flop = sum(step.flop for step in self.steps)
        title = f"{self.name}, input {'x'.join(map(str, self.input_shape))}"
        lines = table(title, head, rows, left=3)
        lines.append(
            f"{1e3 * self.seconds:.3f} ms, {flop / self.seconds / 1e9:.1f} GFLOP/s; roofs: "
            f"{self.peak_gflops:.0f} GFLOP/s, {self.bandwidth:.1f} GB/s"
        )
        return "\n".join(lines)

    __repr__ = __str__

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the steps with multiply-adds under their roofs; saved to `path` if given.

        To the right a step has more arithmetic for each byte, above it is faster; larger dots take
        more of the time. Needs the extra `plots`.
        """
        from .roofline import draw_roofline

        return draw_roofline(self, path)


def profile(
    name: str,
    network: _core.Network,
    graph: Graph,
    plan: Plan,
    packer: Packer,
    x: NDArray[Any],
    repeats: int,
) -> Profile:
    """Measure a network's steps and the machine's roofs, these before and after."""
    network.run_timed(x)  # the first run takes an arena and faults it in
    peaks = [_core.measure_peak_gflops()]
    bandwidths = [_core.measure_read_bandwidth()]
    laps = np.stack([network.run_timed(x) for _ in range(repeats)])
    peaks.append(_core.measure_peak_gflops())
    bandwidths.append(_core.measure_read_bandwidth())

    medians = np.median(laps, axis=0)
    steps = []
    if medians[0] > 0.01 * medians.sum():
        size = 2 * 4 * x.size
        steps.append(StepProfile("", "input to NHWC", "", float(medians[0]), 0, size))
    for node, seconds in by_node(graph, plan, medians[1:]).items():
        algorithm = packer.algorithm(node)
        cost = (2 * macs(node), moved_bytes(node))
        seconds = max(seconds, 1e-9)  # a clock that stands still would divide by zero
        steps.append(StepProfile(node.layer, description(node), algorithm, seconds, *cost))
    return Profile(
        name=name,
        input_shape=graph.input.shape,
        steps=tuple(steps),
        seconds=float(np.median(laps.sum(axis=1))),
        peak_gflops=max(peaks),
        bandwidth=max(bandwidths),
    )
