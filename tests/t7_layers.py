"""Layers as Torch7 writes them, with random weights, and loading what holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastconv import zoo
from t7_files import Obj, Storage, module, write

__all__ = ["ENCODINGS", "batch_norm", "convolution", "load", "normal", "pool", "size"]

RNG = np.random.default_rng(5)
ENCODINGS = [{}, {"ascii": True}, {"order": ">"}, {"long_size": 4}, {"order": ">", "long_size": 4}]


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def size(*values: int) -> Storage:
    return Storage(np.array(values))


def convolution(
    kind: str, weight: np.ndarray, bias: Any, stride: int, pad: int, **more: Any
) -> Obj:
    out, into, height, width = weight.shape
    fields = {"nInputPlane": into, "nOutputPlane": out, "kH": height, "kW": width}
    steps = {"dH": stride, "dW": stride, "padH": pad, "padW": pad}
    given = {} if bias is None else {"bias": bias}
    return module(kind, weight=weight, **given, **{**fields, **steps, **more})


def batch_norm(kind: str, channels: int, **more: Any) -> tuple[Obj, tuple[Any, ...]]:
    mean, var = normal(channels), RNG.uniform(0.5, 2, channels).astype(np.float32)
    weight, bias = normal(channels), normal(channels)
    layer = module(
        kind, weight=weight, bias=bias, running_mean=mean, running_var=var, eps=1e-3, momentum=0.1,
        version=2, **more,
    )  # fmt: skip
    return layer, (mean, var, weight, bias, 1e-3)


def pool(kind: str, kernel: int, stride: int, pad: int, **more: Any) -> Obj:
    return module(kind, kW=kernel, kH=kernel, dW=stride, dH=stride, padW=pad, padH=pad, **more)


def load(path: Path, content: Any, **encoding: Any) -> Any:
    file = path / "net.t7"
    file.write_bytes(write(content, **encoding))
    return zoo.load(file)
