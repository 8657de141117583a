"""What a training must share with the one that it resumes."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from functools import partial
from typing import Any

from ..nn import Module
from ..optim import EMA, Optimizer
from .checkpoint import Checkpoint
from .evaluate import Batches
from .state import State

__all__ = ["check_settings", "collect_settings"]

_LOADER = ("batch_size", "shuffle", "transform", "seed", "drop_last")


def collect_settings(
    loader: Batches, optimizer: Optimizer, ema: EMA | None, **options: Any
) -> dict[str, Any]:
    """Return the settings as JSON has them; functions count by their names."""
    settings = {
        "steps_per_epoch": len(loader),
        "pictures": len(loader.labels) if hasattr(loader, "labels") else None,
        **{name: _plain(getattr(loader, name, None)) for name in _LOADER},
        "optimizer": optimizer.name,
        "groups": [_options(group) for group in optimizer.param_groups],
        "ema": None if ema is None else ema.decay,
        **{name: _plain(value) for name, value in options.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=float))
    return plain


def check_settings(saved: Checkpoint, state: State) -> None:
    """Raise ValueError unless the training in `state` may go on from `saved`."""
    now, then = state.settings, saved.settings
    others = [name for name in now if name not in then or now[name] != then[name]]
    if others:
        text = ", ".join(f"{name}={now[name]} but saved={then.get(name)}" for name in others)
        raise ValueError(
            "fit: resume=True needs the settings that the training began with "
            f"(file={saved.path}, {text})"
        )
    trained = saved.epoch + (saved.step > 0)
    if state.epochs < trained:
        raise ValueError(
            "fit: epochs must not be below those begun before "
            f"(file={saved.path}, epochs={state.epochs}, begun={trained})"
        )
    if saved.step > state.steps_per_epoch or set(saved.tally) != set(state.tally()):
        raise ValueError(
            "fit: the checkpoint must be one of fit "
            f"(file={saved.path}, step={saved.step}, tally={sorted(saved.tally)})"
        )


def _options(group: dict[str, Any]) -> dict[str, Any]:
    """A group's options as they were before any schedule, and how many parameters it has."""
    rate = group.get("initial_lr", group["lr"])
    others = {name: value for name, value in group.items() if name not in ("params", "initial_lr")}
    return {**others, "lr": rate, "params": len(group["params"])}


def _plain(value: Any) -> Any:
    """Numbers and texts as they are; functions and objects by what they say of themselves."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_dataclass(value) or isinstance(value, Module):  # transforms, losses
        return repr(value)
    if isinstance(value, partial):
        options = ", ".join(f"{key}={option}" for key, option in value.keywords.items())
        return f"{_plain(value.func)}({options})"
    return getattr(value, "__name__", type(value).__name__)
