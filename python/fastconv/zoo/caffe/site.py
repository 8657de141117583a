"""A layer of a file at its place in the network: what builders of layers work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...nn import Module, Parameter
from ..archive import FormatError
from ..wiring import Value, Wiring
from .blobs import Blob, in_shape

__all__ = ["Site", "checked"]

_LARGEST = 1 << 12


def checked(layer: str, name: str, value: int, least: int = 0) -> int:
    """Return a size of a window; FormatError for absurd ones."""
    if not least <= value <= _LARGEST:
        raise FormatError(
            f"caffe: a size must be from {least} to {_LARGEST} (layer={layer!r}, {name}={value})"
        )
    return value


class Site:
    """A LayerParameter with its blobs, and the wiring that it goes into."""

    def __init__(
        self,
        layer: Any,
        blobs: Sequence[Blob],
        wiring: Wiring,
        shared: dict[str, Parameter],
        uses: Counter[str],
    ) -> None:
        self.layer = layer
        self.name: str = layer.name
        self.blobs = list(blobs)
        self.wiring = wiring
        self._shared = shared  # weights by the names under which layers share them
        self._uses = uses  # how many layers read a name

    def error(self, rule: str, **values: Any) -> FormatError:
        """Return the error for a layer that breaks a rule."""
        told = "".join(f", {name}={value}" for name, value in values.items())
        return FormatError(f"caffe: {rule} (layer={self.name!r}, type={self.layer.type!r}{told})")

    def value(self, number: int = 0) -> Value:
        """Return what the layer reads."""
        return self.wiring.value(self.name, self.layer.bottom[number])

    def has_uses_left(self, number: int = 0) -> bool:
        """Whether other layers read, before or after it, the value that this one does."""
        name = self.layer.bottom[number]
        others = self._uses[name] > 1 and name not in self.layer.top
        return others or self.value(number).readers > 0

    def check_ends(self, bottoms: int | None = 1, tops: int | None = 1) -> None:
        """Raise unless the layer reads and writes so many values (None: one or more)."""
        for what, wanted, found in (
            ("read", bottoms, len(self.layer.bottom)),
            ("write", tops, len(self.layer.top)),
        ):
            if found != wanted and (wanted is not None or not found):
                raise self.error(f"a layer must {what} {wanted or 'some'} values", count=found)

    def check_blobs(self, *counts: int) -> None:
        """Raise unless the file has one of so many blobs for the layer."""
        if len(self.blobs) not in counts:
            raise self.error(
                "the weights must hold every blob of the layer",
                expected=" or ".join(map(str, counts)),
                blobs=[blob.shape for blob in self.blobs],
            )

    def blob(self, number: int, shape: tuple[int, ...]) -> Blob:
        """Return a blob in the shape that it must have."""
        array = in_shape(self.blobs[number], shape)
        if array is None:
            raise self.error(
                "a blob must have the shape that the layer says",
                blob=number,
                expected=shape,
                got=self.blobs[number].shape,
            )
        return array

    def fill(self, module: Any, number: int, attribute: str, array: Blob) -> None:
        """Set a parameter of a module from a blob, or to that of the layer it is shared with."""
        parameter: Parameter = getattr(module, attribute)
        np.copyto(parameter.data, array, casting="same_kind")
        names = [param.name for param in self.layer.param]
        key = names[number] if number < len(names) else ""
        if not key:
            return
        owner = self._shared.setdefault(key, parameter)
        if owner.shape != parameter.shape:
            raise self.error(
                "layers that share weights must have the same shape",
                param=repr(key),
                expected=owner.shape,
                got=parameter.shape,
            )
        setattr(module, attribute, owner)

    def put(self, module: Module, top: int = 0, name: str | None = None) -> None:
        """Add a module that reads all that the layer reads and writes one thing it writes."""
        self.wiring.add(name or self.name, module, list(self.layer.bottom), self.layer.top[top])
