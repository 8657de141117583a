"""Schemes of files that have this library's own names, which are torchvision's where it has the
network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ... import models
from ...data import Preset
from ...nn import init
from ..archive import Archive
from ..scheme import Scheme

__all__ = ["native"]


def native(
    zoo: str,
    architecture: str,
    convolutions: int,
    accepts: Callable[[Archive], bool],
    options: Mapping[str, Any] | None = None,
    preset: Preset | None = None,
    head: str = "fc",
) -> Scheme:
    """Return the scheme of a network whose weights have the names and shapes of `models`.

    convolutions: how many the network has, so that only the one that may fit is built to compare.
    accepts: what else must be true of the archive.

    Files may lack `num_batches_tracked`, as old ones do, may have auxiliary heads, and any number
    of classes.
    """
    options = dict(options or {})

    def matches(archive: Archive) -> bool:
        shapes = {
            name: array.shape
            for name, array in archive.tensors.items()
            if not name.startswith(("aux1.", "aux2.")) and not name.endswith("num_batches_tracked")
        }
        if not accepts(archive) or convolutions != sum(len(s) == 4 for s in shapes.values()):
            return False
        return _open(shapes, head) == _open(_shapes(architecture, tuple(options.items())), head)

    return Scheme(
        name=f"{zoo} {architecture}",
        architecture=architecture,
        matches=matches,
        state_dict=lambda archive: dict(archive.tensors),
        options=options,
        preset=preset,
        head=head,
    )


@cache
def _shapes(architecture: str, options: tuple[tuple[str, Any], ...]) -> dict[str, tuple[int, ...]]:
    with init.skip_init():
        net = models.get(architecture, **dict(options))
    return {
        name: array.shape
        for name, array in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def _open(shapes: Mapping[str, tuple[int, ...]], head: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes with the number of classes left open."""
    return {
        name: shape[1:] if name.startswith(f"{head}.") else shape for name, shape in shapes.items()
    }
