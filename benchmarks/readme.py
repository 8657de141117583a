"""The README's tables and picture of networks, written from results files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .peers import OURS, TWIN
from .plot import overview, save
from .report import duration

__all__ = ["steps", "table", "write"]

_BEGIN = "<!-- race: written by `python -m benchmarks readme FILE...` -->"
_END = "<!-- end of race -->"


def write(results: Iterable[Path], readme: Path, picture: Path) -> None:
    """Replace what stands between the marks in the README; raises ValueError without them.

    Results of the same command and number of threads share a table. The picture shows those of
    the most threads.
    """
    text = readme.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"readme: {readme} must have the marks {_BEGIN} and {_END}")
    contents = [json.loads(path.read_text()) for path in results]
    inference = _by_threads(c for c in contents if c["command"] == "networks")
    training = _by_threads(c for c in contents if c["command"] == "training")
    if not inference:
        raise ValueError("readme: there must be results of `python -m benchmarks networks`")
    save(overview(inference[0], training[0] if training else None), picture, dpi=80)
    shown = f"![times of the others over fastconv's]({_relative(picture, readme)})"
    parts = [shown, *map(table, inference), *map(steps, training)]
    readme.write_text(f"{before}{begin}\n\n" + "\n\n".join(parts) + f"\n\n{end}{after}")


def _relative(picture: Path, readme: Path) -> str:
    return Path(os.path.relpath(picture, readme.parent)).as_posix()


def _by_threads(contents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of the same number of threads as one, the most threads first."""
    joined: dict[int, dict[str, Any]] = {}
    for content in contents:
        known = joined.setdefault(content["machine"]["threads"], content)
        if known is not content:
            known["results"] += content["results"]
    return [joined[threads] for threads in sorted(joined, reverse=True)]


def table(content: dict[str, Any]) -> str:
    """A line for each network, a column for each batch size, the means, and who took part."""
    results = {(result["network"], result["batch"]): result for result in content["results"]}
    networks = list(dict.fromkeys(name for name, _ in results))
    batches = sorted({batch for _, batch in results})
    lines = [
        _head("Inference", content),
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
        taking_part = _peers(result for (_, b), result in results.items() if b == batch)
        lines.append(f"- batch {batch}: {taking_part}")
    return "\n".join(lines)


def steps(content: dict[str, Any]) -> str:
    """A line for the training step of each network, and who took part."""
    results = content["results"]
    return "\n".join(
        [
            _head("A training step", content),
            "",
            _row(["", "batch", ""]),
            _row(["---"] * 3),
            *(_row([result["network"], str(result["batch"]), _cell(result)]) for result in results),
            _row(["geometric mean", "", _mean([r["ratio_to_best_peer"] for r in results])]),
            "",
            f"Raced against: {_peers(results)}",
        ]
    )


def _head(what: str, content: dict[str, Any]) -> str:
    machine = content["machine"]
    threads = machine["threads"]
    return (
        f"**{what}, {threads} thread{'s' if threads > 1 else ''}** "
        f"({machine['cpu']}, {machine['isa']}; {_versions(content)}):"
    )


def _peers(results: Iterable[dict[str, Any]]) -> str:
    names = dict.fromkeys(name for result in results for name in result["samples"])
    return ", ".join(name for name in names if name not in (OURS.name, TWIN.name)) or "nobody"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return ""
    text = duration(result["samples"]["fastconv"]["median_s"])
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
