"""Checks of layers' arguments that are not windows."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["flag", "number", "probability"]


def number(op: str, name: str, value: Any) -> float:
    """Return a finite number as a float."""
    if isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be a number ({name}={value!r})")
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: {name} must be a number ({name}={value!r})") from None
    if not math.isfinite(result):
        raise ValueError(f"{op}: {name} must be finite ({name}={value!r})")
    return result


def probability(op: str, name: str, value: Any) -> float:
    """Return a number from 0 to 1."""
    result = number(op, name, value)
    if not 0.0 <= result <= 1.0:
        raise ValueError(f"{op}: {name} must be from 0 to 1 ({name}={value!r})")
    return result


def flag(op: str, name: str, value: Any) -> bool:
    """Return a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be True or False ({name}={value!r})")
    return value
