"""Sizes as users write them (one int, or one per axis) to the tuples that kernels take."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

__all__ = ["Padding", "Size", "pair", "sides"]

Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Padding: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | Sequence[Sequence[SupportsIndex]]

_MOST = 2**63 - 1  # of 64 bits, with a sign


def _integer(operation: str, name: str, value: Any) -> int:
    try:
        integer = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{operation}: {name} must be made of integers ({name}={value!r})"
        ) from None
    if abs(integer) > _MOST:
        raise ValueError(f"{operation}: {name} does not fit 64 bits ({name}={value!r})")
    return integer


def pair(operation: str, name: str, value: Any) -> tuple[int, int]:
    """An int, or (height, width)."""
    # As layers hold it: nothing to convert.
    h, w = value if type(value) is tuple and len(value) == 2 else (value, value)
    if type(h) is int and type(w) is int and -_MOST <= h <= _MOST and -_MOST <= w <= _MOST:
        return h, w
    if not isinstance(value, (tuple, list)):
        both = _integer(operation, name, value)
        return both, both
    if len(value) != 2:
        raise ValueError(f"{operation}: {name} must be an int or (h, w) ({name}={value!r})")
    return _integer(operation, name, value[0]), _integer(operation, name, value[1])


def sides(operation: str, padding: Any) -> tuple[int, int, int, int]:
    """An int, (height, width), or ((top, bottom), (left, right)) -> top, bottom, left, right."""
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(
                f"{operation}: padding must be an int, (h, w) or ((top, bottom), (left, right)) "
                f"(padding={padding!r})"
            )
        top, bottom = pair(operation, "padding", padding[0])
        left, right = pair(operation, "padding", padding[1])
        return top, bottom, left, right
    both = _integer(operation, "padding", padding)
    return both, both, both, both
