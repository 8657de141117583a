"""Initialisation: ranges and deviations, and that seeds and skipping work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn
from fastconv.nn import init

SHAPE = (64, 32, 5, 5)
FAN_IN, FAN_OUT = 32 * 25, 64 * 25


def filled(function: Any, *args: Any, **options: Any) -> Any:
    fastconv.manual_seed(0)
    array = np.full(SHAPE, np.nan, np.float32)
    assert function(array, *args, **options) is array
    assert np.isfinite(array).all()
    return array


@pytest.mark.parametrize(
    ("array", "mean", "std"),
    [
        (lambda: filled(init.normal_, 3.0, 0.5), 3.0, 0.5),
        (lambda: filled(init.uniform_, -1.0, 3.0), 1.0, 4 / math.sqrt(12)),
        (lambda: filled(init.kaiming_normal_), 0.0, math.sqrt(2 / FAN_IN)),
        (
            lambda: filled(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"),
            0.0,
            math.sqrt(2 / FAN_OUT),
        ),
        (lambda: filled(init.kaiming_uniform_, a=1.0), 0.0, math.sqrt(1 / FAN_IN)),
        (lambda: filled(init.xavier_normal_), 0.0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (lambda: filled(init.xavier_uniform_, 3.0), 0.0, 3 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    ],
)
def test_mean_and_deviation(array: Any, mean: float, std: float) -> None:
    values = array()
    # Five standard errors of a mean, and of a deviation.
    assert abs(values.mean(dtype=np.float64) - mean) < 5 * std / math.sqrt(values.size)
    assert abs(values.std(dtype=np.float64) / std - 1) < 5 / math.sqrt(values.size)


def test_bounds() -> None:
    values = filled(init.uniform_, -1.0, 3.0)
    assert -1 <= values.min() < -0.99 and 2.99 < values.max() <= 3
    bound = math.sqrt(6 / (FAN_IN + FAN_OUT))
    assert np.abs(filled(init.xavier_uniform_)).max() <= bound * (1 + 1e-6)


def test_trunc_normal() -> None:
    values = filled(init.trunc_normal_, 0.5, 1.0, 0.0, 1.0)
    assert values.min() >= 0 and values.max() <= 1
    # A normal distribution cut at half a deviation on both sides.
    assert values.std() == pytest.approx(0.2837, rel=0.01)
    with pytest.raises(ValueError, match=r"trunc_normal_: \[a, b\] must hold a fair share"):
        filled(init.trunc_normal_, 0.0, 1.0, 50.0, 51.0)


def test_constants() -> None:
    assert (filled(init.constant_, 0.25) == 0.25).all()
    assert (filled(init.zeros_) == 0).all() and (filled(init.ones_) == 1).all()


def test_gains_are_those_of_pytorch() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    with pytest.raises(ValueError, match=r"calculate_gain: nonlinearity must be one of"):
        init.calculate_gain("selu6")


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"kaiming_normal_: fans need at least two axes"):
        init.kaiming_normal_(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"mode must be 'fan_in' or 'fan_out' \(mode='fan'\)"):
        init.kaiming_uniform_(np.zeros((2, 2), np.float32), mode="fan")
    for wrong in ([1.0], np.zeros(3, np.int64)):
        with pytest.raises(TypeError, match=r"normal_: a tensor or array of float32 or float64"):
            init.normal_(wrong)


def test_layers_start_as_in_pytorch() -> None:
    fastconv.manual_seed(0)
    for layer, fan in ((nn.Conv2d(16, 64, 5), 400), (nn.Linear(400, 200), 400)):
        bound = 1 / math.sqrt(fan)
        for values in (layer.weight.data, layer.bias.data):
            assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert layer.weight.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert layer.bias.data.any()


def test_seeds() -> None:
    fastconv.manual_seed(3)
    first = nn.Linear(4, 4).weight.data
    second = nn.Linear(4, 4).weight.data
    fastconv.manual_seed(3)
    np.testing.assert_array_equal(nn.Linear(4, 4).weight.data, first)
    assert not np.array_equal(first, second)
    kept = fastconv.random.generator()
    fastconv.manual_seed(3)
    assert fastconv.random.generator() is kept
    with pytest.raises(ValueError, match=r"manual_seed: seed must not be negative \(seed=-1\)"):
        fastconv.manual_seed(-1)
    for wrong in (1.5, True, "1"):
        with pytest.raises(TypeError, match=r"manual_seed: seed must be an integer"):
            fastconv.manual_seed(wrong)


def test_skipping() -> None:
    with init.skip_init():
        layer, norm = nn.Linear(4, 4), nn.BatchNorm2d(4)
    assert not layer.weight.data.any() and not layer.bias.data.any()
    assert (norm.weight.data == 1).all() and (norm.running_var == 1).all()
    assert nn.Linear(4, 4).weight.data.any()
