"""Features: what the frozen part of a network makes of pictures, computed once.

The rest of the network then trains on them as if they were its pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import tensor
from ..data import Dataset, Loader
from ..nn import BatchNorm2d, Dropout, Module, Sequential
from .evaluate import Batches, Data, check_data, cut, inference, running

__all__ = ["cached", "on_features", "split"]

_VALIDATION_BATCH = 256


def split(net: Module) -> tuple[Sequential, Sequential]:
    """Cut a network into the part that is frozen and the rest; run one after the other, they are
    the network, whose layers they share.

    The network must be a Sequential, or have a method `stages` that returns its layers in a list,
    as those of `fastconv.models` have; Sequentials among them are cut inside. The frozen part ends
    at the first stage with a parameter that learns, a batch norm that follows its batches or a
    dropout. Raises ValueError, with the reason, if the network is no sequence, begins with a
    stage that learns, or has none.
    """
    stages = list(_stages(net))
    frozen = [_is_constant(stage) for stage in stages]
    cut = frozen.index(False) if False in frozen else len(stages)
    name = type(net).__name__
    if not any(True for stage in stages[:cut] for _ in stage.parameters()):
        first = type(stages[cut]).__name__ if cut < len(stages) else "none"
        raise ValueError(
            f"split: the network must begin with frozen layers; {name}.freeze(...) freezes them "
            f"(first stage that learns={first})"
        )
    if not any(p.requires_grad for stage in stages[cut:] for p in stage.parameters()):
        raise ValueError(f"split: a part of the network must learn (net={name}, stages={cut})")
    return Sequential(*stages[:cut]), Sequential(*stages[cut:])


def cached(
    net: Module, data: Data | Dataset | Batches, batch_size: int = 64
) -> tuple[Sequential, Data]:
    """Return the part of `net` that learns, and (features, labels) for it to learn from.

    `data` is a pair (images, labels) or a dataset, run `batch_size` (64) at a time, or a loader, of
    which epoch 0 is read, of a `data.Loader` in the order of its dataset. Training what is returned
    trains `net`. Raises ValueError as `split` does, if there are no pictures, and if a transform
    draws random numbers: what it drew once would stay.
    """
    frozen, head = split(net)
    data = check_data("cached", data)
    features, seen = [], []
    with inference(frozen), running(_in_order(cut(data, batch_size)).epoch(0, 0)) as batches:
        for images, labels in batches:
            if not len(labels):  # a loader skips pictures that cannot be read
                continue
            features.append(frozen(tensor(images)).data)
            seen.append(np.asarray(labels))
    return head, (np.concatenate(features), np.concatenate(seen))


def on_features(
    net: Module, train: Batches, val: Batches | None
) -> tuple[Sequential, Batches, Batches | None]:
    """Return what `fit` trains instead of `net`, on what, and what it validates on.

    The batches are those of `train`: the same pictures, in the same order.
    """
    if not isinstance(train, Loader):
        raise TypeError(
            "fit: cache_features needs a pair of arrays, a dataset or a data.Loader "
            f"(train={type(train).__name__})"
        )
    head, data = cached(net, train)
    batches = Loader(
        data,
        train.batch_size,
        shuffle=train.shuffle,
        seed=train.seed,
        drop_last=train.drop_last,
        workers=0,
    )
    return head, batches, None if val is None else cut(cached(net, val)[1], _VALIDATION_BATCH)


class _Still:
    """A transform, which must not draw from the generator it is given."""

    def __init__(self, transform: Any) -> None:
        self._transform = transform

    def __call__(self, pictures: Any, rng: np.random.Generator) -> Any:
        before = rng.bit_generator.state
        result = self._transform(pictures, rng)
        if rng.bit_generator.state != before:
            name = getattr(self._transform, "__name__", type(self._transform).__name__)
            raise ValueError(
                "cached: features are of pictures that stay the same, so the transform must not "
                f"draw random numbers (transform={name})"
            )
        return result


def _in_order(data: Batches) -> Batches:
    if not isinstance(data, Loader):
        return data
    return Loader(
        data.dataset,
        data.batch_size,
        transform=None if data.transform is None else _Still(data.transform),
        seed=data.seed,
        workers=data.workers,
        on_error=data.on_error,
    )


def _stages(module: Module) -> Iterator[Module]:
    """Yield the modules that run one after the other, those inside sequences one by one."""
    stages = _own_stages(module)
    if stages is None:
        raise ValueError(
            "split: the network must be a Sequential, or have a method stages() that returns the "
            f"layers it runs one after the other (net={type(module).__name__})"
        )
    for stage in stages:
        if _own_stages(stage) is None:
            yield stage
        else:
            yield from _stages(stage)


def _own_stages(module: Module) -> list[Module] | None:
    kind: Any = type(module)
    found = getattr(kind, "stages", None)
    if found is Sequential.stages and kind.forward is not Sequential.forward:
        return None  # a subclass that runs its layers in its own way
    return None if found is None else found(module)


def _is_constant(stage: Module) -> bool:
    """Whether a stage computes the same from step to step of a training."""
    return not any(p.requires_grad for p in stage.parameters()) and all(
        module.frozen
        for module in stage.modules()
        if isinstance(module, BatchNorm2d) or (isinstance(module, Dropout) and module.p > 0)
    )
