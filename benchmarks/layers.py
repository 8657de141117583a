"""The layers that are benchmarked: their shapes, what they cost, and the files that list them.

`shapes/<network>.json` holds the layers of one network on its own picture size, one a line, with
the name of the first layer of that shape and how often the shape occurs; `shapes/gemm.json` holds
matrix products. `tracing.py` writes the networks' files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

__all__ = [
    "AdaptiveAvgPool",
    "AvgPool",
    "Conv",
    "ConvGradient",
    "Entry",
    "Gemm",
    "Layer",
    "Linear",
    "LocalResponseNorm",
    "MaxPool",
    "Network",
    "load",
    "networks",
]

_FOLDER = Path(__file__).with_name("shapes")
_FLOAT = 4  # bytes


def _pair_text(name: str, pair: tuple[int, int], default: int) -> str:
    if pair == (default, default):
        return ""
    return f" {name}{pair[0]}" if pair[0] == pair[1] else f" {name}{pair[0]}x{pair[1]}"


@dataclass(frozen=True)
class _Spatial:
    """A layer from (N, channels, height, width) to (N, out_channels, out_height, out_width)."""

    channels: int
    height: int
    width: int

    @property
    def out_shape(self) -> tuple[int, int, int]:
        raise NotImplementedError

    def flop(self, batch: int) -> int:
        """Multiplications and additions; 0 for layers that memory bounds."""
        return 0

    def bytes(self, batch: int) -> int:
        """What has to be read and written once."""
        c, h, w = self.out_shape
        return _FLOAT * batch * (self.channels * self.height * self.width + c * h * w)

    def _map_text(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Conv(_Spatial):
    op: ClassVar[str] = "conv"

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    bias: bool = True

    @property
    def out_shape(self) -> tuple[int, int, int]:
        h, w = (
            (size + 2 * pad - k) // step + 1
            for size, k, step, pad in zip(
                (self.height, self.width), self.kernel, self.stride, self.padding, strict=True
            )
        )
        return self.filters, h, w

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.filters, self.channels // self.groups, *self.kernel

    @property
    def has_winograd(self) -> bool:
        return self.kernel == (3, 3) and self.stride == (1, 1) and self.groups == 1

    @property
    def length(self) -> int:
        """How many products make one output."""
        return self.channels // self.groups * self.kernel[0] * self.kernel[1]

    def flop(self, batch: int) -> int:
        c, h, w = self.out_shape
        return 2 * batch * c * h * w * self.length

    def bytes(self, batch: int) -> int:
        return super().bytes(batch) + _FLOAT * self.filters * self.length

    def __str__(self) -> str:
        text = f"{self._map_text()} -> {self.filters}, {self.kernel[0]}x{self.kernel[1]}"
        text += _pair_text("/", self.stride, 1).replace(" ", "") + _pair_text("p", self.padding, 0)
        return text if self.groups == 1 else f"{text} g{self.groups}"


@dataclass(frozen=True)
class ConvGradient:
    """The gradient of a convolution with respect to its "input" or its "weight"."""

    op: ClassVar[str] = "conv-backward"

    conv: Conv
    wrt: str

    @property
    def length(self) -> int:
        c, h, w = self.conv.out_shape
        if self.wrt == "weight":
            return h * w  # of one picture
        return c // self.conv.groups * self.conv.kernel[0] * self.conv.kernel[1]

    def flop(self, batch: int) -> int:
        return self.conv.flop(batch)

    def bytes(self, batch: int) -> int:
        return self.conv.bytes(batch)

    def __str__(self) -> str:
        return f"{self.conv}, d{self.wrt}"


@dataclass(frozen=True)
class _Pool(_Spatial):
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool | str = False

    @property
    def out_shape(self) -> tuple[int, int, int]:
        sizes = []
        for size, k, step, pad in zip(
            (self.height, self.width), self.kernel, self.stride, self.padding, strict=True
        ):
            room = size + 2 * pad - k
            count = (-(-room // step) if self.ceil_mode else room // step) + 1
            padded = pad > 0 or self.ceil_mode is True
            sizes.append(count - (padded and (count - 1) * step >= size + pad))
        return self.channels, sizes[0], sizes[1]

    def __str__(self) -> str:
        text = f"{self._map_text()}, {self.kernel[0]}x{self.kernel[1]}"
        text += _pair_text("/", self.stride, 1).replace(" ", "") + _pair_text("p", self.padding, 0)
        return f"{text} ceil" if self.ceil_mode else text


@dataclass(frozen=True)
class MaxPool(_Pool):
    op: ClassVar[str] = "max-pool"


@dataclass(frozen=True)
class AvgPool(_Pool):
    op: ClassVar[str] = "avg-pool"


@dataclass(frozen=True)
class AdaptiveAvgPool(_Spatial):
    op: ClassVar[str] = "adaptive-avg-pool"

    output: tuple[int, int]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        return self.channels, *self.output

    def __str__(self) -> str:
        return f"{self._map_text()} -> {self.output[0]}x{self.output[1]}"


@dataclass(frozen=True)
class LocalResponseNorm(_Spatial):
    op: ClassVar[str] = "lrn"

    size: int
    alpha: float
    beta: float
    k: float

    @property
    def out_shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    def __str__(self) -> str:
        return f"{self._map_text()}, {self.size} channels"


@dataclass(frozen=True)
class Linear:
    op: ClassVar[str] = "linear"

    inputs: int
    outputs: int
    bias: bool = True

    def flop(self, batch: int) -> int:
        return 2 * batch * self.inputs * self.outputs

    def bytes(self, batch: int) -> int:
        return _FLOAT * (self.inputs * self.outputs + batch * (self.inputs + self.outputs))

    def __str__(self) -> str:
        return f"{self.inputs} -> {self.outputs}"


@dataclass(frozen=True)
class Gemm:
    """(rows, inner) by (inner, columns); operands may be stored transposed."""

    op: ClassVar[str] = "gemm"

    rows: int
    inner: int
    columns: int
    trans_a: bool = False
    trans_b: bool = False

    def flop(self, batch: int = 1) -> int:
        return 2 * self.rows * self.inner * self.columns

    def bytes(self, batch: int = 1) -> int:
        m, k, n = self.rows, self.inner, self.columns
        return _FLOAT * (m * k + k * n + m * n)

    def __str__(self) -> str:
        a, b = ("'" if trans else "" for trans in (self.trans_a, self.trans_b))
        return f"{self.rows} x {self.inner}{a} x {self.columns}{b}"


Layer: TypeAlias = (
    Conv | ConvGradient | MaxPool | AvgPool | AdaptiveAvgPool | LocalResponseNorm | Linear | Gemm
)

_KINDS: dict[str, Any] = {
    kind.op: kind
    for kind in (Conv, MaxPool, AvgPool, AdaptiveAvgPool, LocalResponseNorm, Linear, Gemm)
}


@dataclass(frozen=True)
class Entry:
    """A layer, the name of the first one of its shape, and how many have it."""

    name: str
    count: int
    layer: Layer


@dataclass(frozen=True)
class Network:
    """The layers of one network, in the order in which they run."""

    name: str
    variant: str
    input_shape: tuple[int, ...]
    entries: tuple[Entry, ...]

    def flop(self, batch: int) -> int:
        """What the whole network computes, in its convolutions and fully connected layers."""
        return sum(entry.count * entry.layer.flop(batch) for entry in self.entries)

    def dumps(self) -> str:
        """The text of the network's file, one layer a line."""
        head = {"network": self.name, "variant": self.variant, "input": list(self.input_shape)}
        lines = [
            json.dumps({"name": e.name, "count": e.count, "op": e.layer.op, **_fields(e.layer)})
            for e in self.entries
        ]
        layers = ",\n".join("    " + line for line in lines)
        return f'{json.dumps(head)[:-1]},\n  "layers": [\n{layers}\n  ]\n}}\n'

    @staticmethod
    def loads(text: str) -> Network:
        """Raises ValueError for a kind of layer that nothing here knows."""
        content = json.loads(text)
        entries = []
        for line in content["layers"]:
            name, count, op = line.pop("name"), line.pop("count"), line.pop("op")
            if op not in _KINDS:
                raise ValueError(f"shapes: op must be one of {', '.join(_KINDS)} (op={op!r})")
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in line.items()}
            entries.append(Entry(name, count, _KINDS[op](**values)))
        shape = tuple(content["input"])
        return Network(content["network"], content["variant"], shape, tuple(entries))


def _fields(layer: Layer) -> dict[str, Any]:
    """The fields of a layer, without those that have their default."""
    values = asdict(layer)
    return {f.name: values[f.name] for f in fields(layer) if values[f.name] != f.default}


def networks() -> list[str]:
    """The names that have a file."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load(name: str) -> Network:
    """Read a network's file; ValueError lists the names there are."""
    path = _FOLDER / f"{name}.json"
    if name not in networks():
        names: Sequence[str] = networks()
        raise ValueError(f"shapes: network must be one of {', '.join(names)} (network={name!r})")
    return Network.loads(path.read_text())
