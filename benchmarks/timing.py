"""How things are timed: repetitions for a budget of time, in turn, and the median with its spread.

Nothing here knows what it times. Contestants take turns in rounds, so that whatever slows the
machine down for a while slows all of them down; the roof (`PeakMeter`) is read between the turns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Budget", "PeakMeter", "Sample", "Turn", "alternate", "percentile", "repeat"]

Turn = Callable[[float], Sequence[float]]  # seconds to spend -> seconds of each call

# OpenBLAS's threads spin for 2**26 cycles after their last work, OpenMP's less, before they sleep.
_SETTLE = 0.12
_MOST_CALLS = 10_000
_LONG = 0.25  # seconds beside which a cold start does not show


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many per cent lie, interpolated linearly (NumPy's default)."""
    if not values:
        raise ValueError("percentile: at least one value is needed (count=0)")
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True)
class Sample:
    """The seconds that each call took, round by round; `calls` calls make one of what is asked."""

    rounds: tuple[tuple[float, ...], ...]
    calls: int = 1

    @property
    def median(self) -> float:
        """The median of the rounds' medians, so that a long disturbed round counts once."""
        return self.calls * percentile([percentile(r, 50) for r in self.rounds], 50)

    @property
    def spread(self) -> float:
        """The distance from the 10th to the 90th percentile of all calls, over their median."""
        times = [t for r in self.rounds for t in r]
        return (percentile(times, 90) - percentile(times, 10)) / percentile(times, 50)

    @property
    def repetitions(self) -> int:
        return sum(map(len, self.rounds))

    def as_json(self) -> dict[str, Any]:
        times = [self.calls * t for r in self.rounds for t in r]
        return {
            "median_s": self.median,
            "p10_s": percentile(times, 10),
            "p90_s": percentile(times, 90),
            "best_s": min(times),
            "repetitions": self.repetitions,
            "rounds": len(self.rounds),
            "scaled_by": self.calls,
        }


@dataclass(frozen=True)
class Budget:
    """How long to measure: rounds, and the seconds of one turn in them."""

    rounds: int = 3
    seconds: float = 0.1
    twin_seconds: float = 0.2
    peak_seconds: float = 0.02


def repeat(call: Callable[[], object], seconds: float) -> list[float]:
    """Call for about so many seconds; return what each call took.

    The first call warms caches and wakes threads, and does not count unless it is a long one.
    """
    clock = time.perf_counter_ns
    start = clock()
    call()
    first = (clock() - start) / 1e9
    if first >= max(seconds, _LONG):
        return [first]
    times: list[float] = []
    end = clock() + int((seconds - first) * 1e9)
    now = start
    while not times or (now < end and len(times) < _MOST_CALLS):
        start = clock()
        call()
        now = clock()
        times.append((now - start) / 1e9)
    return times


class PeakMeter:
    """Reads the roof between turns; a shape's roof is the median of the readings around it."""

    def __init__(self, read: Callable[[float], float], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self.readings: list[float] = []

    def read(self) -> float:
        self.readings.append(self._read(self._seconds))
        return self.readings[-1]

    def since(self, count: int) -> float:
        """The median of the readings from the `count`-th on, and the one before."""
        return percentile(self.readings[max(count - 1, 0) :], 50)

    @property
    def median(self) -> float:
        return percentile(self.readings, 50)


def alternate(
    contestants: Mapping[str, Turn],
    rounds: int,
    seconds: float | Mapping[str, float],
    between: Callable[[], object] = lambda: None,
) -> dict[str, Sample]:
    """Let every contestant take its turn in every round; `between` runs before each round."""
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        time.sleep(_SETTLE)
        between()
        for name, turn in contestants.items():
            share = seconds if isinstance(seconds, float | int) else seconds[name]
            time.sleep(_SETTLE)
            times[name].append(tuple(turn(share)))
    time.sleep(_SETTLE)
    between()
    return {name: Sample(tuple(spent)) for name, spent in times.items()}
