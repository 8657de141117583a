"""Where the shape files come from: the networks of `fastconv.models`, run on shapes alone.

`python -m benchmarks shapes` writes the files anew; a test compares them with the networks.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import nn
from fastconv._arguments import pair
from fastconv.autograd import Tensor, no_grad, use_backend

from .layers import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Entry,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Network,
)
from .subject import Subject
from .trained import build

__all__ = ["TRACED", "trace", "write"]

TRACED = ("lenet5", "alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "resnet152")


def trace(subject: Subject) -> Network:
    """The layers of a network."""
    net = build(subject.name, subject.variant).eval()
    counts: dict[Layer, int] = {}
    names: dict[Layer, str] = {}
    with ExitStack() as stack:
        for path, module in net.named_modules():

            def record(
                module: nn.Module, inputs: tuple[Tensor, ...], output: Any, path: str = path
            ) -> None:
                layer = _layer(module, inputs[0].shape)
                if layer is not None:
                    counts[layer] = counts.get(layer, 0) + 1
                    names.setdefault(layer, path)

            stack.enter_context(module.register_forward_hook(record))
        stack.enter_context(use_backend("shapes"))
        stack.enter_context(no_grad())
        net(np.broadcast_to(np.float32(0), (1, *subject.shape)))
    entries = tuple(Entry(names[layer], count, layer) for layer, count in counts.items())
    return Network(subject.name, subject.variant, subject.shape, entries)


def _layer(module: nn.Module, shape: tuple[int, ...]) -> Layer | None:
    if isinstance(module, nn.Linear):
        outputs, inputs = module.weight.shape
        return Linear(inputs, outputs, module.bias is not None)
    if len(shape) != 4:
        return None
    _, channels, height, width = shape
    if isinstance(module, nn.Conv2d):
        return Conv(
            channels,
            height,
            width,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.groups,
            module.bias is not None,
        )
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride, padding = (
            pair("trace", name, getattr(module, name), 0)
            for name in ("kernel_size", "stride", "padding")
        )
        kind = MaxPool if isinstance(module, nn.MaxPool2d) else AvgPool
        return kind(channels, height, width, kernel, stride, padding, module.ceil_mode)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        output = pair("trace", "output_size", module.output_size, 1)
        return AdaptiveAvgPool(channels, height, width, output)
    if isinstance(module, nn.LocalResponseNorm):
        constants = (module.size, module.alpha, module.beta, module.k)
        return LocalResponseNorm(channels, height, width, *constants)
    return None


def write(folder: Path) -> list[Path]:
    """Write the files of all networks; return their paths."""
    paths = []
    for name in TRACED:
        path = folder / f"{name}.json"
        path.write_text(trace(Subject.parse(name)).dumps())
        paths.append(path)
    return paths
