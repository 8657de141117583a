"""What a competitor is: it prepares a workload, then runs it as often as it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..inputs import Array
from ..layers import Layer

__all__ = ["Peer", "Prepared", "Unsupported", "Workload"]


class Unsupported(Exception):
    """A competitor cannot run a workload; it is left out there."""


class Prepared(NamedTuple):
    """run() is what is timed; answer() computes the result anew and returns it."""

    run: Callable[[], Any]
    answer: Callable[[], Array]


@dataclass(frozen=True)
class Workload:
    """A single layer, or a whole network in inference or training, at one batch size.

    A network's weights, input and targets lie in `folder`, and so does what is exported for
    competitors that read files: a workload travels between processes as a few names.
    """

    batch: int
    folder: Path
    layer: Layer | None = None
    network: str = ""
    variant: str = ""
    training: bool = False

    def state(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "state.npz") as arrays:
            return dict(arrays)

    def x(self) -> Array:
        """The pictures, (N, C, H, W) in C order."""
        x: Array = np.load(self.folder / "x.npy")[: self.batch]
        return x

    def target(self) -> np.ndarray:
        """A class for every picture."""
        target: np.ndarray = np.load(self.folder / "target.npy")[: self.batch]
        return target


class Peer(ABC):
    """A competitor, in a process of its own.

    `packages` are the modules it needs; `file` is the kind of file it reads, which the process
    "export" writes: "onnx", "ncnn" or none. `slice` says that it runs only the first picture of a
    batch and counts for all.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    file: ClassVar[str] = ""
    slice: ClassVar[bool] = False

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def missing(cls) -> list[str]:
        """The packages that are not installed."""
        return [package for package in cls.packages if find_spec(package) is None]

    @abstractmethod
    def prepare(self, workload: Workload) -> Prepared:
        """Load, compile and warm up; raises Unsupported for what it cannot run."""
