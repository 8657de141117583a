"""Pictures of results: each layer's share of the peak, and whole networks beside their peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from .report import duration, number

__all__ = ["draw", "overview", "save"]

_BATCH_COLOURS = ("#2a6f97", "#e07a3f", "#6a994e", "#7b5ea7")
_PEER_COLOURS = {
    "torch-eager": "#f4b183",
    "torch-channels-last": "#ed8a4c",
    "torch-jit": "#d9622b",
    "torch-inductor": "#a8400f",
    "onnxruntime": "#2a6f97",
    "openvino": "#7b5ea7",
    "ncnn": "#6a994e",
    "numpy": "#b0b0b0",
}
_LINE = "#333333"
_GOAL = 0.55  # of the peak, demanded of layers over 50 MFLOP
_SMALL = 50e6
_BARS_IN_ROW = 60
_RATIO = "Time of the others over fastconv's"


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw what a results file holds."""
    figure = _kernels(content) if content["command"] == "kernels" else _networks(content)
    save(figure, path, dpi=110)


def save(figure: Figure, path: Path, dpi: int) -> None:
    figure.savefig(path, dpi=dpi, bbox_inches="tight")
    pyplot.close(figure)


def _title(content: dict[str, Any], what: str) -> str:
    machine = content["machine"]
    return (
        f"{what}\n{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, "
        f"measured peak {content['peak_gflops']:.0f} GFLOP/s"
    )


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


# Kernels: a panel for each network and operation, a bar for each layer and batch size.

_Panel = tuple[str, list[dict[str, Any]]]


def _kernels(content: dict[str, Any]) -> Figure:
    rows = [row for row in content["rows"] if "share" in row]
    panels: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        panels.setdefault(_panel_title(row), []).append(row)
    lines = _pack(list(panels.items()))
    batches = sorted({row["batch"] for row in rows})
    figure = pyplot.figure(figsize=(17, 0.9 + 2.9 * len(lines)), layout="constrained")
    figure.suptitle(_title(content, "Share of the FMA peak, layer by layer"), fontsize=12)
    handles = [
        Patch(color=_BATCH_COLOURS[i % len(_BATCH_COLOURS)], label=f"batch {batch}")
        for i, batch in enumerate(batches)
    ]
    handles.append(Patch(color="#cccccc", label="pale: under 50 MFLOP"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    grid = figure.add_gridspec(max(len(lines), 1), 1)
    for i, line in enumerate(lines):
        room = max(_BARS_IN_ROW - sum(map(_bars, line)), 0)
        widths = [*map(_bars, line), *([room] if room else [])]
        spots = grid[i].subgridspec(1, len(widths), width_ratios=widths)
        for j, panel in enumerate(line):
            _draw_panel(figure.add_subplot(spots[j]), panel, batches)
    return figure


def _panel_title(row: dict[str, Any]) -> str:
    if row["op"] != "conv-backward":
        return str(row["network"])
    return f"{row['network']}, gradient by {row['shape'].rpartition(', d')[2]}"


def _bars(panel: _Panel) -> int:
    """How wide a panel is, in bars: room for its title, its layers and the axis."""
    title, rows = panel
    return max(len({_key(row) for row in rows}), len(title) // 3) + 2


def _pack(panels: list[_Panel]) -> list[list[_Panel]]:
    """Panels side by side, in their order, as long as bars stay wide enough to read."""
    lines: list[list[_Panel]] = []
    for panel in panels:
        if lines and sum(map(_bars, [*lines[-1], panel])) <= _BARS_IN_ROW:
            lines[-1].append(panel)
        else:
            lines.append([panel])
    return lines


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["name"], row["shape"]


def _draw_panel(axes: Axes, panel: _Panel, all_batches: list[int]) -> None:
    title, rows = panel
    keys = list(dict.fromkeys(_key(row) for row in rows))
    places = {key: place for place, key in enumerate(keys)}
    batches = sorted({row["batch"] for row in rows})
    width = 0.84 / len(batches)
    for row in rows:
        offset = (batches.index(row["batch"]) - (len(batches) - 1) / 2) * width
        axes.bar(
            places[_key(row)] + offset,
            row["share"],
            width,
            color=_BATCH_COLOURS[all_batches.index(row["batch"]) % len(_BATCH_COLOURS)],
            alpha=1.0 if row["flop"] > _SMALL else 0.4,
        )
    axes.axhline(1, color=_LINE, linewidth=0.9)
    axes.axhline(_GOAL, color=_LINE, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xticks(range(len(keys)), [_short(name) for name, _ in keys], rotation=90, fontsize=7.5)
    axes.set_xlim(-0.7, _bars(panel) - 2.3)
    axes.set_ylim(0, max(1.05, 1.05 * max(row["share"] for row in rows)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    _style(axes)


def _short(name: str) -> str:
    return (
        name.removeprefix("inception")
        .removesuffix(".conv")
        .replace(".branch", ".b")
        .replace("downsample.0", "down")
    )


# Networks: a panel for each batch size, a group of bars for each network.


def _networks(content: dict[str, Any]) -> Figure:
    results = content["results"]
    batches = sorted({result["batch"] for result in results})
    panels = {
        f"batch {batch}": [result for result in results if result["batch"] == batch]
        for batch in batches
    }
    what = "a training step" if content["command"] == "training" else "inference"
    return _beside_peers(_title(content, f"{_RATIO}, {what}"), panels)


def overview(inference: dict[str, Any], training: dict[str, Any] | None) -> Figure:
    """Inference of one picture, of each network's largest batch, and training steps, if any."""
    largest: dict[str, dict[str, Any]] = {}
    for result in sorted(inference["results"], key=lambda result: int(result["batch"])):
        largest[result["network"]] = result
    first = [result for result in inference["results"] if result["batch"] == 1]
    panels = {
        "one picture": first,
        "a batch": [result for result in largest.values() if result["batch"] > 1],
        "a training step": training["results"] if training else [],
    }
    shown = {title: part for title, part in panels.items() if part}
    return _beside_peers(_title(inference, _RATIO), shown)


def _beside_peers(title: str, panels: dict[str, list[dict[str, Any]]]) -> Figure:
    found = {name for part in panels.values() for result in part for name in result["samples"]}
    peers = [name for name in _PEER_COLOURS if name in found]
    figure, grid = pyplot.subplots(
        len(panels), 1, figsize=(16, 1.1 + 3 * len(panels)), squeeze=False, layout="constrained"
    )
    figure.suptitle(title, fontsize=12)
    handles = [Patch(color=_PEER_COLOURS[peer], label=peer) for peer in peers]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    for axes, (name, part) in zip(grid[:, 0], panels.items(), strict=True):
        for place, result in enumerate(part):
            _group(axes, place, result, [peer for peer in peers if peer in result["samples"]])
        axes.axhline(1, color=_LINE, linewidth=0.9)
        axes.set_yscale("log")
        axes.margins(0.02, 0.16)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("fastconv is faster above 1", fontsize=8)
        axes.set_xticks(range(len(part)), [_network_label(result) for result in part], fontsize=9)
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        _style(axes)
    return figure


def _group(axes: Axes, place: int, result: dict[str, Any], peers: list[str]) -> None:
    """The bars of one network, which grow from 1 up or down."""
    ours = result["samples"]["fastconv"]["median_s"]
    width = 0.84 / max(len(peers), 4)
    for i, peer in enumerate(peers):
        ratio = result["samples"][peer]["median_s"] / ours
        x = place + (i - (len(peers) - 1) / 2) * width
        axes.bar(x, ratio - 1, width * 0.94, bottom=1, color=_PEER_COLOURS[peer])
        axes.annotate(
            number(ratio, 2),
            (x, ratio),
            (0, 2 if ratio >= 1 else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if ratio >= 1 else "top",
            fontsize=7,
        )


def _network_label(result: dict[str, Any]) -> str:
    network = result["network"].replace(":", "\n").replace("@", "\n")  # a Subject's parts
    return (
        f"{network}\nbatch {result['batch']}, {duration(result['samples']['fastconv']['median_s'])}"
    )
