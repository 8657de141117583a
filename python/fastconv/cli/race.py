"""A network side by side: compiled by fastconv, and on the NumPy twins of its kernels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import models
from ..autograd import use_backend
from ..compiler import compile
from ..train import inference

__all__ = ["Result", "race"]

_BUDGET = 1.0  # seconds for each side
_RUNS = (2, 20)  # least and most
_TOLERANCE = 1e-3  # of the largest output, both sides being float32


class Result(NamedTuple):
    """One network's run: sizes without the batch axis, median times in seconds."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    seconds: float
    twin_seconds: float


def race(name: str) -> Result:
    """Run a network with random weights on one random picture, whole, on both sides.

    The first answers are compared and not timed. Raises ValueError if they differ.
    """
    net = models.get(name)
    shape = models.input_shape(name)
    picture = np.random.default_rng(0).standard_normal((1, *shape), np.float32)

    def run_twins() -> np.ndarray:
        with use_backend("reference"):
            answer: np.ndarray = net(picture).data
        return answer

    with inference(net):
        compiled = compile(net, picture.shape)
        ours, twins = compiled(picture), run_twins()
        error = float(np.abs(ours - twins).max() / np.abs(twins).max())
        if not error <= _TOLERANCE:
            raise ValueError(
                "race: fastconv and its NumPy twin must agree "
                f"(network={name}, error={error:.1e}, tolerance={_TOLERANCE:.0e})"
            )
        seconds = _median_time(lambda: compiled(picture))
        twin_seconds = _median_time(run_twins)
    parameters = sum(parameter.size for parameter in net.parameters())
    return Result(shape, ours.shape[1:], parameters, seconds, twin_seconds)


def _median_time(run: Callable[[], object]) -> float:
    times: list[float] = []
    least, most = _RUNS
    while len(times) < least or (len(times) < most and sum(times) < _BUDGET):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
