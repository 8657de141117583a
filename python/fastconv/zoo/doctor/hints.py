"""What the doctor says of a network, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .report import Pair

__all__ = ["hints_of_pairs", "hints_of_weights"]


def hints_of_weights(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> list[str]:
    """Return what one file's own content gives away."""
    hints: list[str] = []
    if metadata.get("theano") or str(metadata.get("backend", "")).lower() == "theano":
        hints.append(
            "the file says that Theano wrote it: its kernels convolve, and are flipped in height "
            "and width when they are read"
        )
    floats = {name: a for name, a in tensors.items() if a.dtype.kind == "f" and a.size}
    broken = [name for name, a in floats.items() if not np.isfinite(a).all()]
    if broken:
        hints.append(f"values that are not finite in {_listed(broken)}")
    empty = [name for name, a in floats.items() if a.ndim > 1 and not a.any()]
    if empty:
        hints.append(f"nothing but zeros in {_listed(empty)}: was it ever trained?")
    negative = [n for n, a in floats.items() if n.endswith("running_var") and a.min() < 0]
    if negative:
        hints.append(f"variances below 0 in {_listed(negative)}: is it what it is called?")
    return hints


def hints_of_pairs(pairs: Sequence[Pair], first: str | None, linear: str | None) -> list[str]:
    """Return what the differences to another network mean.

    `first` is the name of the first convolution's weight, `linear` that of the first linear
    layer's.
    """
    hints: list[str] = []
    related = {pair.name: pair.relation for pair in pairs if pair.name and pair.relation}
    flipped = [name for name, r in related.items() if "flipped" in r.kind]
    if flipped:
        hints.append(
            f"kernels are flipped in height and width in {_listed(flipped)}: one of the two comes "
            "from a framework that convolves (Theano), and was not turned, or turned twice"
        )
    entry = related.get(first or "")
    if entry is not None and "channels reversed" in entry.kind:
        hints.append(
            f"the first layer's input channels are reversed in {first}: one of the two wants RGB, "
            "the other BGR; change the preset's order, or reverse the channels of the weight"
        )
    if entry is not None and "scaled" in entry.kind:
        hints.append(
            f"the first layer is scaled by {entry.factor:.6g} in {first}: the two want pixels in "
            f"other units, such as 0 to 255 and 0 to 1{_nearby(entry.factor)}"
        )
    scaled = [n for n, r in related.items() if "scaled" in r.kind and n != first]
    if scaled:
        factors = ", ".join(f"{related[name].factor:.6g}" for name in scaled[:3])
        hints.append(f"weights are scaled (by {factors}) in {_listed(scaled)}")
    flattened = [name for name, r in related.items() if "flattened" in r.kind]
    if flattened:
        which = "the first linear layer" if flattened == [linear] else _listed(flattened)
        hints.append(
            f"maps are flattened in another order before {which}: one of the two has the channels "
            "first (CHW), the other last (HWC)"
        )
    for kind, meaning in (
        ("axes permuted", "the two lay out axes in another order (OIHW, HWIO; in and out)"),
        ("rows permuted", "outputs, or classes, come in another order"),
    ):
        names = [name for name, r in related.items() if kind in r.kind]
        if names:
            hints.append(f"{meaning}: {_listed(names)}")
    return hints


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _nearby(factor: float) -> str:
    near = next(
        (f for f in (255.0, 256.0) for v in (factor, 1 / factor) if abs(v / f - 1) < 1e-3), 0
    )
    return f" (here {near:g} or its inverse)" if near else ""
