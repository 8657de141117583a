"""CIFAR-10: its Python and binary versions, and folders of pictures, packed or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cifar_pickle import read_cifar_pickle
from .dataset import ArrayDataset, channels_first
from .files import Files, open_files
from .pictures import SUFFIXES, decode

__all__ = ["CLASSES", "cifar10"]

CLASSES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
_BATCHES = {
    "train": [f"data_batch_{number}" for number in range(1, 6)],
    "test": ["test_batch"],
}
_SIDE = 32
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_TOGETHER = 256  # pictures that a thread decodes in one go


def cifar10(path: str | os.PathLike[str], split: str = "train") -> ArrayDataset:
    """Load CIFAR-10 into memory: uint8 pictures (N, 3, 32, 32), labels and the ten class names.

    Args:
        path: a folder, or a tar, plain or compressed, with one of
            - the Python version: `data_batch_1` to `data_batch_5`, `test_batch`. The pickles are
              read without executing them;
            - the binary version: the same with `.bin`;
            - pictures of 32 x 32: `train/CLASS/*.jpg` (or .png; needs the extra `data`).
            A folder may also hold one such tar. Other folders around them do not matter.
        split: "train" (default; 50,000 pictures) or "test" (10,000).

    Raises FileNotFoundError for a missing path or batch, ValueError for an unknown split and for
    files that are not what their names say. Source: Krizhevsky 2009, "Learning multiple layers of
    features from tiny images", https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    if split not in _BATCHES:
        raise ValueError(f"cifar10: split must be 'train' or 'test' (split={split!r})")
    files = _find(Path(path), split)
    for suffix, read in (("", read_cifar_pickle), (".bin", _read_binary)):
        rows, labels = _read_batches(files, [one + suffix for one in _BATCHES[split]], read)
        if labels.size:
            # Files hold one plane per colour; memory here has channels last.
            images = rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            return ArrayDataset(channels_first(np.ascontiguousarray(images)), labels, CLASSES)
    return _read_pictures(files)


def _find(path: Path, split: str) -> Files:
    """Return the files of a split, of whatever kind, in `path` or in the tar that it holds."""
    batches = {one + suffix for one in _BATCHES[split] for suffix in ("", ".bin")}

    def wanted(name: str) -> bool:
        parts = PurePosixPath(name).parts
        return parts[-1] in batches or (
            parts[-1].lower().endswith(SUFFIXES) and len(parts) > 2 and parts[-3] == split
        )

    files = open_files("cifar10", path, wanted, max_bytes=1 << 30)
    if not files.names and path.is_dir():
        archives = sorted(one for one in path.iterdir() if one.name.endswith(_ARCHIVES))
        if len(archives) > 1:
            raise ValueError(
                "cifar10: a folder must not hold several archives; name one of them "
                f"(path={path}, archives={', '.join(one.name for one in archives)})"
            )
        if archives:
            return _find(archives[0], split)
    if not files.names:
        raise FileNotFoundError(
            f"cifar10: path must hold {_BATCHES[split][0]}, {_BATCHES[split][0]}.bin or "
            f"{split}/CLASS/*.jpg, in a folder or a tar (path={path})"
        )
    return files


def _read_batches(
    files: Files,
    batches: list[str],
    read: Callable[[bytes, str], tuple[NDArray[np.uint8], NDArray[np.int64]]],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the rows and labels of all batches, none if there are none of these."""
    found = {PurePosixPath(name).name: name for name in files.names}
    missing = [one for one in batches if one not in found]
    if len(missing) == len(batches):
        return np.empty((0, 3 * _SIDE * _SIDE), np.uint8), np.empty(0, np.int64)
    if missing:
        raise FileNotFoundError(
            f"cifar10: path must hold all batches (path={files.root}, missing={', '.join(missing)})"
        )
    parts = [read(files.read(found[one]), files.title(found[one])) for one in batches]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([own for _, own in parts])


def _read_binary(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read records of one byte for the label and 3,072 for red, green and blue."""
    record = 1 + 3 * _SIDE * _SIDE
    if not content or len(content) % record:
        raise ValueError(
            f"cifar10: a binary batch must consist of records of {record} bytes "
            f"(file={name}, bytes={len(content)})"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise ValueError(
            f"cifar10: labels must be from 0 to 9 (file={name}, largest={labels.max()})"
        )
    return records[:, 1:], labels


def _read_pictures(files: Files) -> ArrayDataset:
    names = files.names
    folders = [PurePosixPath(name).parts[-2] for name in names]
    if sorted(set(folders)) != CLASSES:
        raise ValueError(
            f"cifar10: the class folders must be {', '.join(CLASSES)} "
            f"(path={files.root}, found={', '.join(sorted(set(folders))[:20])})"
        )
    labels = np.array([CLASSES.index(one) for one in folders], np.int64)
    pictures = np.empty((len(labels), _SIDE, _SIDE, 3), np.uint8)

    def read(start: int) -> int:
        part = names[start : start + _TOGETHER]
        for place, name in enumerate(part, start):
            picture = decode("cifar10", files.read(name), files.title(name))
            if picture.shape != pictures.shape[1:]:
                raise ValueError(
                    f"cifar10: pictures must be {_SIDE}x{_SIDE} "
                    f"(file={files.title(name)}, shape={picture.shape})"
                )
            pictures[place] = picture
        return len(part)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for _ in _progress(pool.map(read, range(0, len(labels), _TOGETHER)), len(labels)):
            pass
    return ArrayDataset(channels_first(pictures), labels, CLASSES)


def _progress(counts: Iterator[int], total: int) -> Iterator[int]:
    """Pass `counts` on, adding them up in a bar if it takes long and a terminal is there."""
    if not sys.stderr.isatty() or find_spec("tqdm") is None:
        yield from counts
        return
    from tqdm import tqdm

    bar: Any = tqdm(total=total, desc="cifar10", unit="picture", delay=1.0)
    with bar:
        for count in counts:
            bar.update(count)
            yield count
