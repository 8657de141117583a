"""Pictures in one folder per class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import open_files
from .pictures import SUFFIXES, decode

__all__ = ["ImageFolder"]

_SPLITS = {"train", "val", "valid", "validation", "test"}


class ImageFolder:
    """Pictures as root/split/CLASS/.../name.jpg, read from disk or out of a tar when asked for.

    Args:
        root: a folder or a tar. The members of a plain tar are read where they lie; those of one
            compressed by gzip, bzip2 or xz are kept in memory, compressed as they are.
        split: the folder inside `root` that holds the class folders, such as "train"; default None,
            `root` itself.
        max_bytes: to how much a compressed tar may expand (4 GiB).

    `classes` are the names of the class folders, sorted; `labels` (N,) int64 count them; `files`
    name the pictures: .jpg, .jpeg, .png, .ppm, .pgm, .bmp, .tif, .tiff, .webp. Hidden files and
    folders are left out. Needs the extra `data` (Pillow). Raises FileNotFoundError if `root` or
    `split` is not there, ValueError for anything but a folder or a whole tar, and for a class
    without pictures.

    >>> train = Loader(ImageFolder("hymenoptera.tar", split="train"), transform=transform)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        *,
        max_bytes: int = 4 << 30,
    ) -> None:
        prefix = "" if split is None else split.strip("/") + "/"

        def class_of(name: str) -> str:
            return name[len(prefix) :].split("/")[0] if name.startswith(prefix) else ""

        def wanted(name: str) -> bool:
            own = class_of(name)
            return name.lower().endswith(SUFFIXES) and own != "" and name != prefix + own

        self._files = open_files("ImageFolder", root, wanted, max_bytes)
        self.root = Path(root)
        self.files = self._files.names
        found = {class_of(name) for name in self._files.folders} - {""}
        if split is not None and not found:
            raise FileNotFoundError(
                f"ImageFolder: root must hold class folders in split (root={root}, split={split!r})"
            )
        folders = [class_of(name) for name in self.files]
        self.classes: list[str] = sorted(set(folders))
        without = sorted(found - set(self.classes))
        if not self.classes or without:
            raise ValueError(
                f"ImageFolder: each class folder must hold pictures (root={root}, split={split!r}, "
                f"without={', '.join(without) or 'all'})"
            )
        if set(self.classes) <= _SPLITS:
            raise ValueError(
                "ImageFolder: root must hold class folders, or split must say where they are "
                f"(root={root}, folders={', '.join(self.classes)})"
            )
        number = {name: place for place, name in enumerate(self.classes)}
        self.labels: NDArray[np.int64] = np.array([number[one] for one in folders], np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return a picture as uint8 (H, W, 3), RGB, upright by its EXIF tag.

        Raises PictureError, which names the file, for one that is damaged or has more pixels than
        Pillow's `MAX_IMAGE_PIXELS`.
        """
        name = self.files[index]
        return decode("ImageFolder", self._files.read(name), self._files.title(name))

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}, pictures={len(self)}, classes={len(self.classes)})"
