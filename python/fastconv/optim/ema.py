"""An exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import number
from .optimizer import kernels_for

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["EMA"]


class EMA:
    """Averages of a network's parameters, which often classify better than the last ones do.

    After each step of the optimizer call `update()`: every average becomes
    d * average + (1 - d) * parameter (Polyak & Juditsky 1992 for the idea). With `warm_up`
    d = min(decay, (1 + n) / (10 + n)) at update n, from 0, so that the first, random weights are
    soon forgotten (TensorFlow's ExponentialMovingAverage); else d = `decay` (0.999). Buffers, such
    as the statistics of batch norms, are copied as they are.

    Raises ValueError unless `decay` is from 0 up to 1.

    >>> from fastconv import models, optim
    >>> net = models.lenet5()
    >>> ema = optim.EMA(net)
    >>> ema.update()
    >>> with ema.applied():
    ...     net = net.eval()  # evaluate, save: the network has the averages here
    """

    def __init__(self, net: Module, decay: float = 0.999, warm_up: bool = True) -> None:
        self.net = net
        self.decay = _decay(decay)
        self.warm_up = warm_up
        self.updates = 0
        self._applied = False
        self.averages = {name: array.copy(order="C") for name, array in net.state_dict().items()}

    def update(self) -> None:
        """Move the averages towards the network's parameters. Raises RuntimeError inside
        `applied`, where the averages are the network's parameters."""
        self._require_own_weights("update")
        decay = self.decay
        if self.warm_up:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        learned = {id(p.data) for p in self.net.parameters()}
        arrays, averages = [], []
        for name, array in self.net.state_dict().items():
            if id(array) in learned:
                arrays.append(array)
                averages.append(self.averages[name])
            else:
                np.copyto(self.averages[name], array)
        kernels_for(arrays, averages).average_step(averages, arrays, decay)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the network has the averages for parameters; afterwards its own again."""
        self._require_own_weights("applied")
        arrays = self.net.state_dict()
        kept = {name: array.copy() for name, array in arrays.items()}
        self._applied = True
        try:
            self.net.load_state_dict(self.averages)
            yield
        finally:
            self.net.load_state_dict(kept)
            self._applied = False

    def state_dict(self) -> dict[str, Any]:
        """Return "decay", "warm_up", "updates" and "averages", arrays by the network's names.

        The arrays are the averages themselves, not copies; `net.load_state_dict` takes them.
        """
        return {
            "decay": self.decay,
            "warm_up": self.warm_up,
            "updates": self.updates,
            "averages": dict(self.averages),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned for a network of the same names and shapes.

        Raises ValueError, before anything changes, if they are others.
        """
        saved = {name: np.asarray(array) for name, array in state_dict["averages"].items()}
        shapes = {name: array.shape for name, array in self.averages.items()}
        wrong = [
            name
            for name in sorted({*saved, *shapes})
            if name not in saved or name not in shapes or saved[name].shape != shapes[name]
        ]
        if wrong:
            raise ValueError(
                f"load_state_dict: the averages must be those of this network (wrong={wrong})"
            )
        self.decay = _decay(state_dict["decay"])
        self.warm_up = bool(state_dict["warm_up"])
        self.updates = int(state_dict["updates"])
        for name, average in self.averages.items():
            np.copyto(average, saved[name], casting="same_kind")

    def _require_own_weights(self, operation: str) -> None:
        if self._applied:
            raise RuntimeError(
                f"{operation}: the network must have its own weights, not the averages "
                f"(updates={self.updates})"
            )


def _decay(decay: float) -> float:
    value = number("EMA", "decay", decay)
    if not 0 <= value < 1:
        raise ValueError(f"EMA: decay must be in [0, 1) (decay={decay})")
    return value
