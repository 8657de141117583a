"""The MNIST digits: the sample that ships with fastconv, the full set on disk, or a download."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .idx import read_idx

__all__ = ["Digits", "mnist"]

_SAMPLE = Path(__file__).parent / "digits"
_SPLITS = {"train": "train", "test": "t10k"}
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_SIDE = 28
_CLASSES = 10


class Digits(NamedTuple):
    """Pictures and what they show: `images` (N, 1, 28, 28) float32 in [0, 1], black 0 and ink 1;
    `labels` (N,) int64, the digit itself."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def mnist(
    root: str | os.PathLike[str] | None = None, split: str = "train", download: bool = False
) -> Digits:
    """Load handwritten digits as `Digits(images (N, 1, 28, 28), labels (N,))`, ready to train on.

    Args:
        root: folder with the four IDX files, plain or .gz, under their original names. None
            (default): the sample inside fastconv, 5,000 digits to train on and 1,000 to test on;
            with `download`, the user's cache (`$FASTCONV_HOME`, or the platform's cache folder).
        split: "train" (default; 60,000 in the full set) or "test" (10,000).
        download: fetch files that `root` lacks and check their SHA-256 sums. Needs the extra
            `data`. Files already there are read as they are.

    Raises FileNotFoundError if a file is missing, ConnectionError if no mirror delivers it, and
    ValueError for an unknown split or a file that is not what its name says.
    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", CC BY-SA 3.0.
    """
    if split not in _SPLITS:
        raise ValueError(f"mnist: split must be 'train' or 'test' (split={split!r})")
    folder = _default_folder(download) if root is None else Path(root)
    images = _load(folder, f"{_SPLITS[split]}-images-idx3-ubyte", 3, download)
    labels = _load(folder, f"{_SPLITS[split]}-labels-idx1-ubyte", 1, download)
    if images.shape[1:] != (_SIDE, _SIDE):
        raise ValueError(
            f"mnist: pictures must be 28x28 (folder={folder}, split={split}, shape={images.shape})"
        )
    if len(images) != len(labels):
        raise ValueError(
            "mnist: there must be one label for each picture "
            f"(folder={folder}, split={split}, images={len(images)}, labels={len(labels)})"
        )
    if labels.size and labels.max() >= _CLASSES:
        raise ValueError(
            "mnist: labels must be between 0 and 9 "
            f"(folder={folder}, split={split}, largest={labels.max()})"
        )
    scaled = np.empty((len(images), 1, _SIDE, _SIDE), np.float32)
    np.divide(images[:, None], np.float32(255), out=scaled)
    return Digits(scaled, labels.astype(np.int64))


def _load(folder: Path, name: str, rank: int, download: bool) -> NDArray[Any]:
    found = [path for path in (folder / f"{name}.gz", folder / name) if path.is_file()]
    if not found and not download:
        raise FileNotFoundError(
            f"mnist: the folder must hold {name} or {name}.gz, or download=True must be given "
            f"(folder={folder})"
        )
    path = found[0] if found else _fetch(folder, name)
    array = read_idx(path)
    if array.ndim != rank or array.dtype != np.uint8:
        raise ValueError(
            f"mnist: the file must hold bytes in {rank} dimensions "
            f"(file={path}, dtype={array.dtype}, shape={array.shape})"
        )
    return array


def _default_folder(download: bool) -> Path:
    if not download:
        return _SAMPLE
    home = os.environ.get("FASTCONV_HOME")
    return (Path(home).expanduser() if home else Path(_pooch().os_cache("fastconv"))) / "mnist"


def _fetch(folder: Path, name: str) -> Path:
    """Try the mirrors in turn; pooch checks the sum before the file gets its name."""
    pooch = _pooch()
    bar = sys.stderr.isatty() and find_spec("tqdm") is not None
    reasons = []
    for mirror in _MIRRORS:
        try:
            return Path(
                pooch.retrieve(
                    f"{mirror}{name}.gz",
                    known_hash=f"sha256:{_SHA256[name]}",
                    fname=f"{name}.gz",
                    path=folder,
                    downloader=pooch.HTTPDownloader(progressbar=bar, timeout=30),
                )
            )
        except (OSError, ValueError) as error:  # unreachable, refused, or a wrong sum
            reasons.append(f"{mirror}: {error}")
    raise ConnectionError(
        f"mnist: a mirror must deliver {name}.gz (folder={folder}, tried={'; '.join(reasons)})"
    )


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "mnist: download=True needs pooch: pip install 'fastconv[data]'"
        ) from error
    return pooch
