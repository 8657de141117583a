"""The archive of a file of Keras's, whatever its family."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...nn import Module
from ..archive import Archive, FormatError
from .build import build
from .config import Model, model_of

__all__ = ["archive"]

# File names of keras-applications say whose kernels they hold, as the files do not.
_THEANO_KERNELS = re.compile(r"(^|_)th_kernels(_|\.|$)")


def archive(
    kind: str,
    path: Path,
    tensors: dict[str, NDArray[Any]],
    layers: Mapping[str, Sequence[str]],
    version: str,
    backend: str | None,
    description: Any = None,
    attach: Callable[[Model], Mapping[str, Sequence[str]]] | None = None,
) -> Archive:
    """Return an archive; where there is a description, `attach` says whose the weights are.

    metadata: "version" and "backend", "layers" (the names of the tensors of each layer, by its
    name) and "theano", whether kernels are turned round.
    """
    theano = backend == "theano" or _THEANO_KERNELS.search(path.name) is not None
    found = Archive(kind, path, tensors)
    found.metadata = {
        "framework": "keras",
        "version": version,
        "backend": backend,
        "layers": {name: tuple(names) for name, names in layers.items()},
        "theano": theano,
    }
    if description is None or attach is None:
        return found
    model = model_of(description)
    attached = attach(model)
    if not layers:
        found.metadata["layers"] = dict(attached)

    def network() -> Module:
        weights = {name: [tensors[key] for key in keys] for name, keys in attached.items()}
        try:
            return build(model, weights, old=version.startswith("1"), theano=theano)
        except RecursionError:
            raise FormatError("keras: networks must not be nested without end") from None

    found.build = network
    return found
