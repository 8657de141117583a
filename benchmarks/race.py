"""Whole networks: every competitor in a process of its own, checked answers, turn by turn."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import _core, get_num_threads

from . import trained
from .cases import WrongAnswer
from .peers import OURS, TWIN, Peer, Unsupported, Workload
from .peers.exporter import Exporter
from .peers.process import PeerFailed, PeerProcess
from .report import Table, number
from .subject import Subject
from .timing import Budget, PeakMeter, Sample, alternate
from .tracing import trace

__all__ = ["Race", "Result", "difference", "summary"]

# Largest difference of answers over the largest value; what competitors differ by in rounding.
_TOLERANCE = 2e-4


@dataclass(frozen=True)
class Result:
    """One network at one batch size."""

    network: str  # a Subject, as text
    variant: str
    batch: int
    flop: int  # of the convolutions and full layers
    training: bool
    peak_gflops: float
    samples: dict[str, Sample]
    errors: dict[str, float]
    left_out: dict[str, str]

    @property
    def seconds(self) -> float:
        return self.samples[OURS.name].median

    @property
    def best_peer(self) -> str | None:
        """The fastest competitor, not counting the twin."""
        others = set(self.samples) - {OURS.name, TWIN.name}
        return min(others, key=lambda name: self.samples[name].median, default=None)

    def ratio(self, name: str) -> float:
        """How many times as fast as a competitor we are."""
        return self.samples[name].median / self.seconds

    def as_json(self) -> dict[str, Any]:
        best = self.best_peer
        return {
            "network": self.network,
            "variant": self.variant,
            "batch": self.batch,
            "training": self.training,
            "flop": self.flop,
            "peak_gflops": self.peak_gflops,
            "share": self.flop / self.seconds / 1e9 / self.peak_gflops,
            "best_peer": best,
            "ratio_to_best_peer": self.ratio(best) if best else None,
            "samples": {name: sample.as_json() for name, sample in self.samples.items()},
            "errors": self.errors,
            "left_out": self.left_out,
        }


class Race:
    """Runs networks one after the other; results stay in `results`."""

    def __init__(self, budget: Budget, peers: Sequence[type[Peer]], twin: bool = True) -> None:
        self.budget = budget
        self.peers = [OURS, *peers, *([TWIN] if twin else [])]
        self.peak = PeakMeter(_core.measure_peak_gflops, budget.peak_seconds)
        self.results: list[Result] = []
        self.wrong: list[str] = []  # networks whose answer is not the twin's

    def run(self, subject: Subject, batch: int, *, training: bool = False) -> None:
        """Measure one network, unless its answer is wrong, and print its table."""
        network, variant = str(subject), subject.variant
        print(f"\n{network} ({variant}), batch {batch}{', a training step' if training else ''}")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trained.write(folder, subject, batch)
            workload = Workload(
                batch, folder, network=subject.name, variant=variant, training=training
            )
            try:
                runners, errors, left_out = self._prepare(workload, stack)
            except WrongAnswer as problem:
                self.wrong.append(network)
                print(f"WRONG: the NumPy twin disagrees: {problem}")
                return
            before = len(self.peak.readings)
            samples = alternate(
                {name: process.turn for name, process in runners.items()},
                self.budget.rounds,
                self.budget.seconds,
                between=self.peak.read,
            )
        for name, process in runners.items():
            if process.peer.slice and not training:
                samples[name] = replace(samples[name], calls=batch)
        # Backward computes two gradients, each as much work as forward.
        flop = trace(subject).flop(batch) * (3 if training else 1)
        peak = self.peak.since(before)
        result = Result(network, variant, batch, flop, training, peak, samples, errors, left_out)
        self.results.append(result)
        print(*_table(result), sep="\n", flush=True)

    def _prepare(
        self, workload: Workload, stack: ExitStack
    ) -> tuple[dict[str, PeerProcess], dict[str, float], dict[str, str]]:
        """Start everybody and compare the answers with ours."""
        runners: dict[str, PeerProcess] = {}
        errors: dict[str, float] = {}
        left_out: dict[str, str] = {}
        with Exporter([] if workload.training else self.peers) as exporter:
            unusable = exporter.prepare(workload)
        ours: np.ndarray | None = None
        for peer in self.peers:
            if peer.file in unusable:
                left_out[peer.name] = f"no {peer.file} file: {unusable[peer.file]}"
                continue
            if workload.training and peer.file:
                left_out[peer.name] = "does not train"
                continue
            process = stack.enter_context(PeerProcess(peer, get_num_threads()))
            try:
                answer = process.prepare(workload)
                if ours is None:
                    ours = answer
                errors[peer.name] = difference(answer, ours)
            except (Unsupported, PeerFailed, WrongAnswer) as reason:
                if peer is OURS or (peer is TWIN and isinstance(reason, WrongAnswer)):
                    raise
                left_out[peer.name] = str(reason)
                process.close()
                continue
            runners[peer.name] = process
        for name, why in left_out.items():
            print(f"  {name} is left out: {why}")
        return runners, errors, left_out


def difference(answer: np.ndarray, ours: np.ndarray) -> float:
    """The largest difference over the largest value; raises WrongAnswer if it is too large."""
    ours = ours[: len(answer)]  # the twin answers for a slice
    if answer.shape != ours.shape:
        raise WrongAnswer(f"the answer has another shape: {answer.shape}, ours {ours.shape}")
    error = float(np.abs(answer - ours).max() / np.abs(ours).max())
    if not error <= _TOLERANCE:  # NaN is too large, too
        raise WrongAnswer(f"the answer differs from ours by {error:.2g} of the largest value")
    return error


def _table(result: Result) -> list[str]:
    table = Table(
        [
            ("", Table.width_for(result.samples)),
            ("ms", 9),
            ("spread", 6),
            ("images/s", 9),
            ("GFLOP/s", 7),
            ("of peak", 7),
            ("time / ours", 11),
            ("difference", 10),
        ]
    )
    lines = [table.head()]
    for name, sample in result.samples.items():
        gflops = result.flop / sample.median / 1e9
        cells = [
            name,
            number(sample.median * 1e3, 4),
            f"{sample.spread:.0%}",
            number(result.batch / sample.median, 4),
            number(gflops),
            f"{gflops / result.peak_gflops:.1%}",
            "" if name == OURS.name else number(result.ratio(name)),
            "" if name == OURS.name else f"{result.errors[name]:.1e}",
        ]
        note = f"  (1 of {result.batch} pictures, scaled)" if sample.calls > 1 else ""
        lines.append(table.row(cells) + note)
    return lines


def summary(results: Sequence[Result]) -> list[str]:
    """A line for each result: the best competitor and how many times as fast we are."""
    table = Table(
        [
            ("network", Table.width_for([result.network for result in results] + ["network"])),
            ("batch", 5),
            ("ms", 9),
            ("best peer", -19),
            ("ms", 9),
            ("x best peer", 11),
            ("x twin", 7),
        ]
    )
    lines = [table.head()]
    for result in results:
        best = result.best_peer
        lines.append(
            table.row(
                [
                    result.network,
                    str(result.batch),
                    number(result.seconds * 1e3, 4),
                    best or "none",
                    number(result.samples[best].median * 1e3, 4) if best else "",
                    number(result.ratio(best)) if best else "",
                    number(result.ratio(TWIN.name)) if TWIN.name in result.samples else "",
                ]
            )
        )
    return lines
