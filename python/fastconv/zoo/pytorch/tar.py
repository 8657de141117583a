"""PyTorch's first files (before 0.1.10): tars of storages, tensors and a pickle that names them."""

from __future__ import annotations

import tarfile
from typing import Any

from ...data.pickles import PickleError, text
from ..archive import FormatError
from ..mapped import Mapped
from ..pickles import unpickle
from .tensors import AXES, NAMES, Storage, Tensor, storage_of

__all__ = ["is_tar", "read_tar"]

_MEMBERS = ("storages", "tensors", "pickle")


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a tar whose first member is one of PyTorch's."""
    name = head[:100].rstrip(b"\0").decode("latin-1")
    return head[257:262] == b"ustar" and name.removeprefix("./") in ("sys_info", *_MEMBERS)


def read_tar(file: Mapped, hint: str) -> Any:
    """Return what the pickle holds; FormatError where the tar is not of this kind."""
    starts = _members(file)
    try:
        storages = _storages(file, starts["storages"])
        tensors = _tensors(file, starts["tensors"], storages)
    except PickleError as error:
        raise FormatError(f"zoo.load: {error} (file={file.path})") from error

    def persistent(identity: Any) -> Any:
        # A pair is a class and its source text; neither is of use here.
        if type(identity) is tuple:
            return identity[0]
        key = _key(identity)
        found = tensors.get(key, storages.get(key))
        if found is None:
            raise PickleError(f"the tar must hold every tensor (missing={key:.100})")
        return found

    root, _ = unpickle(file.path, file.content, starts["pickle"], NAMES, persistent, hint)
    return root


def _members(file: Mapped) -> dict[str, int]:
    """Return where the members begin."""
    try:
        with tarfile.open(file.path, "r:") as tar:
            starts = {
                member.name.removeprefix("./"): member.offset_data
                for member in tar
                if member.isreg()
            }
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise FormatError(
            f"zoo.load: the tar must be whole (file={file.path}, reason={error})"
        ) from error
    missing = [name for name in _MEMBERS if name not in starts]
    if missing:
        raise FormatError(
            f"zoo.load: the tar must hold {', '.join(_MEMBERS)} "
            f"(file={file.path}, missing={', '.join(missing)})"
        )
    return starts


def _storages(file: Mapped, at: int) -> dict[str, Storage]:
    """Read a count; for each storage a pickle (key, location, type), the number of elements and
    the elements; then a pickled list of parts: (key, key of the whole, offset, count)."""
    count, at = unpickle(file.path, file.content, at)
    storages: dict[str, Storage] = {}
    for _ in range(_count(file, count)):
        identity, at = unpickle(file.path, file.content, at, NAMES)
        key, location, kind = _entries(identity, 3)
        (size,) = file.array("storages", "<i8", at, 1).tolist()
        name, storage = storage_of(file, ("storage", kind, _key(key), location, size))
        at = storage.fill_counted(at)
        storages[name] = storage
    views, _ = unpickle(file.path, file.content, at)
    for view in _list(views):
        key, whole, offset, size = _entries(view, 4)
        storages[_key(key)] = _known(storages, whole).part((key, offset, size))
    return storages


def _tensors(file: Mapped, at: int, storages: dict[str, Storage]) -> dict[str, Tensor]:
    """Read a count; for each tensor a pickle (key, key of its storage, type), the number of axes
    as eight bytes of which four count, sizes, strides, and the offset."""
    count, at = unpickle(file.path, file.content, at)
    tensors: dict[str, Tensor] = {}
    for _ in range(_count(file, count)):
        identity, at = unpickle(file.path, file.content, at, NAMES)
        key, storage, _ = _entries(identity, 3)
        (axes,) = file.array("tensors", "<i4", at, 1).tolist()
        if not 0 <= axes <= AXES:
            raise PickleError(f"a tensor must have at most {AXES} axes (axes={axes})")
        *numbers, offset = file.array("tensors", "<i8", at + 8, 2 * axes + 1).tolist()
        at += 8 * (2 * axes + 2)
        size, stride = tuple(numbers[:axes]), tuple(numbers[axes:])
        tensors[_key(key)] = Tensor(_known(storages, storage), offset, size, stride)
    return tensors


def _count(file: Mapped, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= len(file):
        raise PickleError(f"a count must be an integer from 0 on (type={type(value).__name__})")
    return value


def _key(value: Any) -> str:
    return str(value) if type(value) is int else text(value)


def _known(storages: dict[str, Storage], key: Any) -> Storage:
    if _key(key) not in storages:
        raise PickleError(f"the tar must hold every storage (missing={_key(key):.100})")
    return storages[_key(key)]


def _entries(value: Any, count: int) -> Any:
    if type(value) not in (tuple, list) or len(value) != count:
        raise PickleError(f"{count} values are expected (type={type(value).__name__})")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise PickleError(f"a list is expected (type={type(value).__name__})")
    return value
