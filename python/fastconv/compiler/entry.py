"""`fastconv.compile`: from layers to one C++ object."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._arguments import flag, integer
from ..nn import Module
from .compiled import CompiledNetwork, Options
from .passes import optimise
from .trace import trace
from .tuning import default_path

__all__ = ["compile", "full_shape"]

_MOST_FLOATS = (2**63 - 1) // 4


def compile(
    net: Module,
    input_shape: Sequence[int] | None = None,
    *,
    winograd: bool = True,
    threads: int | None = None,
    weights: str = "fp32",
    batch: str = "recompile",
    preset: Any = None,
    tune: bool | str | os.PathLike[str] = False,
) -> CompiledNetwork:
    """Turn a network of layers into one object that runs in one call, in inference mode.

    input_shape: (N, C, H, W), or (C, H, W) for one picture; by default the network's own.
    winograd: allow Winograd's algorithms (3x3, 5x5, 7x7/2, 11x11/4 ...), which cost a digit.
    threads: how many a call may use; None: as many as `get_num_threads` says when it is called.
    weights: "bf16" keeps those of linear layers in bfloat16, half the memory, at relative errors of
    up to 2**-9 a weight; arithmetic stays in float32.
    batch: what other batch sizes than N do, "recompile" (kept for the next time) or "error".
    preset: a `data.Preset`, such as `net.preset`, or (mean, scale), numbers or one a channel; the
    network then also takes uint8 pictures of its size, of which it sees (byte - mean) * scale.
    With a Preset colours are RGB, also where its order is "BGR" (a copy then has them reversed),
    and pictures of "L" have one channel. float32 is what the network takes, as from
    `preset.batch`.
    tune: measure the algorithms that such convolutions can take, instead of estimating which is
    best. The answers are remembered, by CPU, version, shape and threads, in the file named, or, if
    True, in fastconv/tuning.json in the user's cache folder. A file that cannot be read is ignored
    with a warning, and written anew.

    The network is left as it was, and shares its weights with the result: compile again after
    training it (pickling and other batch sizes raise ValueError then). Python runs only now, so
    what it does must not depend on values.

    The result gives the same bits from call to call, at any number of threads, and from several at
    once. Its error against exact arithmetic stays below 1e-5 of the largest output, 1e-4 with
    Winograd's algorithms.

    Raises TypeError and ValueError, which name the layer, for networks that do not fit the shape
    or cannot be compiled.

    >>> import numpy as np, fastconv
    >>> compiled = fastconv.compile(fastconv.models.lenet5(), (1, 28, 28))
    >>> compiled(np.zeros((1, 1, 28, 28), np.float32)).shape
    (1, 10)
    """
    if not isinstance(net, Module):
        raise TypeError(f"compile: net must be a Module (type={type(net).__name__})")
    shape = full_shape("compile", net, input_shape)
    if weights not in ("fp32", "bf16"):
        raise ValueError(f"compile: weights must be 'fp32' or 'bf16' (weights={weights!r})")
    if batch not in ("recompile", "error"):
        raise ValueError(f"compile: batch must be 'recompile' or 'error' (batch={batch!r})")
    if preset is not None and len(shape) != 4:
        raise ValueError(f"compile: a preset is for pictures (input_shape={shape})")
    options = Options(
        name=type(net).__name__,
        winograd=flag("compile", "winograd", winograd),
        weights=weights,
        threads=0 if threads is None else integer("compile", "threads", threads, 1),
        recompiles=batch == "recompile",
        preset=preset,
        tuning=_tuning_file(tune),
    )
    return CompiledNetwork(optimise(trace(net, shape)), options)


def _tuning_file(tune: Any) -> Path | None:
    if isinstance(tune, (bool, np.bool_)):
        return default_path() if tune else None
    if isinstance(tune, (str, os.PathLike)):
        return Path(tune)
    raise TypeError(
        f"compile: tune must be True, False or the path of a file (type={type(tune).__name__})"
    )


def full_shape(op: str, net: Module, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of a network's input, the batch included; by default its own."""
    if shape is None:
        shape = net.input_shape
    if shape is None and net.preset is not None:
        shape = (1 if net.preset.order == "L" else 3, *net.preset.size)
    if shape is None:
        raise ValueError(
            f"{op}: the network does not say what it takes: give input_shape, as (3, 224, 224) "
            f"(network={type(net).__name__})"
        )
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{op}: input_shape must be a tuple of sizes (input_shape={shape!r})")
    sizes = tuple(integer(op, "input_shape", size, 1) for size in shape)
    if math.prod(sizes) > _MOST_FLOATS:
        raise ValueError(f"{op}: the input must fit 63 bits of bytes (input_shape={sizes})")
    if len(sizes) not in (1, 2, 3, 4):
        raise ValueError(
            f"{op}: input_shape must be (N, C, H, W), (C, H, W), (N, features) or (features,) "
            f"(input_shape={sizes})"
        )
    return sizes if len(sizes) in (2, 4) else (1, *sizes)
