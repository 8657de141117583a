"""A tree of numbers, texts and arrays in one safetensors file, written whole or not at all.

Arrays are the file's tensors, under dotted names, so that any safetensors reader finds them; the
rest is JSON in its metadata, where {"$tensor": name} stands for an array. The format:
https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FORMAT",
    "check_target",
    "import_safetensors",
    "read_tree",
    "replace_file",
    "write_tree",
]

FORMAT = "fastconv.checkpoint"
_VERSION = "1"
_TENSOR = "$tensor"

Arrays = dict[str, NDArray[Any]]


def write_tree(path: Path, tree: dict[str, Any]) -> None:
    """Replace `path` by a file that holds `tree`: dicts, lists, arrays, numbers, texts, None."""
    safetensors = import_safetensors("save_checkpoint")
    arrays: Arrays = {}
    text = json.dumps(_encode("", tree, arrays))
    metadata = {
        "format": FORMAT,
        "version": _VERSION,
        "content": text,
        "crc32": _checksum(text, arrays),
    }

    def write(temporary: Path) -> None:
        temporary.touch()
        mode = temporary.stat().st_mode  # as of any new file; safetensors lets the owner alone read
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
            temporary.chmod(mode)
        except safetensors.SafetensorError as error:
            raise OSError(
                f"save_checkpoint: the file must be writable (file={path}, reason={error})"
            ) from error

    replace_file(path, write)


def read_tree(path: Path) -> dict[str, Any]:
    """Return the tree that `write_tree` wrote.

    Raises FileNotFoundError, and ValueError if the file is damaged or of another kind.
    """
    safetensors = import_safetensors("load_checkpoint")
    if not path.is_file():
        raise FileNotFoundError(f"load_checkpoint: the file must exist (file={path})")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_kind(path, metadata)
            names = file.keys()  # the file itself is no container
            arrays = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(
            "load_checkpoint: the file must be a whole safetensors file "
            f"(file={path}, reason={error})"
        ) from error
    try:
        if _checksum(metadata["content"], arrays) != metadata["crc32"]:
            raise ValueError("its checksum does not fit")
        tree = _decode(json.loads(metadata["content"]), arrays)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"load_checkpoint: the content must be whole (file={path}, reason={error!r})"
        ) from error
    if arrays or not isinstance(tree, dict):
        raise ValueError(
            "load_checkpoint: the content must name every tensor "
            f"(file={path}, unnamed={sorted(arrays)})"
        )
    return tree


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file under a temporary name beside `path`, then put it in its place.

    Whatever happens on the way, a crash of the machine included, `path` holds the old content or
    the new one. One process may write to a path at a time.
    """
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_target(op: str, path: Path) -> None:
    """Raise, in the name of `op`, if a checkpoint cannot be written to `path`."""
    import_safetensors(op)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"{op}: the checkpoint must be a file in an existing folder (file={path})")


def _check_kind(path: Path, metadata: dict[str, str]) -> None:
    kind, version = metadata.get("format"), metadata.get("version")
    if kind != FORMAT:
        raise ValueError(
            f"load_checkpoint: the file must be a checkpoint of fastconv (file={path}, "
            f"format={kind!r})"
        )
    if version != _VERSION:
        raise ValueError(
            f"load_checkpoint: the format's version must be {_VERSION} "
            f"(file={path}, version={version!r})"
        )


def _checksum(text: str, arrays: Arrays) -> str:
    """Return the CRC-32 of the text and, in the order of their names, the arrays' bytes."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        crc = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _encode(name: str, value: Any, arrays: Arrays) -> Any:
    """Return `value` as JSON has it; its arrays go to `arrays`, under dotted names."""
    if isinstance(value, np.ndarray):
        arrays[name] = np.asarray(value, order="C")
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {
            str(key): _encode(f"{name}.{key}" if name else str(key), part, arrays)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_encode(f"{name}.{place}", part, arrays) for place, part in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        "save_checkpoint: state must be made of arrays, numbers and texts "
        f"(name={name}, type={type(value).__name__})"
    )


def _decode(value: Any, arrays: Arrays) -> Any:
    """Undo `_encode`; each array is taken out of `arrays`."""
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return arrays.pop(value[_TENSOR])
        return {key: _decode(part, arrays) for key, part in value.items()}
    if isinstance(value, list):
        return [_decode(part, arrays) for part in value]
    return value


def import_safetensors(op: str, files: str = "checkpoints") -> Any:
    """Return the package; ImportError, in the name of `op`, says what needs which extra."""
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"{op}: {files} need safetensors: pip install 'fastconv[train]'"
        ) from error
    return safetensors
