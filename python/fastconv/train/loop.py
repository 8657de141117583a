"""The training loop itself: epochs of steps, from wherever the state stands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

from numpy.typing import NDArray

from ..autograd import Tensor, tensor
from ..nn import Module
from ..optim import clip_grad_norm_
from .callbacks import Callback
from .evaluate import Batches, accuracy, inference, running
from .interrupt import Interrupt
from .progress import Progress
from .saver import Saver
from .schedule import Schedule
from .state import State

__all__ = ["Loop", "Loss"]

Loss = Callable[[Any, NDArray[Any]], Tensor]


class Loop:
    """Runs a training on; every step is a function of the state and of the batch.

    `learner` is what sees the batches: `state.net`, or the part of it that learns.
    """

    def __init__(
        self,
        state: State,
        learner: Module,
        train: Batches,
        val: Batches | None,
        *,
        schedule: Schedule,
        loss: Loss,
        clip_grad_norm: float | None,
        callbacks: Sequence[Callback],
        saver: Saver,
    ) -> None:
        self._state = state
        self._learner = learner
        self._train = train
        self._val = val
        self._schedule = schedule
        self._loss = loss
        self._clip_grad_norm = clip_grad_norm
        self._callbacks = callbacks
        self._saver = saver

    def run(self, display: Progress, interrupt: Interrupt) -> None:
        """Train until the last epoch, a callback's `stop`, or an interrupt; save at the end."""
        state, history = self._state, self._state.history
        self._display, self._interrupt = display, interrupt
        self._start = time.perf_counter() - history.seconds
        self._try_validation()
        with ExitStack() as ends:
            for callback in self._callbacks:
                callback.on_start(state)
                ends.callback(callback.on_end, state)
            while state.epoch < state.epochs and not state.stop and not interrupt.requested:
                if not self._run_steps() or not self._finish_epoch():
                    break
            history.interrupted = interrupt.requested
            self._tick()
            self._saver.save(state)

    def _try_validation(self) -> None:
        """Ask for one answer: pictures of a wrong size are an error now, not after an epoch."""
        if self._val is None:
            return
        with inference(self._learner), running(self._val.epoch()) as batches:
            for images, labels in batches:
                if len(labels):
                    self._learner(tensor(images[:1]))
                    return

    def _run_steps(self) -> bool:
        """Do the steps of an epoch that are left; return whether it is complete."""
        state = self._state
        if state.step == state.steps_per_epoch:  # interrupted in its validation
            return True
        begin = time.perf_counter()
        with running(self._train.epoch(state.epoch, state.step)) as batches:
            for images, labels in batches:
                if len(labels):
                    self._step(images, labels)
                else:  # a loader skips pictures that cannot be read
                    state.skipped += 1
                state.step += 1
                state.step_seconds += time.perf_counter() - begin
                self._display.step(state)
                for callback in self._callbacks:
                    callback.on_step(state)
                self._tick()
                self._saver.step(state)
                if self._interrupt.requested:
                    return False
                if state.stop:
                    return state.step == state.steps_per_epoch
                begin = time.perf_counter()
        return True

    def _step(self, images: NDArray[Any], labels: NDArray[Any]) -> None:
        state, history = self._state, self._state.history
        done = (state.epoch * state.steps_per_epoch + state.step) / (
            state.epochs * state.steps_per_epoch
        )
        state.optimizer.scale_lr(self._schedule(done))
        rate = float(state.optimizer.param_groups[0]["lr"])
        output = self._learner(tensor(images))
        error = self._loss(output, labels)
        value = float(error.item())
        if not math.isfinite(value):
            raise FloatingPointError(
                "fit: the loss must stay finite; a lower lr may help "
                f"(step={history.steps}, loss={value}, lr={rate:.3g})"
            )
        state.optimizer.zero_grad()
        error.backward()
        if self._clip_grad_norm is not None:
            learning = [p for group in state.optimizer.param_groups for p in group["params"]]
            clip_grad_norm_(learning, self._clip_grad_norm)
        state.optimizer.step()
        if state.ema is not None:
            state.ema.update()
        history.loss.append(value)
        history.lr.append(rate)
        state.right += int((_logits(output).argmax(1) == labels).sum())
        state.images += len(labels)

    def _finish_epoch(self) -> bool:
        """Measure and report a complete epoch; return False if interrupted while measuring."""
        state, history = self._state, self._state.history
        share = None
        if self._val is not None:
            share = self._validate(self._val)
            if share is None:
                return False
            history.accuracy.append(share)
        steps = state.step - state.skipped
        if not steps:
            raise ValueError(f"fit: the loader must yield pictures (epoch={state.epoch})")
        history.train_loss.append(math.fsum(history.loss[-steps:]) / steps)
        history.train_accuracy.append(state.right / state.images)
        history.images_per_second.append(state.images / state.step_seconds)
        state.epoch += 1
        state.step = state.skipped = state.right = state.images = 0
        state.step_seconds = 0.0
        self._tick()
        for callback in self._callbacks:
            callback.on_epoch(state)
        self._display.epoch(state)
        self._saver.save(state)
        return True

    def _validate(self, val: Batches) -> float | None:
        """Measure accuracy, the average's if there is one; None if interrupted."""
        ema = self._state.ema
        with nullcontext() if ema is None else ema.applied():
            return accuracy(self._learner, val, stopped=lambda: self._interrupt.requested)

    def _tick(self) -> None:
        self._state.history.seconds = time.perf_counter() - self._start


def _logits(output: Any) -> NDArray[Any]:
    """Return the main head's logits of a network that may have several (auxiliary ones follow)."""
    main: Tensor = output[0] if isinstance(output, tuple) else output
    return main.data
