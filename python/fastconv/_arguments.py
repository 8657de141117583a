"""Checks of arguments that are numbers, sizes or flags, of layers, optimizers and transforms."""

from __future__ import annotations

import math
import operator
from typing import Any

__all__ = [
    "flag",
    "integer",
    "not_negative",
    "number",
    "numbers",
    "pair",
    "positive",
    "probability",
]


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


def not_negative(op: str, name: str, value: Any) -> float:
    """Return a finite number from 0 on."""
    result = number(op, name, value)
    if result < 0:
        raise ValueError(f"{op}: {name} must not be negative ({name}={value})")
    return result


def positive(op: str, name: str, value: Any) -> float:
    """Return a finite number above 0."""
    result = number(op, name, value)
    if result <= 0:
        raise ValueError(f"{op}: {name} must be positive ({name}={value})")
    return result


def numbers(op: str, name: str, value: Any, count: int | None = None) -> tuple[float, ...]:
    """Return `count` finite numbers (default: at least one) as floats."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{op}: {name} must be a sequence of numbers ({name}={value!r})")
    result = tuple(number(op, name, one) for one in value)
    if len(result) != count if count is not None else not result:
        rule = "have at least one number" if count is None else f"be {count} numbers"
        raise ValueError(f"{op}: {name} must {rule} ({name}={value})")
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


def integer(op: str, name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`."""
    if isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be an integer ({name}={value!r})")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer ({name}={value!r})") from None
    if number < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum} ({name}={value!r})")
    return number


def pair(op: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """Return an integer for both axes, or a pair (height, width), as a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{op}: {name} must be an integer or a pair ({name}={value!r})")
        return integer(op, name, value[0], minimum), integer(op, name, value[1], minimum)
    number = integer(op, name, value, minimum)
    return number, number
