"""The one door: a file in, a network out."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from .. import models
from ..nn import Module
from .archive import Archive, FormatError
from .assembly import assemble
from .labels import labels
from .metadata import LICENSE
from .readers import reader_of
from .scheme import Scheme
from .schemes import SCHEMES

__all__ = ["instantiate", "load", "read", "scheme_of"]

_Path = str | os.PathLike[str]


def load(
    path: _Path,
    architecture: str | None = None,
    *,
    weights: _Path | None = None,
    **options: Any,
) -> Module:
    """Return the network in a file of any zoo, in inference mode, with preset, classes and license.

    path: the file, or the folder of a SavedModel, or a TensorFlow checkpoint without its suffix.
    architecture: a name of `models.list_models()`, where the file's own names leave several; of
        ONNX files by `export_onnx`, that network instead of one of the file's operators.
    weights: the second file of formats with two (.caffemodel, init_net.pb); by default the one
        that lies beside the first.
    options: for the constructor of one of this library's networks, over what the file says.

    Formats are recognised by content. A file that describes its network builds it; one of weights
    alone must have the names of a known zoo, or this library's own. Raises FileNotFoundError;
    FormatError (a ValueError) for damaged files and those with layers that this library lacks;
    ImportError that names the extra for a package that is missing.

    Weights of PyTorch's zip files and of safetensors are views of the mapped file, which they never
    change; while the network lives, nobody else may change the file in place (replacing it is
    fine).
    """
    if architecture is not None:
        _check_name(architecture)
    archive = read(path, weights)
    net = instantiate(archive, architecture, options)
    return net.eval()


def read(path: _Path, weights: _Path | None = None) -> Archive:
    """Return what is in a file: tensors by the file's own names, and what it says of itself."""
    path = Path(path)
    second = None if weights is None else Path(weights)
    for file in (path, second):
        # A TensorFlow checkpoint goes by the name that its files begin with.
        if file is not None and not file.exists() and not Path(f"{file}.index").exists():
            raise FileNotFoundError(f"zoo.load: the file must exist (file={file})")
    reader = reader_of(path)
    if second is not None and not getattr(reader, "PAIRS", False):
        name = reader.__name__.rpartition(".")[2]
        raise FormatError(
            f"zoo.load: weights= is for formats with two files (format={name}, weights={second})"
        )
    return reader.read(path, second)


def instantiate(archive: Archive, architecture: str | None, options: dict[str, Any]) -> Module:
    """Return the network of an archive; see `load`."""
    if archive.architecture is not None and (archive.build is None or architecture or options):
        net = _of_its_architecture(archive, *archive.architecture, architecture, options)
        preset = archive.preset
    elif archive.build is not None and architecture is None:
        if options:
            raise ValueError(
                "zoo.load: options are for networks of this library, and this file describes its "
                f"own (file={archive.path}, options={', '.join(options)})"
            )
        net = archive.build()
        preset = archive.preset
    else:
        scheme = scheme_of(archive, architecture)
        net = _of_scheme(archive, scheme, options)
        preset = archive.preset or scheme.preset
    net.preset = preset
    net.classes = archive.classes or labels(net)
    net.license = archive.metadata.get(LICENSE)
    return net


def scheme_of(archive: Archive, architecture: str | None = None) -> Scheme:
    """Return the first scheme that an archive of weights fits; FormatError if there is none."""
    for scheme in SCHEMES:
        if architecture in (None, scheme.architecture) and scheme.matches(archive):
            return scheme
    first = ", ".join(list(archive.tensors)[:4])
    raise FormatError(
        f"zoo.load: the names and shapes of the weights must be those of a known network "
        f"(file={archive.path}, format={archive.format}, architecture={architecture}, "
        f"tensors={len(archive.tensors)}: {first}, ...)"
    )


def _check_name(architecture: str) -> None:
    names = models.list_models()
    if architecture not in names:
        near = difflib.get_close_matches(str(architecture), names, cutoff=0.4)
        raise ValueError(
            "zoo.load: architecture must be one of models.list_models() "
            f"(architecture={architecture!r}, near={', '.join(near) or 'none'})"
        )


def _of_its_architecture(
    archive: Archive,
    name: str,
    noted: dict[str, Any],
    architecture: str | None,
    options: dict[str, Any],
) -> Module:
    """Return the network of `models` that the file names."""
    if architecture not in (None, name):
        raise FormatError(
            "zoo.load: the file holds another network "
            f"(file={archive.path}, architecture={architecture}, holds={name})"
        )
    state = archive.tensors
    if archive.build is not None:  # the constants of its graph are among the weights
        state = {key: array for key, array in state.items() if "/" not in key}
    try:
        return assemble(name, {**noted, **options}, state)
    except (ValueError, TypeError, MemoryError) as error:
        raise FormatError(
            f"zoo.load: the weights must fit the network that the file names (file={archive.path}, "
            f"architecture={name}, reason={str(error)[:300]})"
        ) from error


def _of_scheme(archive: Archive, scheme: Scheme, options: dict[str, Any]) -> Module:
    state = scheme.state_dict(archive)
    num_classes = len(state[f"{scheme.head}.weight"])
    options = {"num_classes": num_classes, **scheme.options, **options}
    return assemble(scheme.architecture, options, state)
