"""Learning-rate schedules: their values, their options, and what they refuse."""

from __future__ import annotations

from functools import partial

import pytest

from fastconv import nn, optim
from fastconv.train import constant, cosine, one_cycle, schedule, step, warm_up


def test_cosine() -> None:
    assert cosine(0.0) == 1.0
    assert cosine(0.5) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0.0, abs=1e-15)
    ends = partial(cosine, end=0.2)
    assert ends(0.0) == 1.0
    assert ends(0.5) == pytest.approx(0.6)
    assert ends(1.0) == pytest.approx(0.2)


def test_one_cycle() -> None:
    assert one_cycle(0.0) == pytest.approx(0.04)
    assert one_cycle(0.1) == pytest.approx(0.52)
    assert one_cycle(0.2) == 1.0
    assert one_cycle(0.6) == pytest.approx(0.5)
    other = partial(one_cycle, rise=0.5, start=0.5, end=0.1)
    assert [other(x) for x in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.5, 0.75, 1.0, 0.1])
    assert one_cycle(0.0, rise=0.0) == 1.0


def test_step() -> None:
    drops = step()
    values = [drops(x) for x in (0.0, 0.4999, 0.5, 0.7, 0.75, 1.0)]
    assert values == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
    assert [step((0.3,), gamma=0.5)(x) for x in (0.2, 0.3, 1.0)] == [1.0, 0.5, 0.5]
    assert step(())(1.0) == 1.0


def test_warm_up() -> None:
    slow = warm_up(constant, share=0.1, start=0.2)
    assert [slow(x) for x in (0.0, 0.05, 0.1, 1.0)] == pytest.approx([0.2, 0.6, 1.0, 1.0])
    slow = warm_up(step((0.5,)))
    assert slow(0.0) == pytest.approx(0.04)
    assert [slow(x) for x in (0.05, 0.4999, 0.5)] == pytest.approx([1.0, 1.0, 0.1])
    assert warm_up(cosine, share=0.0)(0.0) == 1.0
    assert warm_up(cosine)(0.3) == cosine(0.3)


def test_with_an_optimizer() -> None:
    net = nn.Linear(2, 2)
    optimizer = optim.SGD([{"params": net.weight, "lr": 1.0}, {"params": net.bias}], lr=0.5)
    drops: schedule.Schedule = step((0.5,), gamma=0.5)
    for done, rates in ((0.0, [1.0, 0.5]), (0.5, [0.5, 0.25]), (0.9, [0.5, 0.25])):
        optimizer.scale_lr(drops(done))
        assert [group["lr"] for group in optimizer.param_groups] == rates


def test_errors() -> None:
    for milestones in ((0.75, 0.5), (0.5, 0.5), (-0.1,), (0.5, 30)):
        with pytest.raises(ValueError, match=r"step: milestones must grow and be in \[0, 1\]"):
            step(milestones)
    with pytest.raises(ValueError, match=r"step: gamma must not be negative \(gamma=-1\)"):
        step(gamma=-1)
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"warm_up: share must be in \[0, 1\) \(share="):
            warm_up(constant, share)
        with pytest.raises(ValueError, match=r"one_cycle: rise must be in \[0, 1\) \(rise="):
            one_cycle(0.5, rise=share)
