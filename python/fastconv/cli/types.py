"""Types of arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

__all__ = ["ModelName", "OutputFile", "Shape", "ZooFile"]

if TYPE_CHECKING:  # older releases of click cannot subscript it
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

_LONGEST = 1 << 16


class ModelName(_ParamType):
    """A network that the registry knows; with `shapes`, one made for pictures of such a size."""

    name = "model"

    def __init__(self, *shapes: tuple[int, int, int]) -> None:
        self._shapes = shapes

    def _names(self) -> list[str]:
        from .. import models

        names = models.list_models()
        if self._shapes:
            names = [name for name in names if models.input_shape(name) in self._shapes]
        return names

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        names = self._names()
        if value not in names:
            sizes = " or ".join("x".join(map(str, shape)) for shape in self._shapes)
            kind = f"network of {sizes} pictures" if sizes else "network"
            self.fail(f"no such {kind}: {value!r}; choose from {', '.join(names)}", param, ctx)
        return str(value)


class Shape(_ParamType):
    """Sizes with commas or x between them, such as 3,224,224."""

    name = "C,H,W"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            shape = tuple(int(size) for size in value.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not shape or min(shape) < 1 or max(shape) > _LONGEST:
            rule = f"must be sizes from 1 to {_LONGEST}, such as 3,224,224"
            self.fail(f"{value!r} {rule}", param, ctx)
        return shape


class OutputFile(_ParamType):
    """A file to write, known to be writable and of the right kind before the work starts."""

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self._suffixes = suffixes

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(value)
        if path.suffix.lower() not in self._suffixes:
            self.fail(f"{value!r} must end in {' or '.join(self._suffixes)}", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"{value!r}: there is no folder {path.parent}", param, ctx)
        if path.suffix.lower() == ".safetensors":
            from ..train.storage import import_safetensors

            try:  # a missing extra is better known before the training
                import_safetensors(path.name, "files of this kind")
            except ImportError as error:
                self.fail(str(error), param, ctx)
        checked = click.Path(dir_okay=False, writable=True, path_type=Path)
        return Path(checked.convert(path, param, ctx))


class ZooFile(_ParamType):
    """A file that a zoo published, the folder of a SavedModel, or a TensorFlow checkpoint without
    its suffix."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(value)
        if not path.exists() and not Path(f"{path}.index").exists():
            self.fail(f"{str(path)!r} does not exist", param, ctx)
        return path
