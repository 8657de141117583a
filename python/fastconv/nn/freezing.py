"""Freezing: parts of a network that learn no more, and work as in inference."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module

__all__ = ["freeze", "unfreeze"]


def freeze(net: Module, names: tuple[str, ...], until: str | None) -> None:
    """See Module.freeze."""
    _check_names("freeze", net, names if until is None else (*names, until))
    for name in names or ("",) * (until is None):
        _set(_at(net, name), False)
    if until is not None:
        for part in _before(net, until.split(".")):
            _set(part, False)


def unfreeze(net: Module, names: tuple[str, ...]) -> None:
    """See Module.unfreeze."""
    _check_names("unfreeze", net, names)
    for name in names or ("",):
        for holder in _holders(net, name):
            holder.frozen = False
        _set(_at(net, name), True)


def _set(part: Any, learns: bool) -> None:
    """Let a module with all inside it, or a parameter, learn or not."""
    from .module import Module

    parameters = [part]
    if isinstance(part, Module):
        parameters = list(part.parameters())
        for module in part.modules():
            module.frozen = not learns
    for parameter in parameters:
        parameter.requires_grad = learns
        parameter.grad = None  # an optimizer would go on stepping along it


def _at(net: Module, name: str) -> Any:
    """Return the module or parameter of a dotted name, the network itself for ""."""
    part: Any = net
    for attribute in filter(None, name.split(".")):
        part = part.__dict__[attribute]
    return part


def _holders(net: Module, name: str) -> Iterator[Module]:
    """Yield the modules that hold the part of a dotted name, the outermost first."""
    part: Any = net
    for attribute in filter(None, name.split(".")):
        yield part
        part = part.__dict__[attribute]


def _before(module: Module, path: list[str]) -> Iterator[Any]:
    """Yield modules and parameters defined before the part at `path`, but not its holders."""
    from .module import Module, Parameter

    first, *rest = path
    for name, value in module.__dict__.items():
        if name == first:
            if rest:
                yield from _before(value, rest)
            return
        if isinstance(value, (Module, Parameter)):
            yield value


def _check_names(op: str, net: Module, names: tuple[str, ...]) -> None:
    known = [name for name, _ in net.named_modules() if name]
    known += [name for name, _ in net.named_parameters()]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{op}: names must be strings (type={type(name).__name__})")
        if name not in known:
            near = get_close_matches(name, known, n=5) or [n for n, _ in net.named_children()]
            raise ValueError(
                f"{op}: names must be those of layers or parameters of {type(net).__name__} "
                f"(name={name!r}, near={', '.join(near)})"
            )
