"""Checkpoints: all that a training needs to go on, bit for bit, in one file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Module
from ..optim import EMA, Optimizer
from ..random import generator
from .history import History
from .storage import read_tree, write_tree

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_PER_STEP = ("loss", "lr")  # of a history: long, so stored as arrays
_PER_EPOCH = ("train_loss", "train_accuracy", "accuracy", "images_per_second")


@dataclass
class Checkpoint:
    """What `load_checkpoint` found, not yet put to use.

    `weights` is the network's state dict; `optimizer` and `ema` those of the optimizer and of the
    average of the weights, or None; `random` the state of `fastconv.random.generator()`; `epoch`
    counts the epochs finished and `step` the steps of the next one; `tally` is what was counted in
    these steps, and `settings` what a training must share to go on from here.

    >>> net.load_state_dict(load_checkpoint("run.safetensors").weights)
    """

    path: Path
    weights: dict[str, NDArray[Any]]
    optimizer: dict[str, Any] | None
    ema: dict[str, Any] | None
    random: dict[str, Any]
    history: History
    epoch: int
    step: int
    tally: dict[str, Any]
    settings: dict[str, Any]

    def restore(
        self, net: Module, optimizer: Optimizer | None = None, *, ema: EMA | None = None
    ) -> None:
        """Put everything back: weights, the optimizer, the average, and `fastconv.random`.

        Nothing changes unless everything fits: raises ValueError if names, shapes or types of
        the weights differ, if the optimizer is of another class or has other groups, or if there
        is no average for `ema`.
        """
        self._check_weights(net)
        average = None if ema is None else self._check_average(ema)
        options = None if optimizer is None else self._check_optimizer(optimizer)
        if optimizer is not None and options is not None:
            try:
                optimizer.load_state_dict(options)  # checks before it changes anything
            except (ValueError, TypeError, KeyError) as error:
                raise self._unfit("the optimizer's state must fit", reason=error) from error
        if ema is not None and average is not None:
            ema.load_state_dict(average)
        net.load_state_dict(self.weights)
        generator().bit_generator.state = self.random

    def _check_weights(self, net: Module) -> None:
        own = net.state_dict()
        if own.keys() != self.weights.keys():
            raise self._unfit(
                "the network must have the names that were saved",
                missing=sorted(own.keys() - self.weights.keys()),
                unexpected=sorted(self.weights.keys() - own.keys()),
            )
        for name, array in own.items():
            saved = self.weights[name]
            if (saved.shape, saved.dtype) != (array.shape, array.dtype):
                raise self._unfit(
                    "the network must have the shapes and types that were saved",
                    name=name,
                    network=f"{array.dtype}{list(array.shape)}",
                    saved=f"{saved.dtype}{list(saved.shape)}",
                )

    def _check_average(self, ema: EMA) -> dict[str, Any]:
        if self.ema is None:
            raise self._unfit("the average must be one that was saved", ema=None)
        averages = self.ema["averages"]
        own = {name: (a.shape, a.dtype) for name, a in ema.averages.items()}
        if own != {name: (a.shape, a.dtype) for name, a in averages.items()}:
            raise self._unfit("the average must be of the network that was saved", of=len(own))
        return self.ema

    def _check_optimizer(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimizer's state dict as the optimizer itself would have made it."""
        saved = self.optimizer
        name = None if saved is None else saved["name"]
        if saved is None or name != optimizer.name:
            raise self._unfit(
                "the optimizer must be the one that was saved", optimizer=optimizer.name, saved=name
            )
        groups = saved["param_groups"]
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if sizes != [len(group["params"]) for group in groups]:
            raise self._unfit("the optimizer must have the groups that were saved", sizes=sizes)
        for group, own in zip(groups, optimizer.param_groups, strict=True):
            for key, value in group.items():
                if isinstance(own.get(key), tuple):  # JSON knows lists only
                    group[key] = tuple(value)
        return {"state": saved["state"], "param_groups": groups}

    def _unfit(self, rule: str, **values: object) -> ValueError:
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        return ValueError(f"load_checkpoint: {rule} (file={self.path}, {text})")


def save_checkpoint(
    path: str | os.PathLike[str],
    net: Module,
    optimizer: Optimizer | None = None,
    *,
    ema: EMA | None = None,
    history: History | None = None,
    epoch: int = 0,
    step: int = 0,
    tally: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write all that a training needs to go on to one safetensors file; needs the extra `train`.

    The file holds the weights, the state and options of `optimizer`, the average `ema`, the state
    of `fastconv.random.generator()`, the `history`, and the place: `epoch` finished epochs and
    `step` steps of the next. `tally` and `settings` may hold numbers and texts of a loop of one's
    own. It is written under a temporary name, synced to the disk, and renamed, so that `path`
    never holds half a file. Raises TypeError for state that is neither array, number nor text.
    """
    history = History() if history is None else history
    write_tree(
        Path(path),
        {
            "weights": net.state_dict(),
            "optimizer": None
            if optimizer is None
            else {"name": optimizer.name, **optimizer.state_dict()},
            "ema": None if ema is None else ema.state_dict(),
            "random": generator().bit_generator.state,
            "history": {
                **{name: np.array(getattr(history, name), np.float64) for name in _PER_STEP},
                **{name: getattr(history, name) for name in _PER_EPOCH},
                "seconds": history.seconds,
            },
            "epoch": epoch,
            "step": step,
            "tally": dict(tally or {}),
            "settings": dict(settings or {}),
        },
    )


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check what `save_checkpoint` wrote; nothing changes until it is restored.

    Raises FileNotFoundError, and ValueError, which names the file and the rule, if the file is
    cut short, damaged, of another kind, or of another version of the format.
    """
    path = Path(path)
    tree = read_tree(path)
    try:
        return _checked(path, tree)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            "load_checkpoint: the content must be a training's "
            f"(file={path}, reason={type(error).__name__}: {error})"
        ) from error


def _checked(path: Path, tree: dict[str, Any]) -> Checkpoint:
    names = [entry.name for entry in fields(Checkpoint) if entry.name != "path"]
    if tree.keys() != set(names):
        raise ValueError(f"parts are missing or unknown: {sorted(tree.keys() ^ set(names))}")
    for name in ("weights", "random", "history", "tally", "settings"):
        if not isinstance(tree[name], dict):
            raise TypeError(f"{name} is no dict")
    if not all(isinstance(array, np.ndarray) for array in tree["weights"].values()):
        raise TypeError("weights are no arrays")
    if not all(type(tree[name]) is int and tree[name] >= 0 for name in ("epoch", "step")):
        raise ValueError(f"the place is none: epoch {tree['epoch']}, step {tree['step']}")
    _check_optimizer(tree["optimizer"])
    _check_average(tree["ema"])
    np.random.PCG64().state = tree["random"]  # raises where it is no such state
    return Checkpoint(path=path, **{**tree, "history": _history(tree["history"])})


def _check_optimizer(saved: Any) -> None:
    if saved is None:
        return
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if numbers != list(range(len(numbers))):
        raise ValueError(f"the optimizer's parameters are numbered {numbers}")
    if not {str(number) for number in numbers} >= saved["state"].keys():
        raise ValueError(f"the optimizer's state is of parameters {sorted(saved['state'])}")
    if not isinstance(saved["name"], str):
        raise TypeError("the optimizer has no name")


def _check_average(saved: Any) -> None:
    if saved is None:
        return
    if not all(isinstance(array, np.ndarray) for array in saved["averages"].values()):
        raise TypeError("the averages are no arrays")
    if not 0 <= saved["decay"] < 1 or type(saved["updates"]) is not int:
        raise ValueError(f"the average has decay {saved['decay']}, updates {saved['updates']}")
    if type(saved["warm_up"]) is not bool:
        raise TypeError("the average has no warm_up")


def _history(saved: dict[str, Any]) -> History:
    lists = {name: saved[name] for name in _PER_EPOCH}
    lists.update({name: saved[name].tolist() for name in _PER_STEP})
    for name, values in lists.items():
        if not all(type(value) is float and math.isfinite(value) for value in values):
            raise ValueError(f"history.{name} is no list of numbers")
    if len(lists["loss"]) != len(lists["lr"]):
        raise ValueError("history.loss and history.lr differ in length")
    return History(**lists, seconds=float(saved["seconds"]))
