"""What a .t7 file holds, whether or not a network can be built of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import Preset
from ..archive import FormatError
from .build import children, label
from .objects import Table, TorchObject

__all__ = ["preset_of", "tensors_of"]

_STATE = ("weight", "bias", "running_mean", "running_var", "running_std")
_MOST = 100_000  # tables may share and hold each other, and so stand for any number of them


def tensors_of(content: Any, network: TorchObject | None) -> dict[str, NDArray[Any]]:
    """Return the weights of a network by place, "2.1.weight", or else all arrays by their keys."""
    found: dict[str, NDArray[Any]] = {}
    pending = [("", content if network is None else network)]
    for _ in range(_MOST):
        if not pending:
            return found
        path, value = pending.pop()
        if isinstance(value, TorchObject) and network is not None:
            name = "" if value is network else label(value, path)
            arrays = ((key, value.get(key)) for key in _STATE)
            found |= {_join(name, key): a for key, a in arrays if isinstance(a, np.ndarray)}
            parts = [(_join(path, i), child) for i, child in enumerate(children(value), 1)]
            pending += parts[::-1]
        elif isinstance(value, np.ndarray):
            found[path or "tensor"] = value
        elif isinstance(value, Table):
            named = [(key, v) for key, v in value.items() if isinstance(key, (str, int, float))]
            pending += [(_join(path, key), v) for key, v in named[::-1]]
    raise FormatError(f"torch7: a file must not hold too many objects (most={_MOST})")


def preset_of(network: TorchObject) -> Preset | None:
    """Return ImageNet's preset for the residual networks of fb.resnet.torch, else None.

    The file does not say how photos enter; theirs is torchvision's (fb.resnet.torch,
    datasets/imagenet.lua).
    """
    parts = children(network)
    while len(parts) == 1 and network.name in ("nn.Sequential", "nn.DataParallelTable"):
        network = parts[0]
        parts = children(network)
    kinds = [part.name.partition(".")[2] for part in parts]
    if kinds[:4] != [
        "SpatialConvolution", "SpatialBatchNormalization", "ReLU", "SpatialMaxPooling",
    ] or kinds[-3:] != ["SpatialAveragePooling", "View", "Linear"]:  # fmt: skip
        return None
    first = [parts[0].get(key) for key in ("nInputPlane", "nOutputPlane", "kH", "kW", "dH", "dW")]
    return Preset.imagenet() if first == [3, 64, 7, 7, 2, 2] else None


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
