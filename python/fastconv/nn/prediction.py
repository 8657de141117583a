"""Naming what is on a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arguments import integer
from ..autograd import no_grad
from ..data.preset import is_photo

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Prediction", "predict"]


class Prediction(NamedTuple):
    """A class, by number and name, and its probability."""

    number: int
    name: str
    probability: float


def predict(net: Module, photos: Any, top: int) -> list[Prediction] | list[list[Prediction]]:
    """See Module.predict."""
    if net.preset is None:
        raise ValueError(
            "predict: the network must know how photos become its input: set net.preset "
            f"(network={type(net).__name__})"
        )
    integer("predict", "top", top, 1)
    batch = net.preset.batch(photos)
    learning = [module for module in net.modules() if module.training]
    net.eval()
    try:
        with no_grad():
            out = net(batch)
    finally:
        for module in learning:
            module.training = True
    scores = (out[0] if isinstance(out, tuple) else out).numpy().reshape(len(batch), -1)
    names = net.classes
    if names is not None and len(names) != scores.shape[1]:
        raise ValueError(
            f"predict: net.classes must name every output (names={len(names)}, "
            f"outputs={scores.shape[1]})"
        )
    if not _ends_in_softmax(net, scores):
        scores = np.stack([_softmax(row) for row in scores])
    found = [_best(row, names, top) for row in scores]
    return found[0] if is_photo(photos) else found


def _best(row: NDArray[Any], names: tuple[str, ...] | None, top: int) -> list[Prediction]:
    order = np.argsort(-row, kind="stable")[:top]
    return [Prediction(int(i), str(i) if names is None else names[i], float(row[i])) for i in order]


def _ends_in_softmax(net: Module, scores: NDArray[Any]) -> bool:
    """Whether the rows are probabilities already: by their sums, if a layer may have made them."""
    from .activation import Softmax

    has_one = any(isinstance(module, Softmax) for module in net.modules())
    return has_one and bool(scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def _softmax(row: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(row.astype(np.float64) - row.max())
    probabilities: NDArray[Any] = powers / powers.sum()
    return probabilities
