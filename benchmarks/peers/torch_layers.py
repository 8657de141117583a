"""Single layers in torch.nn: the module, and the tensor it works on."""

# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call, unused-ignore"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..inputs import layer_inputs
from ..layers import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    ConvGradient,
    Gemm,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
)
from . import torch_networks

__all__ = ["build", "gradient"]


class _Matmul(nn.Module):
    """x @ b, where b plays the part of a layer's weight."""

    def __init__(self, layer: Gemm, b: torch.Tensor) -> None:
        super().__init__()
        self.b = nn.Parameter(b)
        self.layer = layer

    def forward(self, a: Any) -> Any:
        return (a.T if self.layer.trans_a else a) @ (self.b.T if self.layer.trans_b else self.b)


def build(layer: Layer, batch: int) -> tuple[nn.Module, torch.Tensor]:
    """A module in inference, with the weights of `layer_inputs`, and its input."""
    arrays = {name: torch.from_numpy(a) for name, a in layer_inputs(layer, batch).items()}
    module: nn.Module
    if isinstance(layer, Gemm):
        return _Matmul(layer, arrays["b"]).eval(), arrays["a"]
    if isinstance(layer, Conv):
        module = nn.Conv2d(
            layer.channels,
            layer.filters,
            layer.kernel,
            layer.stride,
            layer.padding,
            groups=layer.groups,
            bias=layer.bias,
        )
    elif isinstance(layer, Linear):
        module = nn.Linear(layer.inputs, layer.outputs, layer.bias)
    elif isinstance(layer, MaxPool):
        # Caffe's rule for the last window and PyTorch's agree on these networks.
        ceil_mode = bool(layer.ceil_mode)
        module = nn.MaxPool2d(layer.kernel, layer.stride, layer.padding, ceil_mode=ceil_mode)
    elif isinstance(layer, AvgPool):
        module = nn.AvgPool2d(layer.kernel, layer.stride, layer.padding, bool(layer.ceil_mode))
    elif isinstance(layer, AdaptiveAvgPool):
        module = nn.AdaptiveAvgPool2d(layer.output)
    elif isinstance(layer, LocalResponseNorm):
        module = torch_networks.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
    else:
        raise ValueError(f"torch layers: gradients are no module (layer={layer})")
    module.load_state_dict({name: arrays[name] for name in module.state_dict()})
    return module.eval(), arrays["x"]


def gradient(layer: ConvGradient, batch: int, memory_format: Any) -> Callable[[], torch.Tensor]:
    """A call that computes the gradient of a convolution by its input or its weight."""
    conv = layer.conv
    arrays = {
        name: torch.from_numpy(a).contiguous(memory_format=memory_format)
        for name, a in layer_inputs(layer, batch).items()
    }
    by_input = layer.wrt == "input"
    x = arrays.get("x", torch.empty(batch, conv.channels, conv.height, conv.width))
    weight = arrays.get("weight", torch.empty(conv.weight_shape))
    x, weight = (t.contiguous(memory_format=memory_format) for t in (x, weight))

    def run() -> torch.Tensor:
        gradients = torch.ops.aten.convolution_backward(
            arrays["grad"],
            x,
            weight,
            None,
            conv.stride,
            conv.padding,
            (1, 1),
            False,
            (0, 0),
            conv.groups,
            [by_input, not by_input, False],
        )
        return gradients[0 if by_input else 1]

    return run
