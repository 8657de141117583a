"""Profiles: every step is there, the sums are right, and the picture is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastconv
from compiler.networks import pictures, randomise
from fastconv import models, nn
from fastconv.compiler import Profile, StepProfile


@pytest.fixture(scope="module")
def profile() -> Profile:
    return fastconv.compile(randomise(models.lenet5()), (2, 1, 28, 28)).profile(repeats=3)


def test_every_step_is_measured(profile: Profile) -> None:
    steps = [step for step in profile.steps if step.layer]
    layers = ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert [step.layer for step in steps] == layers
    assert all(step.seconds > 0 for step in steps)
    assert sum(step.flop for step in steps) == 2 * 833_040
    assert steps[1].bytes == 4 * (16 * (150 + 1) + 2 * (6 * 14 * 14 + 16 * 5 * 5))
    assert steps[-1].bytes == 4 * (2 * 84 + 850 + 2 * 10)
    assert profile.seconds > 0 and profile.peak_gflops > 0 and profile.bandwidth > 0


def test_the_roof() -> None:
    step = StepProfile("a", "conv", "direct", seconds=0.5, flop=10**9, bytes=10**9)
    assert step.gflops == 2 and step.gbytes == 2
    by_flop = Profile("net", (1,), (step,), 0.5, peak_gflops=4.0, bandwidth=100.0)
    assert by_flop.roof_share(step) == pytest.approx(0.5)
    by_bytes = Profile("net", (1,), (step,), 0.5, peak_gflops=1000.0, bandwidth=8.0)
    assert by_bytes.roof_share(step) == pytest.approx(0.25)
    assert str(by_flop).splitlines() == [
        "net, input 1",
        "-" * 64,
        "layer  step  algorithm       ms    share  GFLOP/s  GB/s  of roof",
        "-" * 64,
        "a      conv  direct     500.000  100.0 %      2.0   2.0     50 %",
        "-" * 64,
        "500.000 ms, 2.0 GFLOP/s; roofs: 4 GFLOP/s, 100.0 GB/s",
    ]


def test_several_steps_of_one_node_and_a_conversion() -> None:
    from compiler.networks import Apply
    from fastconv.autograd import ops

    net = Apply(lambda self, x: ops.concat([ops.relu(x), ops.sigmoid(x)], 2))
    profile = fastconv.compile(net, (2, 3, 40, 40)).profile(pictures(2, 3, 40, 40), repeats=2)
    names = [step.step for step in profile.steps]
    assert names[-3:] == ["relu", "sigmoid", "concat"]


def test_plot(profile: Profile, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = profile.plot(tmp_path / "roof.png")
    assert (tmp_path / "roof.png").stat().st_size > 5000
    assert len(figure.axes) == 1
    with pytest.raises(ValueError, match=r"plot: the network has no steps with multiply-adds"):
        fastconv.compile(nn.ReLU(), (3,)).profile(repeats=1).plot()


def test_bad_arguments() -> None:
    compiled = fastconv.compile(nn.ReLU(), (3,))
    with pytest.raises(ValueError, match=r"profile: x must have the compiled shape \(expected=\(1"):
        compiled.profile(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"profile: repeats must be at least 1 \(repeats=0\)"):
        compiled.profile(repeats=0)
