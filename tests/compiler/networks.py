"""Compiled networks against their layers: what the tests of this folder share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import fastconv
from fastconv import nn, no_grad, use_backend
from fastconv.compiler import CompiledNetwork
from fastconv.compiler.graph import Graph, is_step
from fastconv.compiler.passes import optimise
from fastconv.compiler.trace import trace

__all__ = [
    "Apply",
    "assert_agree",
    "check",
    "graph_of",
    "layered",
    "pictures",
    "randomise",
    "steps",
]


class Apply(nn.Module):
    """A layer that is one function, with other layers as its parts."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def randomise(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights that keep the size of what flows through it, and set it to inference.

    Numbers repeat, which takes a tenth of the time that drawing as many does.
    """
    rng = np.random.default_rng(seed)
    pool = rng.standard_normal(1 << 18).astype(np.float32)
    for name, parameter in net.named_parameters():
        data = parameter.data
        values = np.resize(np.roll(pool, int(rng.integers(len(pool)))), data.shape)
        if data.ndim > 1:
            np.multiply(values, np.float32(np.sqrt(2 / data[0].size)), out=data)
        else:
            data[...] = np.float32(name.endswith("weight")) + np.float32(0.1) * values
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer[...] = 0.1 * rng.standard_normal(buffer.shape)
        elif name.endswith("running_var"):
            buffer[...] = rng.uniform(0.5, 2, buffer.shape)
    return net.eval()


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def layered(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """The network's output, layer by layer."""
    with no_grad():
        result: np.ndarray = net(x).numpy()
    return result


def assert_agree(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    scale = np.abs(expected).max()
    assert scale > 0
    assert np.abs(actual - expected).max() <= tolerance * scale


def check(
    net: nn.Module, shape: tuple[int, ...], winograd: bool = False, **options: Any
) -> CompiledNetwork:
    """Compile a network, compare it with the float64 twins of its layers, and return it.

    The network's parameters become float64.
    """
    compiled = fastconv.compile(randomise(net), shape, winograd=winograd, **options)
    x, other = pictures(*shape), pictures(*shape, seed=1)
    y = compiled(x)
    compiled(other)  # what is left of it must not show
    out = np.full(compiled.output_shape, np.nan, np.float32)
    if out.ndim == 4:
        out = fastconv.functional.to_channels_last(out)
    assert compiled(x, out=out) is out
    np.testing.assert_array_equal(out, y)
    net.astype(np.float64)
    with use_backend("reference"):
        assert_agree(y, layered(net, x.astype(np.float64)))
    return compiled


def graph_of(net: nn.Module, shape: tuple[int, ...]) -> Graph:
    """The graph after all passes."""
    return optimise(trace(net, shape))


def steps(net: nn.Module, shape: tuple[int, ...]) -> Counter[str]:
    """How many steps of each kind a network compiles to."""
    return Counter(node.op for node in graph_of(net, shape).nodes if is_step(node))
