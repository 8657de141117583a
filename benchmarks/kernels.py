"""Every layer shape, one by one: ours against the roof, the NumPy twin and the peers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import fastconv
from fastconv import _core

from . import cases, layers
from .layers import Conv, ConvGradient, Entry, Gemm, Layer, Network
from .peers import OURS, TWIN, Peer, Unsupported, Workload
from .peers.exporter import Exporter
from .peers.process import PeerFailed, PeerProcess
from .report import Table, number
from .timing import Budget, PeakMeter, Sample, Turn, alternate, repeat

__all__ = ["OPS", "Kernels", "Row", "failures"]

OPS: dict[str, tuple[str, ...]] = {
    "conv": ("conv",),
    "pool": ("max-pool", "avg-pool", "adaptive-avg-pool"),
    "gemm": ("gemm",),
    "linear": ("linear",),
    "lrn": ("lrn",),
    "conv-backward": ("conv-backward",),
}
_PEER_SLACK = 32.0  # others' Winograd transforms lose more digits than plain sums


@dataclass(frozen=True)
class Row:
    """What was measured of one layer at one batch size; `problem` if its answer was wrong."""

    network: str
    entry: Entry
    batch: int
    samples: dict[str, Sample] = field(default_factory=dict)
    peak_gflops: float = 0.0
    error: float = 0.0
    algorithm: str = ""
    problem: str = ""

    @property
    def seconds(self) -> float:
        return self.samples[OURS.name].median

    @property
    def flop(self) -> int:
        return self.entry.layer.flop(self.batch)

    @property
    def gflops(self) -> float:
        return self.flop / self.seconds / 1e9

    @property
    def share(self) -> float:
        """Of the peak measured around it."""
        return self.gflops / self.peak_gflops

    @property
    def best_peer(self) -> str | None:
        """The fastest competitor, not counting the twin."""
        others = set(self.samples) - {OURS.name, TWIN.name}
        return min(others, key=lambda name: self.samples[name].median, default=None)

    @property
    def times_twin(self) -> float:
        return self.samples[TWIN.name].median / self.seconds

    def as_json(self) -> dict[str, Any]:
        layer = self.entry.layer
        values: dict[str, Any] = {
            "network": self.network,
            "name": self.entry.name,
            "count": self.entry.count,
            "op": layer.op,
            "shape": str(layer),
            "batch": self.batch,
            "flop": self.flop,
            "bytes": layer.bytes(self.batch),
        }
        if self.problem:
            return values | {"problem": self.problem}
        values |= {
            "peak_gflops": self.peak_gflops,
            "gb_per_s": layer.bytes(self.batch) / self.seconds / 1e9,
            "times_twin": self.times_twin,
            "error": self.error,
            "algorithm": self.algorithm,
            "samples": {name: sample.as_json() for name, sample in self.samples.items()},
        }
        return values | ({"gflops": self.gflops, "share": self.share} if self.flop else {})


def selected(network: Network, ops: Sequence[str]) -> list[Entry]:
    """The entries of a network that some operations name; gradients belong to convolutions."""
    kinds = {kind for op in ops for kind in OPS[op]}
    entries = [entry for entry in network.entries if entry.layer.op in kinds]
    if "conv-backward" in kinds:
        for place, entry in enumerate(network.entries):
            if isinstance(entry.layer, Conv):
                # Nobody asks for the gradient of a picture.
                for wrt in ("input", "weight") if place else ("weight",):
                    entries.append(Entry(entry.name, entry.count, ConvGradient(entry.layer, wrt)))
    return entries


class _Opponents:
    """The competitors' processes, which live as long as the benchmark."""

    def __init__(self, peers: Sequence[type[Peer]], stack: ExitStack) -> None:
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._exporter = stack.enter_context(Exporter(peers))
        threads = fastconv.get_num_threads()
        self._processes = [stack.enter_context(PeerProcess(peer, threads)) for peer in peers]
        self._said: set[str] = set()

    def turns(self, entry: Entry, batch: int, case: cases.Case) -> dict[str, Turn]:
        """Those who can run a layer, and whose answer is right, by name; says who does not."""
        turns: dict[str, Turn] = {}
        if not self._processes:
            return turns
        op = entry.layer.op
        workload = Workload(batch, self._folder, layer=entry.layer)
        unusable = self._exporter.prepare(workload)
        for kind, problem in unusable.items():
            self._say_once(f"no {kind} file of {op}: {problem}")
        for process in self._processes:
            name = process.peer.name
            if process.peer.file in unusable:
                continue
            try:
                answer = process.prepare(workload)
                cases.compare(answer, case.run(), case.length, _PEER_SLACK)
                turns[name] = process.turn
            except Unsupported as reason:
                self._say_once(f"{name} leaves out {op}: {reason}")
            except (PeerFailed, cases.WrongAnswer) as reason:
                print(f"  {name} is left out of {entry.name}: {reason}")
        return turns

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print(f"  {text}")


class Kernels:
    """One run of the benchmark; a shape that several networks have is measured once."""

    def __init__(
        self, budget: Budget, peers: Sequence[type[Peer]] = (), algorithm: str = "direct"
    ) -> None:
        self.budget = budget
        self.peers = peers
        self.algorithm = algorithm
        self.peak = PeakMeter(_core.measure_peak_gflops, budget.peak_seconds)
        self.rows: list[Row] = []
        self._done: dict[tuple[Layer, int], Row] = {}

    def run(self, networks: Sequence[str], batches: Sequence[int], ops: Sequence[str]) -> None:
        """Measure and print; the rows stay in `rows`."""
        loaded = [layers.load(name) for name in networks]
        if "gemm" in ops:
            loaded.append(layers.load("gemm"))
        with ExitStack() as stack:
            opponents = _Opponents(self.peers, stack)
            self.peak.read()
            for network in loaded:
                entries = selected(network, ops)
                if not entries:
                    continue
                table = self._table(entries)
                print(f"\n{network.name} {network.variant}".rstrip(), table.head(), sep="\n")
                rows = []
                for batch in batches if network.name != "gemm" else [1]:
                    for entry in entries:
                        row = self._measure(network.name, entry, batch, opponents)
                        print(self._line(table, row), flush=True)
                        rows.append(row)
                self.rows += rows
                print(*summary(rows), sep="\n")

    def _measure(self, network: str, entry: Entry, batch: int, opponents: _Opponents) -> Row:
        known = self._done.get((entry.layer, batch))
        if known is not None:
            return replace(known, network=network, entry=entry)
        row = Row(network, entry, batch)
        try:
            case = cases.prepare(entry.layer, batch, self.algorithm)
            row = replace(row, error=case.check(), algorithm=case.algorithm)
        except cases.WrongAnswer as problem:
            row = replace(row, problem=f"WRONG: {problem}")
        else:
            turns: dict[str, Turn] = {
                OURS.name: partial(repeat, case.run),
                **opponents.turns(entry, batch, case),
                TWIN.name: partial(repeat, case.twin),
            }
            seconds = dict.fromkeys(turns, self.budget.seconds)
            seconds[TWIN.name] = self.budget.twin_seconds
            before = len(self.peak.readings)
            samples = alternate(turns, self.budget.rounds, seconds, between=self.peak.read)
            samples[TWIN.name] = replace(samples[TWIN.name], calls=case.twin_calls)
            row = replace(row, samples=samples, peak_gflops=self.peak.since(before))
        self._done[entry.layer, batch] = row
        return row

    def _table(self, entries: Sequence[Entry]) -> Table:
        names = [_name(entry) for entry in entries]
        return Table(
            [
                ("layer", Table.width_for(names)),
                ("shape", Table.width_for(str(entry.layer) for entry in entries)),
                ("batch", 5),
                ("MFLOP", 8),
                ("ms", 9),
                ("spread", 6),
                ("GFLOP/s", 7),
                ("of peak", 7),
                ("GB/s", 5),
                ("x twin", 7),
                *([("best peer", -19), ("x best", 6)] if self.peers else []),
            ]
        )

    def _line(self, table: Table, row: Row) -> str:
        cells = [_name(row.entry), str(row.entry.layer), str(row.batch)]
        cells.append(number(row.flop / 1e6, 4) if row.flop else "")
        if row.problem:
            return f"{'  '.join(cells)}  {row.problem}"
        cells += [number(row.seconds * 1e3, 4), f"{row.samples[OURS.name].spread:.0%}"]
        cells += [number(row.gflops), f"{row.share:.1%}"] if row.flop else ["", ""]
        cells.append(number(row.entry.layer.bytes(row.batch) / row.seconds / 1e9))
        cells.append(number(row.times_twin))
        if self.peers:
            best = row.best_peer
            times = number(row.samples[best].median / row.seconds) if best else ""
            cells += [best or "none", times]
        note = f"  {row.algorithm}" if row.algorithm.startswith("winograd") else ""
        return table.row(cells) + note


def _name(entry: Entry) -> str:
    return f"{entry.name} ({entry.count}x)" if entry.count > 1 else entry.name


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each operation with FLOP and batch size: the worst layer, and all together."""
    lines = []
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.flop and not row.problem:
            groups.setdefault((row.entry.layer.op, row.batch), []).append(row)
    for (op, batch), group in groups.items():
        worst = min(group, key=lambda row: row.share)
        flop = sum(row.entry.count * row.flop for row in group)
        at_peak = sum(row.entry.count * row.flop / row.peak_gflops / 1e9 for row in group)
        seconds = sum(row.entry.count * row.seconds for row in group)
        twin = sum(row.entry.count * row.samples[TWIN.name].median for row in group)
        lines.append(
            f"{op}, batch {batch}: all {seconds * 1e3:.3g} ms, {flop / seconds / 1e9:.0f} GFLOP/s, "
            f"{at_peak / seconds:.0%} of the peak, {twin / seconds:.1f} x the twin; "
            f"worst {worst.entry.name} with {worst.share:.0%}"
        )
    return lines


def failures(rows: Sequence[Row], conv_share: float, gemm_share: float) -> list[str]:
    """The rows that miss what `--check` demands, a line each.

    Convolutions over 50 MFLOP need their share of the peak, all must beat the twin; matrix
    products from 512 up need theirs, and must beat NumPy's matmul.
    """
    lines = []
    for row in rows:
        layer = row.entry.layer
        what = f"{row.network} {row.entry.name}, {layer}, batch {row.batch}"
        if row.problem:
            lines.append(f"{what}: {row.problem}")
            continue
        share = 0.0
        if isinstance(layer, Conv) and row.flop > 50e6:
            share = conv_share
        large = isinstance(layer, Gemm) and min(layer.rows, layer.inner, layer.columns) >= 512
        if large:
            share = gemm_share
        if share and row.share < share:
            lines.append(f"{what}: {row.share:.1%} of the peak, {share:.0%} demanded")
        if (isinstance(layer, Conv) or large) and row.times_twin < 1:
            lines.append(f"{what}: {row.times_twin:.2f} times as fast as NumPy")
    return lines
