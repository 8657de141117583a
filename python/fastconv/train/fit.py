"""`fit`: train a network, from the first step or from where a checkpoint stands."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arguments import integer, positive
from ..autograd import ops
from ..data import Dataset, Loader
from ..nn import Module
from ..optim import EMA, SGD, Optimizer
from ..random import generator
from .callbacks import Callback
from .checkpoint import Checkpoint, load_checkpoint
from .evaluate import Batches, Data, check_data, check_net, cut
from .features import on_features
from .history import History
from .interrupt import Interrupt
from .loop import Loop, Loss
from .progress import Progress
from .saver import Saver
from .schedule import Schedule, one_cycle
from .settings import check_settings, collect_settings
from .state import State

__all__ = ["fit"]

Augment = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]

_BATCH_SIZE = 64
_VALIDATION_BATCH = 256
_LR, _MOMENTUM, _WEIGHT_DECAY = 0.1, 0.9, 5e-4


def fit(
    net: Module,
    train: Data | Dataset | Batches,
    val: Data | Dataset | Batches | None = None,
    epochs: int = 8,
    batch_size: int | None = None,
    lr: float | None = None,
    *,
    optimizer: Optimizer | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: Schedule = one_cycle,
    augment: Augment | None = None,
    loss: Loss = ops.cross_entropy,
    clip_grad_norm: float | None = None,
    ema: EMA | None = None,
    cache_features: bool = False,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_seconds: float | None = None,
    resume: bool = False,
    seed: int | None = None,
    progress: bool = True,
) -> History:
    """Train `net` in place and return its `History`.

    Args:
        train: pictures (N, C, H, W), float32 or uint8, and their labels (N,); a dataset, such as
            `data.cifar10(path)`; or a `data.Loader`.
        val: the same, to measure accuracy on after each epoch. Default None: not measured.
        epochs: passes over `train` (8).
        batch_size: pictures in a step (64). A loader has a batch size, a transform and a seed of
            its own: then `batch_size`, `augment` and `seed` must not be given.
        lr, momentum, weight_decay: of stochastic gradient descent, as in `optim.SGD` (0.1, 0.9,
            5e-4); not to be given with an `optimizer`. `schedule(done)` gives the share of each
            group's rate to use, where `done` runs from 0 to 1 over the training (`one_cycle`).
        optimizer: of the parameters of `net`; None (default) makes an `optim.SGD`.
        augment: called as `augment(images, rng)` on each batch, in a thread that is ahead, such as
            `data.random_shift`.
        loss: called as `loss(net(images), labels)` (cross-entropy of logits).
        clip_grad_norm: scale gradients down where their norm, over all parameters of the
            optimizer, is larger. Default None.
        ema: an `optim.EMA` of `net`, updated after each step; accuracy is then the average's.
        cache_features: compute only once what the frozen layers at the beginning of `net` make of
            the pictures, and train the others on that: the same training, in less time. Needs a
            network that `split` can cut, and pictures that are not augmented. Default False.
        callbacks: see `Callback`.
        checkpoint: file to keep a checkpoint in, written after each epoch, at the end, and also
            every `checkpoint_steps` steps or `checkpoint_seconds` seconds. Needs the extra `train`.
        resume: go on from `checkpoint`, bit for bit as if there had been no break; from the first
            step if the file does not exist. The settings must be those of the beginning, except
            `epochs`: another number bends the schedule from here on.
        seed: of shuffling and augmentation; None draws from `fastconv.random`, or, resuming, takes
            the one that was drawn.
        progress: show a bar on a terminal, and a line for each epoch elsewhere.

    The network is left in training mode. The first Ctrl-C lets the step under way finish, writes
    the checkpoint, says so on standard error, and returns with `history.interrupted` set; a second
    one raises KeyboardInterrupt at once. (In other threads than the main one, and in programs that
    handle SIGINT themselves, nothing of this happens.)

    Raises ValueError if `train` or `val` is empty or lacks labels, if a number is out of range, if
    the optimizer is another network's, or if a checkpoint does not fit, and TypeError for what is
    of another kind, before anything changes; FloatingPointError when the loss is no
    longer finite.
    """
    check_net("fit", net)
    train = check_data("fit", train)
    val = None if val is None else check_data("fit", val)
    epochs = integer("fit", "epochs", epochs, 1)
    batch_size = None if batch_size is None else integer("fit", "batch_size", batch_size, 1)
    seed = None if seed is None else integer("fit", "seed", seed, 0)
    if clip_grad_norm is not None:
        clip_grad_norm = positive("fit", "clip_grad_norm", clip_grad_norm)
    for name, function in (("schedule", schedule), ("loss", loss)):
        if not callable(function):
            raise TypeError(f"fit: {name} must be a function ({name}={function!r})")
    callbacks = _callbacks(callbacks)
    optimizer = _optimizer(net, optimizer, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if ema is not None and ema.net is not net:
        raise ValueError(
            "fit: ema must be the average of the network that learns (ema.net=another)"
        )
    saver = Saver(
        None if checkpoint is None else Path(checkpoint), checkpoint_steps, checkpoint_seconds
    )
    saved = _saved(saver.path, resume)
    loader = _loader(train, batch_size, augment, seed, saved)
    state = State(
        net,
        optimizer,
        History(),
        epochs,
        len(loader),
        validation=val is not None,
        ema=ema,
        settings=collect_settings(
            loader, optimizer, ema, schedule=schedule, loss=loss, clip_grad_norm=clip_grad_norm,
        ),
    )  # fmt: skip
    if saved is not None:
        check_settings(saved, state)
        state.restore(saved)
    learner: Module = net
    batches, tests = loader, None if val is None else cut(val, _VALIDATION_BATCH)
    if cache_features:
        begin = time.perf_counter()
        learner, batches, tests = on_features(net, batches, tests)
        state.history.seconds += time.perf_counter() - begin
    loop = Loop(
        state,
        learner,
        batches,
        tests,
        schedule=schedule,
        loss=loss,
        clip_grad_norm=clip_grad_norm,
        callbacks=callbacks,
        saver=saver,
    )
    net.train()
    with Interrupt() as interrupt:
        with Progress(state, progress) as display:
            loop.run(display, interrupt)
        if interrupt.requested:
            print(_interruption(state, saver.path), file=sys.stderr, flush=True)
    return state.history


def _callbacks(callbacks: Sequence[Callback]) -> Sequence[Callback]:
    if not isinstance(callbacks, Sequence) or not all(isinstance(c, Callback) for c in callbacks):
        raise TypeError(f"fit: callbacks must be a list of Callbacks (callbacks={callbacks!r})")
    return callbacks


def _optimizer(net: Module, optimizer: Optimizer | None, **wanted: float | None) -> Optimizer:
    given = {name: value for name, value in wanted.items() if value is not None}
    if optimizer is None:
        defaults = {"lr": _LR, "momentum": _MOMENTUM, "weight_decay": _WEIGHT_DECAY}
        options: dict[str, Any] = {**defaults, **given}
        if not any(parameter.requires_grad for parameter in net.parameters()):
            raise ValueError("fit: net must have a parameter that learns (all are frozen)")
        return SGD(net.parameters(), **options)
    if given:
        text = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"fit: an optimizer has options of its own ({text})")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer must be one, such as optim.SGD(...) ({optimizer=})")
    own = {id(parameter) for parameter in net.parameters()}
    updated = [id(p) for group in optimizer.param_groups for p in group["params"]]
    others = sum(parameter not in own for parameter in updated)
    if others:
        raise ValueError(
            "fit: the optimizer must update parameters of net; make it after replace_head "
            f"(parameters={len(updated)}, of others={others})"
        )
    return optimizer


def _loader(
    train: Data | Dataset | Batches,
    batch_size: int | None,
    augment: Augment | None,
    seed: int | None,
    saved: Checkpoint | None,
) -> Batches:
    if not isinstance(train, Batches):
        if seed is None:
            drawn = None if saved is None else saved.settings.get("seed")
            seed = int(generator().integers(2**63)) if drawn is None else drawn
        return Loader(train, batch_size or _BATCH_SIZE, shuffle=True, transform=augment, seed=seed)
    given = {"batch_size": batch_size, "augment": augment, "seed": seed}
    text = ", ".join(
        f"{name}={getattr(value, '__name__', value)}"
        for name, value in given.items()
        if value is not None
    )
    if text:
        raise ValueError(
            f"fit: a loader has a batch size, a transform and a seed of its own ({text})"
        )
    return train


def _saved(path: Path | None, resume: bool) -> Checkpoint | None:
    if not resume:
        return None
    if path is None:
        raise ValueError("fit: resume=True needs a checkpoint (checkpoint=None)")
    return load_checkpoint(path) if path.exists() else None


def _interruption(state: State, path: Path | None) -> str:
    place = (
        f"fit: interrupted after {state.epoch} of {state.epochs} epochs"
        f" and {state.step} of {state.steps_per_epoch} steps"
    )
    if path is None:
        return f"{place}; nothing was saved (checkpoint=None)"
    return f"{place}; saved as {path}, to be resumed"
