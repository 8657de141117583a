"""`zoo.inspect`: reading a file, finding its network, and laying another beside it."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ... import models
from ...nn import Conv2d, Linear, Module
from ...train.pretrained import read_weights
from ..archive import Archive
from ..door import instantiate, read
from .activations import common_input, layers_beside, outputs_beside
from .hints import hints_of_pairs, hints_of_weights
from .matching import Match, nearest
from .pairing import pair_up
from .report import Comparison, Layer, Report, preset_text

__all__ = ["inspect"]

_Path = str | os.PathLike[str]

_ROUNDING = 1e-3  # of a layer's largest output: more than sums in another order make


def inspect(path: _Path, against: _Path | None = None, weights: _Path | None = None) -> Report:
    """Return what is in a file of any zoo, and what stands in the way of using it; print it.

    against: another file, of the same network: their tensors are compared in pairs, and the
        outputs of their layers on one random picture. Or an .npz of reference activations: the
        "input" (N, C, H, W), and arrays under the names of layers, and "output".
    weights: the second file of formats with two.

    A file that no network can be built of is reported, not refused. Raises FileNotFoundError, and
    FormatError for files that cannot be read.
    """
    archive = read(path, weights)
    net, problem = _network(archive)
    report = Report(
        path=Path(path),
        format=archive.format,
        metadata=archive.metadata,
        size=_size(Path(path)) + (_size(Path(weights)) if weights is not None else 0),
        tensors=[(name, a.shape, str(a.dtype)) for name, a in archive.tensors.items()],
        net=net,
        problem=problem,
        match=_match(archive, net),
        preset=net.preset if net else archive.preset,
        classes=net.classes if net else archive.classes,
        hints=hints_of_weights(archive.tensors, archive.metadata),
    )
    if against is not None:
        report.comparison = _compare(report, archive, Path(against))
    return report


def _network(archive: Archive) -> tuple[Module | None, str]:
    try:
        return instantiate(archive, None, {}).eval(), ""
    except ValueError as error:
        return None, str(error)


def _match(archive: Archive, net: Module | None) -> Match | None:
    tensors = archive.tensors if net is None else net.state_dict()
    known = getattr(net, "architecture", None)  # of networks that `models` built
    if known is None:
        return nearest({name: array.shape for name, array in tensors.items()})
    name, options = known
    variant = options.get("variant", models.variants(name)[0])
    return Match(name, variant, len(tensors), len(tensors), (), (), ())


def _compare(report: Report, archive: Archive, against: Path) -> Comparison:
    comparison = Comparison(against)
    reference = _activations(against)
    if reference is not None:
        if report.net is None:
            comparison.note = "no network to compare the activations with"
        else:
            _note_layers(comparison, outputs_beside(report.net, reference))
        return comparison
    other = read(against)
    net, problem = _network(other)
    ours, theirs = archive.tensors, other.tensors
    if report.net is not None and net is not None:
        ours, theirs = report.net.state_dict(), net.state_dict()
    comparison.pairs = pair_up(ours, theirs)
    report.hints += hints_of_pairs(
        comparison.pairs, _first(ours, report.net, Conv2d, 4), _first(ours, report.net, Linear, 2)
    )
    if report.preset and net and net.preset and report.preset != net.preset:
        report.hints.append(f"photos enter the other otherwise: {preset_text(net.preset)}")
    if report.net is None or net is None:
        comparison.note = f"layers were not compared: {report.problem or problem}"
        return comparison
    x = common_input(report.net, net)
    if x is None:
        comparison.note = "layers were not compared: no size of pictures fits both networks"
    else:
        _note_layers(comparison, layers_beside(report.net, net, x, comparison.pairs))
    return comparison


def _note_layers(comparison: Comparison, layers: Sequence[Layer]) -> None:
    comparison.layers = list(layers)
    comparison.apart = next((layer for layer in layers if not layer.error <= _ROUNDING), None)


def _activations(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of an .npz that holds an input; None for any other file."""
    if path.suffix.lower() != ".npz":
        return None
    try:
        arrays = read_weights(path)
    except ValueError:
        return None  # of another kind: a reader may know it
    return arrays if getattr(arrays.get("input"), "ndim", 0) == 4 else None


def _first(
    tensors: Mapping[str, NDArray[Any]], net: Module | None, kind: type[Module], axes: int
) -> str | None:
    """Return the name of the first weight of a kind of layer; without a network, by its axes."""
    if net is None:
        return next((name for name, array in tensors.items() if array.ndim == axes), None)
    names = (f"{name}.weight" for name, module in net.named_modules() if isinstance(module, kind))
    return next((name for name in names if name in tensors), None)


def _size(path: Path) -> int:
    parts = f"{glob.escape(path.name)}.*"  # those of a checkpoint
    files = path.rglob("*") if path.is_dir() else path.parent.glob(parts)
    exact = [path] if path.is_file() else files
    return sum(file.stat().st_size for file in exact if file.is_file())
