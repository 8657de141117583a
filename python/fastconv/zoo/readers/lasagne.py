"""Lasagne's pickles: parameters in the order of the network's layers, without names.

As in the model zoo: https://github.com/Lasagne/Recipes/tree/master/modelzoo. Tensors are called
"0", "1", ... by their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import Preset
from ...data.pickles import text
from ..archive import Archive, FormatError
from ..mapped import Mapped
from ..pickles import unpickle

__all__ = ["read", "recognises"]

_PROTOCOLS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_OLD = (b"(dp", b"(lp", b"}q", b"]q")  # dicts and lists of protocols 0 and 1
_PARAMETERS = ("param values", "values")
_MEANS = ("mean value", "mean image", "mean_image")
_CLASSES = ("synset words", "synset_words")


def recognises(path: Path, head: bytes) -> bool:
    return head.startswith((*_PROTOCOLS, *_OLD))


def read(path: Path, weights: Path | None = None) -> Archive:
    file = Mapped(path)
    root, _ = unpickle(path, file.content)
    model = root if type(root) is dict else {_PARAMETERS[0]: root}
    values = _first(model, _PARAMETERS)
    if type(values) is not list or not values:
        raise FormatError(
            "zoo.load: the pickle must hold a list of arrays, alone or under the name "
            f"{_PARAMETERS[0]!r} (file={path}, found={type(values).__name__})"
        )
    tensors = {str(place): _array(path, value) for place, value in enumerate(values)}
    mean = _first(model, _MEANS)
    words = _first(model, _CLASSES)
    classes = None
    if type(words) is list and all(type(word) in (str, bytes) for word in words):
        classes = tuple(text(word) for word in words)
    return Archive(
        "lasagne",
        path,
        tensors,
        metadata={"framework": "lasagne"},
        preset=None if mean is None else _preset(path, mean),
        classes=classes,
    )


def _preset(path: Path, mean: Any) -> Preset:
    """Return how photos enter by the file's mean, whose axes are (3,) or (3, height, width).

    A mean picture counts with its mean colour; the zoo's networks take pictures of 224 in BGR.
    """
    array = _array(path, mean)
    if array.ndim not in (1, 3) or len(array) != 3:
        raise FormatError(
            f"zoo.load: the mean must be of three channels (file={path}, shape={array.shape})"
        )
    return Preset.caffe(mean=array.reshape(3, -1).mean(axis=1, dtype=np.float64).tolist())


def _first(model: dict[Any, Any], names: tuple[str, ...]) -> Any:
    return next((model[name] for name in names if name in model), None)


def _array(path: Path, value: Any) -> NDArray[Any]:
    array = getattr(value, "value", None)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise FormatError(
            f"zoo.load: parameters must be arrays of numbers (file={path}, "
            f"type={type(value).__name__})"
        )
    return array
