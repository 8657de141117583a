"""Learning-rate schedules: functions of the share of training done, giving a factor of `lr`.

`constant`, `cosine` and `one_cycle` are schedules themselves; their options are set with
`functools.partial(cosine, end=0.01)`. `step` and `warm_up` make schedules.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

__all__ = ["Schedule", "constant", "cosine", "one_cycle", "step", "warm_up"]

Schedule = Callable[[float], float]

_START = 0.04


def constant(done: float) -> float:
    """Stay at the full rate."""
    return 1.0


def cosine(done: float, *, end: float = 0.0) -> float:
    """Fall from the full rate to `end` (0) along half a cosine (Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1608.03983)."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def one_cycle(done: float, *, rise: float = 0.2, start: float = _START, end: float = 0.0) -> float:
    """Go from `start` (4 %) to the full rate over the share `rise` (a fifth), then to `end` (0) as
    `cosine` does (after Smith & Topin 2018, https://arxiv.org/abs/1708.07120).

    Raises ValueError unless `rise` is from 0 up to 1.
    """
    _check_share("one_cycle", "rise", rise)
    if done < rise:
        return start + (1.0 - start) * done / rise
    return cosine((done - rise) / (1.0 - rise), end=end)


def step(milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1) -> Schedule:
    """Return a schedule that multiplies the rate by `gamma` at each of the shares `milestones`.

    The defaults are those of He et al. 2016 (https://arxiv.org/abs/1512.03385) for CIFAR-10: a
    tenth after half of training, a hundredth after three quarters. Raises ValueError for
    milestones that do not grow or are not in [0, 1], and for a negative gamma.
    """
    shares = tuple(milestones)
    if list(shares) != sorted(set(shares)) or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"step: milestones must grow and be in [0, 1] (milestones={shares})")
    if not gamma >= 0:
        raise ValueError(f"step: gamma must not be negative (gamma={gamma})")

    def schedule(done: float) -> float:
        return float(gamma ** bisect_right(shares, done))

    return schedule


def warm_up(schedule: Schedule, share: float = 0.05, start: float = _START) -> Schedule:
    """Return `schedule` with a slow beginning: its rate times a factor that rises evenly from
    `start` (4 %) to 1 over the first `share` (5 %) of training (Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677).

    What `schedule` does, and when, stays as it is afterwards. Raises ValueError unless `share` is
    from 0 up to 1.
    """
    _check_share("warm_up", "share", share)

    def warmed(done: float) -> float:
        factor = start + (1.0 - start) * done / share if done < share else 1.0
        return factor * schedule(done)

    return warmed


def _check_share(operation: str, name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise ValueError(f"{operation}: {name} must be in [0, 1) ({name}={share})")
