from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.timing import PeakMeter, Sample, alternate, percentile, repeat


def test_percentile_is_numpys() -> None:
    values = list(np.random.default_rng(0).random(17))
    for percent in (0, 10, 37.5, 50, 90, 100):
        assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))
    assert percentile([3.0], 90) == 3.0
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 50)


def test_a_disturbed_round_counts_once() -> None:
    sample = Sample(((1.0, 1.1, 1.2), (9.0,) * 50, (1.0, 1.2)))
    assert sample.median == pytest.approx(1.1)
    assert sample.repetitions == 55


def test_a_slice_is_scaled_but_its_spread_is_not() -> None:
    sample = Sample(((1.0, 2.0, 3.0),), calls=16)
    assert sample.median == 32.0
    assert sample.spread == pytest.approx((2.8 - 1.2) / 2)
    assert sample.as_json() == {
        "median_s": 32.0,
        "p10_s": pytest.approx(16 * 1.2),
        "p90_s": pytest.approx(16 * 2.8),
        "best_s": 16.0,
        "repetitions": 3,
        "rounds": 1,
        "scaled_by": 16,
    }


def test_the_first_call_is_thrown_away() -> None:
    waits = iter([0.05] + [0.001] * 1000)
    times = repeat(lambda: time.sleep(next(waits)), 0.08)
    assert times and max(times) < 0.05


def test_a_call_that_spends_the_budget_runs_twice_unless_it_is_long() -> None:
    calls: list[None] = []

    def short() -> None:
        calls.append(None)

    assert len(repeat(short, 0.0)) == 1 and len(calls) == 2
    assert len(repeat(lambda: time.sleep(0.26), 0.1)) == 1


def test_contestants_take_turns_and_the_roof_is_read_around_them() -> None:
    log: list[str] = []
    meter = PeakMeter(lambda seconds: float(len(log)), 0.0)

    def turn(name: str) -> list[float]:
        log.append(name)
        return [1.0, 3.0]

    samples = alternate(
        {"a": lambda seconds: turn("a"), "b": lambda seconds: turn("b")},
        rounds=2,
        seconds={"a": 0.1, "b": 0.2},
        between=meter.read,
    )
    assert log == ["a", "b", "a", "b"]
    assert meter.readings == [0.0, 2.0, 4.0]
    assert meter.since(0) == 2.0
    assert meter.since(2) == 3.0  # the last one, and the one before
    assert samples["a"].rounds == ((1.0, 3.0), (1.0, 3.0))
