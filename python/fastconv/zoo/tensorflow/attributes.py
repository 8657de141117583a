"""Attributes of nodes.

Raises FormatError, which names the node, for those that are missing without a default, or of
another kind.
"""

from __future__ import annotations

from typing import Any

from ..archive import FormatError
from .graph import Node

__all__ = ["flag", "integer", "integers", "number", "text"]


def text(node: Node, name: str, default: str | None = None) -> str:
    """Return a text, such as a padding's name."""
    value = _get(node, name, "s", default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def integer(node: Node, name: str, default: int | None = None) -> int:
    """Return an integer, or the number of a type."""
    if name in node.attr and node.attr[name].WhichOneof("value") == "type":
        return int(node.attr[name].type)
    return int(_get(node, name, "i", default))


def number(node: Node, name: str, default: float | None = None) -> float:
    """Return a floating point number."""
    return float(_get(node, name, "f", default))


def flag(node: Node, name: str, default: bool = False) -> bool:
    """Return a flag."""
    return bool(_get(node, name, "b", default))


def integers(node: Node, name: str) -> list[int]:
    """Return a list of integers, empty where it is not given."""
    if name not in node.attr:
        return []
    found = _get(node, name, "list", None)
    return [int(value) for value in found.i]


def _get(node: Node, name: str, kind: str, default: Any) -> Any:
    if name not in node.attr:
        if default is None:
            raise FormatError(f"tensorflow: {node} must have the attribute {name!r}")
        return default
    found = node.attr[name].WhichOneof("value")
    if found != kind:
        raise FormatError(
            f"tensorflow: {node} must have an attribute of another kind "
            f"(attribute={name!r}, kind={found}, expected={kind})"
        )
    return getattr(node.attr[name], kind)
