"""Which of the library's networks has weights like these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import NamedTuple

from ... import models
from ..weights import shapes_of, without_counters

__all__ = ["Match", "nearest"]

Shape = tuple[int, ...]

_SHOWN = 8  # names that are printed
_MOST = 4096  # tensors, several times what the largest network has
_TRIED = 3  # networks that are compared tensor by tensor


class Match(NamedTuple):
    """A network of fastconv.models, and what it has otherwise than the file.

    By names where the file has the network's, else by the order of shapes, with axes in any order.
    fits: how many tensors do. total: of the network or the file, whichever has more.
    """

    architecture: str
    variant: str
    fits: int
    total: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[str, ...]

    @property
    def exact(self) -> bool:
        return self.fits == self.total

    def __str__(self) -> str:
        head = "is" if self.exact else "is nearest to"
        lines = [
            f"{head} {self.architecture} ({self.variant}): {self.fits} of {self.total} tensors fit"
        ]
        for title, names in zip(self._fields[4:], self[4:], strict=True):
            more = f", ... ({len(names)})" if len(names) > _SHOWN else ""
            lines += [f"{title}: {', '.join(names[:_SHOWN])}{more}"] if names else []
        return "\n".join(lines)


def nearest(tensors: Mapping[str, Shape]) -> Match | None:
    """Return the network that most of the tensors fit, the first of equals; None if none fits."""
    theirs = without_counters(tensors)
    if not 0 < len(theirs) <= _MOST:
        return None
    num_classes = _classes(theirs)
    found: list[tuple[float, str, str, dict[str, Shape]]] = []
    for name in models.list_models():
        variants = models.variants(name)
        for variant in variants:
            choice = (("variant", variant),) if len(variants) > 1 else ()
            ours = shapes_of(name, (("num_classes", num_classes), *choice))
            found.append((_likeness(ours, theirs), name, variant, ours))
    found.sort(key=lambda entry: -entry[0])
    matches = [_match(*entry[1:], theirs) for entry in found[:_TRIED] if entry[0] > 0]
    return max(matches, key=lambda match: match.fits / match.total, default=None)


def _likeness(ours: Mapping[str, Shape], theirs: Mapping[str, Shape]) -> float:
    """Return the share of tensors for which the other side has one of that shape, in any order."""
    counts = [Counter(map(_any_order, side.values())) for side in (ours, theirs)]
    return sum((counts[0] & counts[1]).values()) / max(len(ours), len(theirs))


def _classes(shapes: Mapping[str, Shape]) -> int:
    """Guess the number of outputs: what comes last is the classifier's, its bias if it has one."""
    last = list(shapes.values())[-1]
    return min(max(last[0] if last else 1, 1), 1 << 16)


def _match(
    name: str, variant: str, ours: Mapping[str, Shape], theirs: Mapping[str, Shape]
) -> Match:
    total = max(len(ours), len(theirs))
    common = [key for key in ours if key in theirs]
    if 2 * len(common) > len(theirs):
        misshaped = [key for key in common if ours[key] != theirs[key]]
        return Match(
            name,
            variant,
            len(common) - len(misshaped),
            total,
            tuple(key for key in ours if key not in theirs),
            tuple(key for key in theirs if key not in ours),
            tuple(f"{key} {theirs[key]} instead of {ours[key]}" for key in misshaped),
        )
    return _match_order(name, variant, ours, theirs, total)


def _match_order(
    name: str, variant: str, ours: Mapping[str, Shape], theirs: Mapping[str, Shape], total: int
) -> Match:
    our_names, their_names = list(ours), list(theirs)
    a, b = ([_any_order(shape) for shape in side.values()] for side in (theirs, ours))
    matcher: SequenceMatcher[Shape] = SequenceMatcher(None, a, b, autojunk=False)
    missing: list[str] = []
    unexpected: list[str] = []
    for kind, i, k, j, m in matcher.get_opcodes():
        if kind != "equal":
            unexpected += [f"{key} {theirs[key]}" for key in their_names[i:k]]
            missing += [f"{key} {ours[key]}" for key in our_names[j:m]]
    fits = len(our_names) - len(missing)
    return Match(name, variant, fits, total, tuple(missing), tuple(unexpected), ())


def _any_order(shape: Shape) -> Shape:
    return tuple(sorted(n for n in shape if n != 1))
