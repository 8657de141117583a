"""Schemes of files that have this library's own names, which are torchvision's where it has the
network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...data import Preset
from ..archive import Archive
from ..scheme import Scheme
from ..weights import shapes_of, without_counters

__all__ = ["native"]

# By which the network that may fit is found before it is built to compare; projections included.
_CONVOLUTIONS = {
    "lenet5": 3,
    "alexnet": 5,
    "googlenet": 57,
    **{f"vgg{n}{norm}": n - 3 for n in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{n}": n - 1 for n in (20, 32, 44, 56, 110)},
    **{f"resnet{n}": n + 2 for n in (18, 34)},
    **{f"resnet{n}": n + 3 for n in (50, 101, 152)},
}


def native(
    zoo: str,
    architecture: str,
    accepts: Callable[[Archive], bool],
    options: Mapping[str, Any] | None = None,
    preset: Preset | None = None,
    head: str = "fc",
) -> Scheme:
    """Return the scheme of a network whose weights have the names and shapes of `models`.

    accepts: what else must be true of the archive.

    Files may lack `num_batches_tracked`, as old ones do, may have auxiliary heads, and any number
    of classes.
    """
    options = dict(options or {})
    convolutions = _CONVOLUTIONS[architecture]

    def matches(archive: Archive) -> bool:
        shapes = {
            name: array.shape
            for name, array in without_counters(archive.tensors).items()
            if not name.startswith(("aux1.", "aux2."))
        }
        if not accepts(archive) or convolutions != sum(len(s) == 4 for s in shapes.values()):
            return False
        return _open(shapes, head) == _open(shapes_of(architecture, tuple(options.items())), head)

    return Scheme(
        name=f"{zoo} {architecture}",
        architecture=architecture,
        matches=matches,
        state_dict=lambda archive: dict(archive.tensors),
        options=options,
        preset=preset,
        head=head,
    )


def _open(shapes: Mapping[str, tuple[int, ...]], head: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes with the number of classes left open."""
    return {
        name: shape[1:] if name.startswith(f"{head}.") else shape for name, shape in shapes.items()
    }
