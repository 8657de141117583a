"""Reading and checking arguments: the few rules that every twin shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Activation",
    "Array",
    "IntPair",
    "Padding",
    "invalid",
    "padding_pairs",
    "pair",
    "require_float",
    "require_ndim",
    "require_shape",
]

Array = npt.NDArray[Any]
IntPair = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
Activation = str | tuple[str, float] | tuple[str, float | None, float | None] | None


def invalid(op: str, rule: str, **values: object) -> ValueError:
    """The error every twin raises: the operation, the rule, the values received."""
    shown = ", ".join(f"{name}={value}" for name, value in values.items())
    return ValueError(f"{op}: {rule} ({shown})")


def require_float(op: str, **arrays: Array | None) -> None:
    """Raise TypeError unless each argument is a floating array (None is left out)."""
    for name, array in arrays.items():
        if array is None:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{op}: {name} must be an array ({name}={type(array).__name__})")
        if not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"{op}: {name} must be floating ({name}={array.dtype})")


def require_ndim(op: str, ndim: int, **arrays: Array) -> None:
    """Raise ValueError unless each array has `ndim` axes."""
    for name, array in arrays.items():
        if array.ndim != ndim:
            raise invalid(op, f"{name} must have {ndim} axes", **{name: array.shape})


def require_shape(op: str, shape: tuple[int, ...], **arrays: Array | None) -> None:
    """Raise ValueError unless each array has this shape (None is left out)."""
    for name, array in arrays.items():
        if array is not None and array.shape != tuple(shape):
            raise invalid(op, f"{name} must have shape {tuple(shape)}", **{name: array.shape})


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer)


def pair(op: str, name: str, value: object, minimum: int) -> tuple[int, int]:
    """`value` as (height, width); one int stands for both."""
    values = value if isinstance(value, tuple | list) else (value, value)
    if not all(_is_int(v) for v in values):
        raise TypeError(f"{op}: {name} must be an int or a pair of ints ({name}={value!r})")
    if len(values) != 2 or min(values) < minimum:
        rule = f"{name} must be one int or two, at least {minimum}"
        raise invalid(op, rule, **{name: value})
    return int(values[0]), int(values[1])


def padding_pairs(op: str, padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """`padding` as ((top, bottom), (left, right)); one int stands for both sides of an axis."""
    axes: object = padding if isinstance(padding, tuple | list) else (padding, padding)
    match axes:
        case (vertical, horizontal):
            return pair(op, "padding", vertical, 0), pair(op, "padding", horizontal, 0)
    raise invalid(op, "padding must have two entries", padding=padding)
