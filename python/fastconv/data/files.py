"""Files by name, in a folder or inside a tar, whose members are never written to disk.

A plain tar is indexed once and its members are read where they lie. A compressed one cannot be read
in the middle: the wanted members are kept in memory as they are in the archive. What an archive
claims about itself is only a claim: nothing is read, skipped or allocated beyond a limit.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Files", "open_files"]

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}


@dataclass(frozen=True)
class _Stretch:
    """Bytes of a file: `size` from `offset` on, or all of it (-1)."""

    path: Path
    offset: int = 0
    size: int = -1


class Files:
    """Files of the folder or tar `root`: their `names`, sorted, with "/" between the parts; and all
    `folders` that are there, also those without one of these files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders: set[str] = set()
        self._places: dict[str, _Stretch | bytes] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._places)

    def add(self, name: str, place: _Stretch | bytes) -> None:
        """Note where a file is."""
        self._places[name] = place

    def read(self, name: str) -> bytes:
        """Return what is in a file. Threads may call it at the same time."""
        place = self._places[name]
        if isinstance(place, bytes):
            return place
        with open(place.path, "rb") as file:
            file.seek(place.offset)
            return file.read(place.size)

    def title(self, name: str) -> str:
        """How messages call a file."""
        return f"{self.root}/{name}"


def open_files(
    operation: str,
    root: str | os.PathLike[str],
    wanted: Callable[[str], bool],
    max_bytes: int = 4 << 30,
) -> Files:
    """Return those files of a folder or a tar for whose name `wanted(name)` holds.

    A compressed tar (gzip, bzip2, xz) is expanded no further than `max_bytes` (4 GiB). Links inside
    a tar are not followed, hidden files of either are not seen. Raises FileNotFoundError if there
    is no `root`; ValueError, in the name of `operation`, for anything else than a folder or a whole
    tar, and for more than `max_bytes`.
    """
    root = Path(root)
    files = Files(root)
    if root.is_dir():
        _walk(files, wanted)
        return files
    with open(root, "rb") as file:
        head = file.read(max(map(len, _COMPRESSIONS)))
    module = next((one for magic, one in _COMPRESSIONS.items() if head.startswith(magic)), None)
    try:
        _index(files, module, wanted, max_bytes)
    except MemoryError:
        raise
    except _LimitError as error:
        raise ValueError(f"{operation}: {error}") from error
    except Exception as error:  # tarfile and the decompressors have many words for "damaged"
        raise ValueError(
            f"{operation}: the file must be a whole tar, plain or compressed by gzip, bzip2 or xz "
            f"(file={root}, found={error})"
        ) from error
    return files


def _walk(files: Files, wanted: Callable[[str], bool]) -> None:
    # Links to folders are followed at the top and among classes, not below, where loops could be.
    pending = [(files.root, "", 0)]
    while pending:
        folder, prefix, depth = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if not _visible(name):
                    continue
                if entry.is_dir(follow_symlinks=depth < 2):
                    files.folders.add(name)
                    pending.append((Path(entry.path), name + "/", depth + 1))
                elif entry.is_file() and wanted(name):
                    files.add(name, _Stretch(Path(entry.path)))


def _index(files: Files, module: str | None, wanted: Callable[[str], bool], max_bytes: int) -> None:
    root = files.root
    if module is None:
        limit = root.stat().st_size
        rule = f"a tar must not end before what it says is in it (file={root}, bytes={limit})"
    else:
        limit = max_bytes
        rule = f"a compressed tar must not expand beyond max_bytes (file={root}, max_bytes={limit})"
    opener: Any = import_module(module or "io")
    with opener.open(root, "rb") as file:
        limited: Any = _Limited(file, limit, rule)
        tar = tarfile.TarFile(fileobj=limited)
        for member in tar:
            name = posixpath.normpath(member.name)
            if not _visible(name) or not (member.isdir() or member.isreg()):
                continue
            files.folders.add(name if member.isdir() else posixpath.dirname(name))
            if member.isdir() or not wanted(name):
                continue
            if member.issparse():
                raise tarfile.ReadError(f"the sparse member {member.name}")
            if module is None:
                files.add(name, _Stretch(root, member.offset_data, member.size))
            else:
                content: Any = tar.extractfile(member)
                files.add(name, content.read())
        if any(limited.last):  # tarfile takes any block that is no header for the end
            raise tarfile.ReadError("a header that is none")
        if module is not None:  # the checksum of what was expanded comes last
            while limited.read(tarfile.BLOCKSIZE):
                pass


def _visible(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


class _LimitError(ValueError):
    """More bytes than there may be."""


class _Limited:
    """A file that raises _LimitError(rule) when asked for bytes beyond `limit`; it remembers the
    `last` that it gave."""

    def __init__(self, file: Any, limit: int, rule: str) -> None:
        self._file = file
        self._limit = limit
        self._rule = rule
        self.last = b""

    def read(self, count: int) -> bytes:
        self._check(count if count > tarfile.BLOCKSIZE else 0)  # a header is tried at the end too
        self.last = self._file.read(count)
        self._check(self._file.tell())
        return self.last

    def seek(self, place: int) -> None:
        self._check(place)
        self._file.seek(place)

    def tell(self) -> int:
        place: int = self._file.tell()
        return place

    def _check(self, place: int) -> None:
        if place > self._limit:
            raise _LimitError(self._rule)
