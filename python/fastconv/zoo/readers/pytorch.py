"""PyTorch's .pt and .pth files: zip archives (since 1.6), the older stream, and the first tars.

Layout: torch/serialization.py of https://github.com/pytorch/pytorch.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

from ...data.pickles import text
from ..archive import Archive, FormatError
from ..mapped import Mapped
from ..pickles import unpickle
from ..pytorch.tar import is_tar, read_tar
from ..pytorch.tensors import NAMES, Storage, Tensor, storage_of

__all__ = ["read", "recognises"]

_ZIP = b"PK\x03\x04"
# The pickled integer that begins a stream, and the stream's version.
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY = b"\x80\x02\x8a\x0a" + _MAGIC.to_bytes(10, "little") + b"."
_VERSION = 1001
_HINT = (
    "; where this is a whole pickled network, or another object of Python's, load it with PyTorch "
    "and save its state_dict() instead"
)
# Where training scripts keep the weights, in the order of preference.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
# What wrapped networks put before every name: DataParallel, torch.compile, Lightning.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


def recognises(path: Path, head: bytes) -> bool:
    if head.startswith(_ZIP):
        (length,) = struct.unpack_from("<H", head.ljust(30), 26)
        return head[30 : 30 + length].endswith(b"/data.pkl") or _has_data(path)
    return head.startswith(_LEGACY) or is_tar(head)


def read(path: Path, weights: Path | None = None) -> Archive:
    file = Mapped(path)
    if file.content[:4] == _ZIP:
        root = _read_zip(file)
    elif is_tar(file.content[:512]):
        root = read_tar(file, _HINT)
    else:
        root = _read_legacy(file)
    state = _state_dict(path, root)
    tensors = {name: tensor.array(name) for name, tensor in state.items()}
    return Archive("pytorch", path, tensors, metadata={"framework": "pytorch"})


def _has_data(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _read_zip(file: Mapped) -> Any:
    entries = _entries(file)
    roots = [name for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise FormatError(
            f"zoo.load: the archive must hold one data.pkl (file={file.path}, found={len(roots)})"
        )
    prefix = roots[0][: -len("data.pkl")]

    def content(name: str) -> bytes:
        start, size = entries[prefix + name]
        return file.content[start : start + size]

    order = "<"
    if f"{prefix}byteorder" in entries:
        found = content("byteorder")
        if found not in (b"little", b"big"):
            raise FormatError(
                f"zoo.load: byteorder must be little or big (file={file.path}, "
                f"byteorder={found[:20]!r})"
            )
        order = "<" if found == b"little" else ">"
    storages: dict[tuple[str, str], Storage] = {}

    def persistent(identity: Any) -> Storage:
        key, storage = storage_of(file, identity)
        if (key, storage.kind) not in storages:
            if f"{prefix}data/{key}" not in entries:
                raise FormatError(
                    "zoo.load: the archive must hold every storage "
                    f"(file={file.path}, missing=data/{key:.100})"
                )
            start, size = entries[f"{prefix}data/{key}"]
            storage.fill(start, order, size)
            storages[key, storage.kind] = storage
        return _agreed(file, storages[key, storage.kind], storage)

    root, _ = unpickle(file.path, content("data.pkl"), 0, NAMES, persistent, _HINT)
    return root


def _entries(file: Mapped) -> dict[str, tuple[int, int]]:
    """Return where the entries of a zip archive lie: (start, size) by name."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            infos = archive.infolist()
    # What zipfile raises for damaged directories.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise _no_archive(file, error) from error
    if any(info.filename.endswith("/constants.pkl") for info in infos):
        raise FormatError(
            "zoo.load: the file must hold weights, not a TorchScript program: save the network's "
            f"state_dict() (file={file.path})"
        )
    found: dict[str, tuple[int, int]] = {}
    for info in infos:
        name = f"{info.filename[:100]!r}"
        if info.filename in found:
            raise _no_archive(file, f"{name} is there twice")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise _no_archive(file, f"{name} is compressed or encrypted")
        at = max(info.header_offset, 0)  # damaged ones may be negative
        signature, *lengths = struct.unpack("<4s22x2H", file.content[at : at + 30].ljust(30))
        start = at + 30 + sum(lengths)
        if signature != _ZIP or start + info.file_size > len(file):
            raise _no_archive(file, f"{name} lies outside of the file")
        found[info.filename] = (start, info.file_size)
    if sum(size for _, size in found.values()) > len(file):
        raise _no_archive(file, "entries overlap")
    return found


def _no_archive(file: Mapped, reason: object) -> FormatError:
    return FormatError(
        "zoo.load: the file must be a whole, uncompressed zip archive "
        f"(file={file.path}, reason={reason})"
    )


def _read_legacy(file: Mapped) -> Any:
    path, content = file.path, file.content
    magic, at = unpickle(path, content)
    version, at = unpickle(path, content, at)
    _, at = unpickle(path, content, at)  # the sizes of C's integers where it was written
    if magic != _MAGIC or version != _VERSION:
        raise FormatError(
            f"zoo.load: the stream's version must be {_VERSION} (file={path}, "
            f"version={version!r:.50})"
        )
    storages: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        key, storage = storage_of(file, identity)
        known = _agreed(file, storages.setdefault(key, storage), storage)
        return known.part(identity[5]) if len(identity) > 5 and identity[5] else known

    root, at = unpickle(path, content, at, NAMES, persistent, _HINT)
    keys, at = unpickle(path, content, at)
    if type(keys) is not list or {*map(text, keys)} != storages.keys():
        raise FormatError(f"zoo.load: the stream must hold every storage (file={path})")
    for key in map(text, keys):
        at = storages[key].fill_counted(at)
    return root


def _agreed(file: Mapped, known: Storage, storage: Storage) -> Storage:
    if (known.kind, known.count) != (storage.kind, storage.count):
        raise FormatError(
            f"zoo.load: a storage must have one type and size (file={file.path}, "
            f"storage={storage.key:.100}, kinds={known.kind}, {storage.kind}, "
            f"sizes={known.count}, {storage.count})"
        )
    return known


def _state_dict(path: Path, root: Any) -> dict[str, Tensor]:
    """Return the weights in whatever a training script saved."""
    for _ in range(2):
        inner = (root.get(key) for key in _WRAPPERS) if type(root) is dict else ()
        root = next((one for one in inner if _holds_weights(one)), root)
    if not _has_tensors(root):
        raise FormatError(
            "zoo.load: the file must hold a state dict, alone or under a name such as "
            f"{', '.join(_WRAPPERS[:3])} (file={path}, found={type(root).__name__})"
        )
    state = {
        key: value for key, value in root.items() if type(key) is str and isinstance(value, Tensor)
    }
    while prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), ""):
        state = {key[len(prefix) :]: value for key, value in state.items()}
    return state


def _has_tensors(one: Any) -> bool:
    return type(one) is dict and any(
        type(key) is str and isinstance(value, Tensor) for key, value in one.items()
    )


def _holds_weights(one: Any) -> bool:
    """Whether it is a state dict, or wraps one."""
    return _has_tensors(one) or (
        type(one) is dict and any(_has_tensors(one.get(key)) for key in _WRAPPERS)
    )
