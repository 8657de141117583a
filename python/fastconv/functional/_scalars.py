"""Arguments that are one number."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any

__all__ = ["integer", "number"]


def number(operation: str, name: str, value: Any) -> float:
    """`value` as a float, if it is a real number."""
    if not isinstance(value, Real):
        raise TypeError(f"{operation}: {name} must be a number ({name}={value!r})")
    return float(value)


def integer(operation: str, name: str, value: Any) -> int:
    """`value` as an int, if it is one."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be an integer ({name}={value!r})") from None
