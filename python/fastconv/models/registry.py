"""The networks by name, their variants, and the picture size each was made for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from ..nn import Module

__all__ = ["InputShape", "choose", "get", "input_shape", "list_models", "register", "variants"]

InputShape = tuple[int, int, int]

_T = TypeVar("_T")
_Build = TypeVar("_Build", bound=Callable[..., Module])


class _Entry(NamedTuple):
    build: Callable[..., Module]
    input_shapes: dict[str, InputShape]  # by variant, the default first


_entries: dict[str, _Entry] = {}


def register(**input_shapes: InputShape) -> Callable[[_Build], _Build]:
    """Put a constructor into the registry: its variants, the default first, and their inputs.

    Networks remember in `architecture` the name and the options that they were built from.
    """

    def enter(build: _Build) -> _Build:
        signature = inspect.signature(build)

        @functools.wraps(build)
        def remember(*arguments: Any, **options: Any) -> Module:
            net = build(*arguments, **options)
            bound = signature.bind(*arguments, **options)
            bound.apply_defaults()
            net.architecture = build.__name__, dict(bound.arguments)
            return net

        _entries[build.__name__] = _Entry(remember, input_shapes)
        return cast(_Build, remember)

    return enter


def choose(op: str, variant: str, table: Mapping[str, _T]) -> _T:
    """Return what a table holds for a variant; ValueError lists the variants."""
    if variant not in table:
        names = ", ".join(map(repr, table))
        raise ValueError(f"{op}: variant must be one of {names} (variant={variant!r})")
    return table[variant]


def list_models() -> list[str]:
    """Return the names of all networks."""
    return list(_entries)


def get(name: str, **options: Any) -> Module:
    """Build a network by name; options are those of its constructor, such as `num_classes`."""
    return _entry("get", name).build(**options)


def variants(name: str) -> list[str]:
    """Return the variants of a network, the default first; a network without has "default"."""
    return list(_entry("variants", name).input_shapes)


def input_shape(name: str, variant: str | None = None) -> InputShape:
    """Return the (channels, height, width) that a network was made for."""
    shapes = _entry("input_shape", name).input_shapes
    return choose("input_shape", next(iter(shapes)) if variant is None else variant, shapes)


def _entry(op: str, name: str) -> _Entry:
    if name not in _entries:
        names = ", ".join(_entries)
        raise ValueError(f"{op}: name must be one of {names} (name={name!r})")
    return _entries[name]
