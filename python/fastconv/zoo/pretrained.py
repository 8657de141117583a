"""What a training needs to know to start from a file's weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..data import Preset
from .archive import FormatError
from .door import load, read

__all__ = ["Pretrained", "read_pretrained"]

# Formats of state dicts, whose names are the networks' own.
_PLAIN = ("npz", "fastconv", "pytorch", "safetensors")


@dataclass(frozen=True)
class Pretrained:
    """Weights to start from, and what their file says of them.

    weights: the state dict, under the names of `fastconv.models`.
    options: what else `models.get` must be told to build their network, such as its variant; not
        the number of classes.
    preset: how photos enter. license: of the weights. Each is None where nothing says it.
    """

    weights: Mapping[str, NDArray[Any]]
    options: Mapping[str, Any]
    preset: Preset | None = None
    license: str | None = None


def read_pretrained(path: str | os.PathLike[str], architecture: str) -> Pretrained:
    """Return the weights of a network of `fastconv.models` in a file that `load` knows (of a
    checkpoint its averages, if it has any), and what else a training from them must know.

    architecture: a name of `models.list_models()`.

    State dicts of this library or PyTorch that do not fit are returned as they are: for
    `train.load_pretrained`, which says what does not. Raises what `load` raises: ValueError for a
    file that is damaged, or holds another network.
    """
    try:
        net = load(path, architecture)
    except FormatError as error:
        archive = read(path)
        if archive.architecture is None and archive.build is not None:
            raise FormatError(
                "read_pretrained: weights must have the names of a known zoo; this file describes "
                "a network of its own: fine-tune that one, with zoo.load and replace_head "
                f"(file={path}, format={archive.format}, architecture={architecture})"
            ) from error
        if archive.architecture is not None or archive.format not in _PLAIN:
            raise
        return Pretrained(archive.tensors, {}, archive.preset)
    assert net.architecture is not None
    options = {key: value for key, value in net.architecture[1].items() if key != "num_classes"}
    return Pretrained(net.state_dict(), options, net.preset, net.license)
