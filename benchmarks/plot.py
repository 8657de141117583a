"""Pictures of results: each layer's share of the peak, and whole networks beside their peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

__all__ = ["draw"]

_COLOURS = ("#2a6f97", "#e07a3f", "#6a994e", "#7b5ea7", "#c9a227", "#8d6e63", "#4d908e", "#b5485d")
_GOAL = 0.55


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw what a results file holds."""
    if content["command"] == "kernels":
        figure = _kernels(content)
    else:
        figure = _networks(content)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def _title(content: dict[str, Any], what: str) -> str:
    machine = content["machine"]
    return (
        f"{what}\n{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, "
        f"peak {content['peak_gflops']:.0f} GFLOP/s"
    )


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


# Kernels: a panel for each network, a bar for each layer and batch size.


def _kernels(content: dict[str, Any]) -> Any:
    rows = [row for row in content["rows"] if "share" in row]
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        kind = "backward" if row["op"] == "conv-backward" else "forward"
        panels.setdefault((row["network"], kind), []).append(row)
    batches = sorted({row["batch"] for row in rows})
    width = 3 + 0.24 * max((len({_key(r) for r in p}) for p in panels.values()), default=1)
    figure, grid = pyplot.subplots(
        max(len(panels), 1),
        1,
        figsize=(min(max(width, 9), 22), 0.6 + 3.1 * max(len(panels), 1)),
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(_title(content, "Share of the FMA peak, layer by layer"), fontsize=12)
    for axes, ((network, kind), part) in zip(grid[:, 0], panels.items(), strict=False):
        _panel(axes, part, batches)
        label = network if kind == "forward" else f"{network}, gradients of convolutions"
        axes.set_title(label, loc="left", fontsize=10, fontweight="bold")
    if panels:
        grid[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False)
    return figure


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["name"], row["shape"]


def _panel(axes: Axes, rows: list[dict[str, Any]], batches: list[int]) -> None:
    keys = list(dict.fromkeys(_key(row) for row in rows))
    width = 0.84 / len(batches)
    for i, batch in enumerate(batches):
        shares = {_key(row): row["share"] for row in rows if row["batch"] == batch}
        places = [place for place, key in enumerate(keys) if key in shares]
        axes.bar(
            [place + (i - (len(batches) - 1) / 2) * width for place in places],
            [shares[keys[place]] for place in places],
            width,
            color=_COLOURS[i % len(_COLOURS)],
            label=f"batch {batch}",
        )
    axes.axhline(1, color="#333333", linewidth=0.9)
    axes.axhline(_GOAL, color="#333333", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xticks(range(len(keys)), [_label(key) for key in keys], rotation=90, fontsize=7)
    axes.set_xlim(-0.7, len(keys) - 0.3)
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    _style(axes)


def _label(key: tuple[str, str]) -> str:
    name, shape = key
    return name + (", " + shape.rpartition(", ")[2] if shape.endswith(("dinput", "dweight")) else "")


# Networks: a panel for each batch size, a group of bars for each network.


def _networks(content: dict[str, Any]) -> Any:
    results = content["results"]
    batches = sorted({result["batch"] for result in results})
    peers = [
        name
        for name in dict.fromkeys(name for result in results for name in result["samples"])
        if name != "fastconv"
    ]
    figure, grid = pyplot.subplots(
        len(batches), 1, figsize=(11, 0.8 + 3.2 * len(batches)), squeeze=False, layout="constrained"
    )
    what = "Training steps" if content["command"] == "training" else "Inference"
    figure.suptitle(
        _title(content, f"{what}: how many times as fast fastconv is (above 1: faster)"),
        fontsize=12,
    )
    for axes, batch in zip(grid[:, 0], batches, strict=True):
        part = [result for result in results if result["batch"] == batch]
        width = 0.86 / max(len(peers), 1)
        for i, peer in enumerate(peers):
            ratios = [
                (place, r["samples"][peer]["median_s"] / r["samples"]["fastconv"]["median_s"])
                for place, r in enumerate(part)
                if peer in r["samples"]
            ]
            bars = axes.bar(
                [place + (i - (len(peers) - 1) / 2) * width for place, _ in ratios],
                [ratio for _, ratio in ratios],
                width,
                color="#9e9e9e" if peer == "numpy" else _COLOURS[i % len(_COLOURS)],
                label=peer,
            )
            axes.bar_label(bars, fmt="%.2g", fontsize=6, rotation=90, padding=2)
        axes.axhline(1, color="#333333", linewidth=0.9)
        axes.set_yscale("log")
        axes.margins(y=0.25)
        axes.set_xticks(range(len(part)), [_network_label(result) for result in part], fontsize=9)
        axes.set_title(f"batch {batch}", loc="left", fontsize=10, fontweight="bold")
        _style(axes)
    grid[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=8)
    return figure


def _network_label(result: dict[str, Any]) -> str:
    return f"{result['network']}\n{result['samples']['fastconv']['median_s'] * 1e3:.3g} ms"
