"""Pickles in the zoos' files: values alone, nothing in them is run (see `data.pickles`)."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..data.pickles import NUMPY, Call, Machine, PickleError, Shell, make_dict
from .archive import FormatError

__all__ = ["unpickle"]


def _forgotten(*_: Any) -> Shell:
    return Shell()


# What training scripts put beside the weights; nothing here reads it.
_NAMES: dict[str, Any] = {
    **NUMPY,
    "collections OrderedDict": Call(make_dict),
    "collections defaultdict": Call(lambda _=None, pairs=(): make_dict(pairs)),
    "collections Counter": Call(make_dict),
    "argparse Namespace": Call(_forgotten),
    "pathlib PosixPath": Call(_forgotten),
    **{
        f"{module} {kind}": None
        for module in ("builtins", "__builtin__")
        for kind in ("dict", "list", "int", "float")
    },
    **{f"{module} set": Call(_forgotten) for module in ("builtins", "__builtin__")},
}


def unpickle(
    path: Path,
    content: bytes | mmap.mmap,
    start: int = 0,
    names: Mapping[str, Any] | None = None,
    persistent: Callable[[Any], Any] | None = None,
    hint: str = "",
) -> tuple[Any, int]:
    """Return the object pickled at `start`, and where the pickle ends.

    names: what "module name" may stand for besides arrays and containers; see `Machine`.
    hint: what to tell the reader of the error for another name.

    Raises FormatError that names `path` and the refused name.
    """
    try:
        return Machine({**_NAMES, **(names or {})}, persistent).run(content, start)
    except PickleError as error:
        if isinstance(error.__cause__, FormatError):  # of what `persistent` found in the file
            raise error.__cause__ from None
        if error.refused:
            raise FormatError(
                "zoo.load: a pickle must hold arrays and containers alone, and nothing in it is "
                f"run (file={path}, refused={error.refused:.100}){hint}"
            ) from error
        raise FormatError(f"zoo.load: {error} (file={path})") from error
