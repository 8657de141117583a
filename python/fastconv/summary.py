"""What a network is made of: its layers, and what each costs.

The module is callable, so that `fastconv.summary(net, shape)` works whether or not
`fastconv.summary` was imported as a module.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from . import nn
from ._arguments import integer, pair
from .autograd import Tensor, no_grad, use_backend
from .autograd.geometry import padding_of

__all__ = ["Row", "Summary", "summary"]


class Row(NamedTuple):
    """One call of a layer."""

    name: str  # dotted, as in the state dict
    kind: str  # the layer's class
    size: str  # how the output size came about
    shape: tuple[int, ...]  # of the output, with the batch axis
    parameters: int  # 0 if counted in a row before
    macs: int  # multiply-accumulates of convolutions and full layers, of the whole batch
    memory: int  # bytes of the output; 0 if it is the input itself


@dataclass(frozen=True)
class Summary:
    """The rows of a network and their totals; `str` gives a table."""

    name: str
    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int  # of the whole network, also those of layers that did not run
    macs: int
    activation_memory: int  # bytes of all outputs
    parameter_memory: int  # bytes

    def __str__(self) -> str:
        head = ("layer", "type", "output size", "output", "parameters", "MACs", "memory")
        body = [
            (
                row.name,
                row.kind,
                row.size,
                "x".join(map(str, row.shape)),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.macs:,}" if row.macs else "",
                _bytes_text(row.memory) if row.memory else "",
            )
            for row in self.rows
        ]
        total = ("total", "", "", "", f"{self.parameters:,}", f"{self.macs:,}", "")
        widths = [max(map(len, column)) for column in zip(head, *body, total, strict=True)]

        def line(cells: Sequence[str]) -> str:
            left = [cell.ljust(width) for cell, width in zip(cells[:4], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
            return "  ".join(left + right).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        idle = self.parameters - sum(row.parameters for row in self.rows)
        lines = [
            f"{self.name}, input {'x'.join(map(str, self.input_shape))}",
            rule,
            line(head),
            rule,
            *map(line, body),
            rule,
            line(total),
            f"memory: activations {self.activation_memory / 2**20:.2f} MiB, "
            f"parameters {self.parameter_memory / 2**20:.2f} MiB",
        ]
        if idle:
            lines.append(f"{idle:,} of the parameters belong to layers that do not run here")
        return "\n".join(lines)


def summary(net: nn.Module, shape: Sequence[int] | None = None) -> Summary:
    """Return what every layer of a network puts out and costs, without computing anything.

    `shape` is the input's, (N, C, H, W) or (N, features), where N may be left out and is then 1;
    by default the network's `input_shape`. The network runs once, in inference mode, on shapes
    alone, so even a large one takes milliseconds. Raises ValueError where shapes do not fit.
    """
    full_shape = _with_batch(net, shape)
    rows: list[Row] = []
    counted: set[int] = set()
    modes = [(module, module.training) for module in net.modules()]
    with ExitStack() as stack:
        for name, module in net.named_modules():
            if any(True for _ in module.parameters(recurse=False)) or not any(
                True for _ in module.children()
            ):
                stack.enter_context(
                    module.register_forward_hook(_Recorder(name or _kind(net), rows, counted))
                )
        stack.enter_context(use_backend("shapes"))
        stack.enter_context(no_grad())
        dtype = next((p.dtype for p in net.parameters()), np.dtype(np.float32))
        try:
            net.eval()
            net(np.broadcast_to(np.zeros((), dtype), full_shape))
        finally:
            for module, training in modes:
                module.training = training
    return Summary(
        name=_kind(net),
        input_shape=full_shape,
        rows=tuple(rows),
        parameters=sum(p.size for p in net.parameters()),
        macs=sum(row.macs for row in rows),
        activation_memory=sum(row.memory for row in rows),
        parameter_memory=sum(p.data.nbytes for p in net.parameters()),
    )


class _Recorder:
    """The forward hook of one layer."""

    def __init__(self, name: str, rows: list[Row], counted: set[int]) -> None:
        self._name = name
        self._rows = rows
        self._counted = counted

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
        if not isinstance(out, Tensor):
            return
        new = [p for p in module.parameters(recurse=False) if id(p) not in self._counted]
        self._counted.update(map(id, new))
        in_shape = inputs[0].shape if inputs and isinstance(inputs[0], Tensor) else ()
        row = Row(
            name=self._name,
            kind=_kind(module),
            size=_size_text(module, in_shape, out.shape),
            shape=out.shape,
            parameters=sum(p.size for p in new),
            macs=_macs(module, out.size),
            memory=0 if out in inputs else out.size * out.dtype.itemsize,
        )
        self._rows.append(row)


def _with_batch(net: nn.Module, shape: Sequence[int] | None) -> tuple[int, ...]:
    if shape is None:
        shape = getattr(net, "input_shape", None)
        if shape is None:
            raise ValueError(f"summary: shape is needed for a {_kind(net)} (shape=None)")
    sizes = tuple(integer("summary", "shape", size, 1) for size in shape)
    if len(sizes) not in (1, 2, 3, 4):
        raise ValueError(f"summary: shape must have one to four sizes (shape={sizes})")
    return sizes if len(sizes) in (2, 4) else (1, *sizes)


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _macs(module: nn.Module, out_size: int) -> int:
    """Return the multiply-accumulates: each output is a sum over one row of the weight."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return out_size * prod(module.weight.shape[1:])
    return 0


def _size_text(module: nn.Module, x: tuple[int, ...], out: tuple[int, ...]) -> str:
    if isinstance(module, nn.Conv2d):
        kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
        texts = _window_texts(x, out, kernel, stride, module.padding, dilation, False, True)
    elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        kernel = pair("summary", "kernel_size", module.kernel_size, 1)
        stride = pair("summary", "stride", module.stride, 1)
        dilation = pair("summary", "dilation", getattr(module, "dilation", 1), 1)
        texts = _window_texts(
            x, out, kernel, stride, module.padding, dilation, module.ceil_mode, False
        )
    elif isinstance(module, nn.AdaptiveAvgPool2d):
        texts = [f"{n} -> {m}" for n, m in zip(x[2:], out[2:], strict=True)]
    elif isinstance(module, nn.Linear):
        texts = [f"{x[-1]} -> {out[-1]}"]
    elif isinstance(module, nn.Flatten) and len(x) > 2:
        texts = [f"{'*'.join(map(str, x[1:]))} = {out[-1]}"] if len(out) == 2 else []
    elif isinstance(module, nn.ZeroPad2d):
        texts = [
            f"{n} + {sum(p)} = {m}" for n, p, m in zip(x[2:], module.padding, out[2:], strict=True)
        ]
    else:
        texts = []
    return ", ".join(dict.fromkeys(texts))


def _window_texts(
    x: tuple[int, ...],
    out: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Any,
    dilation: tuple[int, int],
    ceil_mode: bool | str,
    show_no_padding: bool,
) -> list[str]:
    """Return the formula of the output height and width."""
    texts = []
    for n, m, k, s, (before, after), d in zip(
        x[2:], out[2:], kernel, stride, padding_of("summary", padding), dilation, strict=True
    ):
        room = n - d * (k - 1) - 1 + before + after
        text = f"{n} - {k}" if d == 1 else f"{n} - ({d}*({k} - 1) + 1)"
        if before != after:
            text += f" + {before} + {after}"
        elif before or show_no_padding:
            text += f" + 2*{before}"
        rounding = "" if room % s == 0 else "ceil" if ceil_mode else "floor"
        text = f"{rounding}(({text})/{s})" if rounding else f"({text})/{s}"
        windows = (-(-room // s) if ceil_mode else room // s) + 1
        # Rounding up may add a window that the pooling then drops.
        texts.append(f"{text} + 1{' - 1' if windows > m else ''} = {m}")
    return texts


def _bytes_text(count: int) -> str:
    if count < 2**10:
        return f"{count} B"
    if count < 2**20:
        return f"{count / 2**10:.1f} KiB"
    return f"{count / 2**20:.2f} MiB"


class _CallableModule(ModuleType):
    def __call__(self, net: nn.Module, shape: Sequence[int] | None = None) -> Summary:
        return summary(net, shape)


sys.modules[__name__].__class__ = _CallableModule
