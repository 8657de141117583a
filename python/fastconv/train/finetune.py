"""Fine-tuning: one network, started in three ways, side by side on the same pictures."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..autograd import tensor
from ..data import Dataset, Preset
from ..nn import Module
from ..nn.heads import heads
from ..optim import SGD, layer_groups
from ..random import manual_seed
from .evaluate import Batches, Data, cut, inference, running
from .fit import fit
from .history import History
from .pretrained import load_pretrained

__all__ = ["Comparison", "Mistake", "Run", "compare_starts"]

_BODY_RATE = 0.1  # of the head's rate, for layers that have learnt before
_MISTAKES = 12  # kept


@dataclass(frozen=True)
class Run:
    """One training: how it started, the network it left, and its record."""

    name: str
    net: Module
    history: History

    @property
    def accuracy(self) -> float:
        """The share of validation pictures that are right after the last epoch."""
        return self.history.accuracy[-1]


class Mistake(NamedTuple):
    """A picture taken for another class."""

    picture: NDArray[Any]  # (C, H, W), as the network takes it
    label: int
    prediction: int
    probability: float  # of the prediction, as the network saw it


@dataclass(frozen=True)
class Comparison:
    """What `compare_starts` found.

    `labels` and `predictions` (N,) are those of the best run on the validation pictures, and
    `mistakes` the wrong ones it was surest of, the surest first.
    """

    runs: tuple[Run, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]

    @property
    def best(self) -> Run:
        """The run with the highest accuracy; of equal ones the last."""
        return _best(self.runs)


def compare_starts(
    build: Callable[[], Module],
    train: Data | Dataset | Batches,
    val: Data | Dataset | Batches,
    weights: Mapping[str, Any] | None = None,
    *,
    epochs: int = 10,
    lr: float = 0.02,
    freeze: str | None = None,
    plain: Data | Dataset | Batches | None = None,
    classes: Sequence[str] | None = None,
    preset: Preset | None = None,
    seed: int = 0,
    progress: bool = True,
    report: Callable[[str], object] = lambda name: None,
) -> Comparison:
    """Train the network that `build()` returns in three ways, and compare.

    "scratch" starts from random weights. The others start from `weights`, a state dict whose head
    may be of other classes (`load_pretrained`): "frozen" learns from the layer `freeze` on, by
    default the head alone, and "fine-tuned" all layers, those below the head at a tenth of its
    rate. Without `weights` there is only "scratch".

    Args:
        train, val: pictures and labels, or loaders, as in `fit`.
        epochs: of each training (10).
        lr: the highest rate of the head, and of every layer from scratch (0.02).
        plain: the pictures of `train` without augmentation: "frozen" then learns from their
            features, computed once. Default None: it learns from `train`.
        classes, preset: what the networks get for `predict` and `zoo.save`, the names of the
            classes and how photos become such pictures (`FolderLoaders` has both). Default None:
            they keep what `build` gave them.
        seed: of weights and order (0); progress: as in `fit`.
        report: called with the name of each training before it begins.

    Raises ValueError if the weights do not fit, or for an unknown layer, before it trains, and
    KeyboardInterrupt where Ctrl-C ends one of the trainings.
    """
    starts = {"scratch": _start(build, seed, None)}
    if weights is not None:
        starts["frozen"] = _start(build, seed, weights)
        _freeze(starts["frozen"], freeze)
        starts["fine-tuned"] = _start(build, seed, weights)
    runs = []
    for name, net in starts.items():
        net.classes = net.classes if classes is None else tuple(classes)
        net.preset = net.preset if preset is None else preset
        report(name)
        body = _BODY_RATE * lr if name == "fine-tuned" else lr
        groups = layer_groups(net, dict.fromkeys(heads(net), lr), body)
        caches = name == "frozen" and plain is not None
        pictures = plain if caches and plain is not None else train
        history = fit(
            net,
            pictures,
            val,
            epochs,
            optimizer=SGD(groups, momentum=0.9, weight_decay=5e-4),
            cache_features=caches,
            seed=None if isinstance(pictures, Batches) else seed,
            progress=progress,
        )
        if history.interrupted:
            raise KeyboardInterrupt  # the others would not be compared with a half
        runs.append(Run(name, net, history))
    return Comparison(tuple(runs), *_answers(_best(runs).net, val))


def _start(build: Callable[[], Module], seed: int, weights: Mapping[str, Any] | None) -> Module:
    manual_seed(seed)
    net = build()
    if weights is not None:
        load_pretrained(net, weights)
    return net


def _freeze(net: Module, until: str | None) -> None:
    """Let the head learn alone, or what is defined from the layer `until` on."""
    if until is None:
        net.freeze().unfreeze(*heads(net))
    else:
        net.freeze(until=until)


def _best(runs: Sequence[Run]) -> Run:
    return max(reversed(runs), key=lambda run: run.accuracy)


def _answers(
    net: Module, val: Data | Dataset | Batches
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Mistake, ...]]:
    """Return labels, predictions and the worst mistakes of a network."""
    labels, predictions = [], []
    worst: list[tuple[float, int, Mistake]] = []  # a heap, the least bad first
    count = 0
    with inference(net), running(cut(val, 64).epoch()) as batches:
        for images, true in batches:
            if not len(true):  # a loader skips pictures that cannot be read
                continue
            logits = net(tensor(images)).data
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            found = shares.argmax(1)
            labels.append(np.asarray(true, np.int64))
            predictions.append(found)
            for place in np.flatnonzero(found != true):
                share = float(shares[place, found[place]])
                entry = (share, -count - int(place))
                if len(worst) < _MISTAKES or entry > worst[0][:2]:
                    mistake = Mistake(
                        images[place].copy(), int(true[place]), int(found[place]), share
                    )
                    keep = heapq.heappush if len(worst) < _MISTAKES else heapq.heapreplace
                    keep(worst, (*entry, mistake))
            count += len(true)
    ordered = tuple(entry[2] for entry in sorted(worst, key=lambda entry: entry[:2], reverse=True))
    return np.concatenate(labels), np.concatenate(predictions), ordered
