"""The README's table of networks, written from results files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .peers import OURS, TWIN
from .report import number

__all__ = ["table", "write"]

_BEGIN = "<!-- race: written by `python -m benchmarks readme FILE...` -->"
_END = "<!-- end of race -->"


def write(results: Iterable[Path], readme: Path) -> None:
    """Replace what stands between the marks in the README; raises ValueError without them.

    Results of the same number of threads share a table.
    """
    text = readme.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"readme: {readme} must have the marks {_BEGIN} and {_END}")
    parts = [table(content) for content in _by_threads(results)]
    readme.write_text(f"{before}{begin}\n\n" + "\n\n".join(parts) + f"\n\n{end}{after}")


def _by_threads(results: Iterable[Path]) -> list[dict[str, Any]]:
    """Results of the same number of threads as one, the most threads first."""
    joined: dict[int, dict[str, Any]] = {}
    for path in results:
        content = json.loads(path.read_text())
        known = joined.setdefault(content["machine"]["threads"], content)
        if known is not content:
            known["results"] += content["results"]
    return [joined[threads] for threads in sorted(joined, reverse=True)]


def table(content: dict[str, Any]) -> str:
    """A line for each network, a column for each batch size, the means, and who took part."""
    machine = content["machine"]
    results = {(result["network"], result["batch"]): result for result in content["results"]}
    networks = list(dict.fromkeys(name for name, _ in results))
    batches = sorted({batch for _, batch in results})
    threads = machine["threads"]
    lines = [
        f"**{threads} thread{'s' if threads > 1 else ''}** ({machine['cpu']}, {machine['isa']}; "
        f"{_versions(content)}):",
        "",
        _row(["", *(f"batch {batch}" for batch in batches)]),
        _row(["---"] * (1 + len(batches))),
    ]
    for name in networks:
        lines.append(_row([name, *(_cell(results.get((name, batch))) for batch in batches)]))
    means = [
        _mean([result["ratio_to_best_peer"] for (_, b), result in results.items() if b == batch])
        for batch in batches
    ]
    lines += [_row(["geometric mean", *means]), "", "Raced against:"]
    for batch in batches:
        peers = dict.fromkeys(
            name
            for (_, b), result in results.items()
            if b == batch
            for name in result["samples"]
            if name not in (OURS.name, TWIN.name)
        )
        lines.append(f"- batch {batch}: {', '.join(peers) or 'nobody'}")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return ""
    milliseconds = 1e3 * result["samples"]["fastconv"]["median_s"]
    text = f"{number(milliseconds)} ms" if milliseconds >= 1 else f"{1e3 * milliseconds:.0f} us"
    best = result["best_peer"]
    if best is None:
        return text
    return f"{text}, **{result['ratio_to_best_peer']:.2f}** x {best}"


def _mean(ratios: Sequence[float | None]) -> str:
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) < 2:
        return ""
    return f"**{math.exp(sum(map(math.log, known)) / len(known)):.2f}**"


def _versions(content: dict[str, Any]) -> str:
    versions = content["machine"]["versions"]
    peers = ("torch", "onnxruntime", "openvino", "ncnn")
    return ", ".join(f"{peer} {versions[peer]}" for peer in peers if peer in versions)
