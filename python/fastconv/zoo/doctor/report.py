"""What the doctor found, and how it is printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ...data import Preset
from ...nn import Module
from .matching import Match
from .relations import Relation

__all__ = ["Comparison", "Layer", "Pair", "Report", "preset_text"]

_SHOWN = 12  # rows of a table that is not asked for in full


class Pair(NamedTuple):
    """Two tensors that belong together, by their names; None where one has no partner."""

    name: str | None
    other: str | None
    relation: Relation | None


class Layer(NamedTuple):
    """A layer that ran in both networks, and how far its outputs are apart."""

    name: str
    other: str
    error: float  # of the largest output


@dataclass
class Comparison:
    """A network beside another: tensors in pairs, and layers in the order in which they ran.

    apart: the first layer whose outputs differ by more than rounding; None if none does.
    note: why layers could not be compared.
    """

    path: Path
    pairs: list[Pair] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    apart: Layer | None = None
    note: str = ""

    def __str__(self) -> str:
        lines = [f"against {self.path}"]
        if self.pairs:
            counts = Counter(p.relation.kind if p.relation else "alone" for p in self.pairs)
            lines.append("  tensors: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
            odd = [p for p in self.pairs if not p.relation or p.relation.kind != "equal"]
            lines += [f"    {_pair_text(pair)}" for pair in odd[:_SHOWN]]
            lines += _more(odd, 4)
        if self.apart is not None:
            before = self.layers.index(self.apart)
            lines.append(
                f"  first layer apart: {_names(self.apart.name, self.apart.other)}, relative error "
                f"{self.apart.error:.1e}; {before} layers before it agree"
            )
        elif self.layers:
            worst = max(layer.error for layer in self.layers)
            lines.append(f"  all {len(self.layers)} layers agree, relative error {worst:.1e}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)


@dataclass
class Report:
    """What is in a file; `print` it, or ask its fields.

    tensors: (name, shape, dtype) as the file has them. net: the network, None with the reason in
    `problem`. match: the network of fastconv.models that comes nearest. hints: sentences.
    """

    path: Path
    format: str
    metadata: dict[str, Any]
    size: int  # bytes
    tensors: list[tuple[str, tuple[int, ...], str]]
    net: Module | None
    problem: str
    match: Match | None
    preset: Preset | None
    classes: tuple[str, ...] | None
    hints: list[str] = field(default_factory=list)
    comparison: Comparison | None = None

    def __str__(self) -> str:
        said = "".join(f", {key} {value}" for key, value in self.metadata.items() if _short(value))
        lines = [f"{self.path}: {self.format}{said}, {_size_text(self.size)}", *self._content()]
        lines.append(f"network: {self._network()}")
        if self.match is not None:
            lines += [f"  {line}" for line in str(self.match).splitlines()]
        lines.append(f"preset: {preset_text(self.preset)}")
        lines.append(f"classes: {_classes_text(self.classes)}")
        lines += ["hints:"] * bool(self.hints) + [f"- {hint}" for hint in self.hints]
        return "\n".join(lines + ([str(self.comparison)] if self.comparison else []))

    def _content(self) -> list[str]:
        count = sum(prod(shape) for _, shape, _ in self.tensors)
        kinds = Counter(dtype for _, _, dtype in self.tensors)
        lines = [f"{len(self.tensors)} tensors, {count:,} numbers, {', '.join(kinds) or 'none'}"]
        width = max((len(name) for name, _, _ in self.tensors[:_SHOWN]), default=0)
        lines += [f"  {n:<{width}}  {s}  {d}" for n, s, d in self.tensors[:_SHOWN]]
        return lines + _more(self.tensors)

    def _network(self) -> str:
        if self.net is None:
            return self.problem
        layers = [m for m in self.net.modules() if not any(True for _ in m.children())]
        learned = sum(p.size for p in self.net.parameters())
        return f"{type(self.net).__name__}, {len(layers)} layers, {learned:,} parameters"


def _more(rows: list[Any], indent: int = 2) -> list[str]:
    return [f"{' ' * indent}... and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []


def _short(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and len(str(value)) <= 40


def _size_text(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _names(name: str | None, other: str | None) -> str:
    return f"{name}" if name == other else f"{name} | {other}"


def _pair_text(pair: Pair) -> str:
    if pair.relation is None:
        return f"{pair.name or pair.other}: in the {'first' if pair.name else 'other'} alone"
    return f"{_names(pair.name, pair.other)}: {pair.relation}"


def preset_text(preset: Preset | None) -> str:
    """Return a preset in one line."""
    if preset is None:
        return "unknown: set net.preset before net.predict"
    size = "x".join(map(str, preset.size))
    how = "squeezed" if preset.resize is None else f"cut out of {preset.resize}"
    mean, scale = (tuple(round(v, 6) for v in values) for values in (preset.mean, preset.scale))
    return f"{preset.order}, {size} {how}, mean {mean}, scale {scale}"


def _classes_text(classes: tuple[str, ...] | None) -> str:
    if classes is None:
        return "unknown"
    return f"{len(classes)}: {', '.join(classes[:3])}" + (", ..." if len(classes) > 3 else "")
