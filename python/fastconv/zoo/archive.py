"""What a reader finds in a file, and what it is like to be a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ..data import Preset
from ..nn import Module

__all__ = ["Archive", "FormatError", "Reader", "head_of", "missing_extra"]


_HEAD = 1 << 16


class FormatError(ValueError):
    """A file that is damaged, of another kind, or holds what this library has no layer for."""


@dataclass
class Archive:
    """The content of a file (or of the few files that belong together), as it is there.

    format: the reader's name for it, in lower case: "caffe", "tensorflow saved model".
    tensors: arrays by the file's own names, in the file's own layout (HWIO stays HWIO).
    build: builds the network that the file describes, weights included; None where the file holds
        weights alone, which then have to fit a scheme of `zoo.schemes`.
    metadata: what else the file says of itself, by plain names: "framework", "version", "backend".
    architecture: what `models.get` is told to build the network that the file names, (name,
        options); the tensors then have its names. With `build`, it is built where it is asked for.
    preset, classes: where the file itself says how photos enter and what outputs are called.
    """

    format: str
    path: Path
    tensors: dict[str, NDArray[Any]]
    build: Callable[[], Module] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    preset: Preset | None = None
    classes: tuple[str, ...] | None = None
    architecture: tuple[str, dict[str, Any]] | None = None


class Reader(Protocol):
    """A module of `zoo.readers`: it knows one family of files.

    Those of formats with two files have `PAIRS = True`; the others are given no `weights`.
    """

    __name__: str

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether the file (`head` is its beginning, b"" for a folder) is of this family.

        By content; the name may decide only where content cannot. Must be quick and must not need
        an extra.
        """

    def read(self, path: Path, weights: Path | None) -> Archive:
        """Read the file; `weights` is the second file of formats that have two.

        Raises FormatError for what is damaged or unknown, ImportError that names the extra.
        """


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, by which readers recognise theirs; b"" for a folder."""
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(_HEAD)


def missing_extra(what: str, package: str, extra: str = "zoo") -> ImportError:
    """Return the error for a package that is not installed."""
    return ImportError(f"zoo: {what} needs {package}: pip install 'fastconv[{extra}]'")
