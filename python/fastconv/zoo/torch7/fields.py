"""The fields of a Torch7 layer, checked: what a file says is believed only as far as it fits."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from .objects import Table, TorchObject

__all__ = ["array", "flag", "number", "pair", "refuse", "sizes", "whole"]

_MOST = (1 << 16) - 1  # of sizes, strides and channels


def refuse(module: TorchObject, rule: str, **values: Any) -> FormatError:
    """Return the error that a layer breaks a rule."""
    shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return FormatError(f"torch7: {module.name}: {rule} ({shown})")


def number(module: TorchObject, key: str, default: float | None = None) -> float:
    """Return a field that is a number."""
    value = module.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(module, f"{key} must be a number", **{key: value})
    return value


def whole(module: TorchObject, key: str, default: int | None = None, least: int = 1) -> int:
    """Return a field that is a whole number, `least` or more."""
    value = number(module, key, default)
    if not isinstance(value, int) or not least <= value <= _MOST:
        raise refuse(
            module, f"{key} must be a whole number from {least} to {_MOST}", **{key: value}
        )
    return value


def pair(module: TorchObject, letter: str, default: int | None = None) -> tuple[int, int]:
    """Return the fields for height and width: kH and kW for "k"."""
    least = 0 if letter == "pad" else 1
    height, width = (whole(module, letter + axis, default, least) for axis in "HW")
    return height, width


def flag(module: TorchObject, key: str) -> bool:
    """Return a field as Lua sees it in a condition: nil is false."""
    return module.get(key, False) is not False


def array(module: TorchObject, key: str, *shape: int) -> NDArray[np.float32]:
    """Return a field's elements in a shape."""
    found = module.get(key)
    kind = getattr(found, "dtype", np.dtype(object)).kind
    if not isinstance(found, np.ndarray) or kind != "f" or found.size != prod(shape):
        raise refuse(
            module, f"{key} must hold floating point numbers of the layer's shape",
            expected=shape, found=getattr(found, "shape", None), kind=kind,
        )  # fmt: skip
    with np.errstate(over="ignore"):  # doubles beyond the range become infinite
        return np.ascontiguousarray(found, np.float32).reshape(shape)


def sizes(module: TorchObject, key: str) -> list[int]:
    """Return a field that is a row of whole numbers: a LongStorage, or a table."""
    found = module.get(key)
    values = found.sequence() if isinstance(found, Table) else found
    values = values.tolist() if isinstance(values, np.ndarray) and values.ndim == 1 else values
    if not isinstance(values, list) or not values or not all(isinstance(v, int) for v in values):
        raise refuse(module, f"{key} must be a row of whole numbers", **{key: found})
    return values
