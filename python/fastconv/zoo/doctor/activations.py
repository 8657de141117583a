"""What the layers of a network give on one input, beside those of another or a file's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...autograd import Tensor, no_grad, use_backend
from ...nn import Conv2d, Linear, Module
from .relations import relative_error
from .report import Layer, Pair

__all__ = ["common_input", "layers_beside", "outputs", "outputs_beside"]

Outputs = dict[str, NDArray[Any]]

_SIDES = (224, 227, 32, 28, 299, 64, 112)


def outputs(net: Module, x: NDArray[Any]) -> Outputs:
    """Return the first output of every layer without parts, and the last, "", of the network.

    In the order in which they ran, in inference, with copies of the arrays.
    """
    found: Outputs = {}

    def keep(name: str) -> Any:
        def hook(module: Module, inputs: Any, out: Any) -> None:
            first = out[0] if isinstance(out, tuple) else out
            if isinstance(first, Tensor) and name not in found:
                found[name] = np.array(first.numpy())

        return hook

    modes = [(module, module.training) for module in net.modules()]
    with ExitStack() as stack:
        stack.enter_context(no_grad())
        for name, module in net.named_modules():
            if name == "" or not any(True for _ in module.children()):
                stack.enter_context(module.register_forward_hook(keep(name)))
        try:
            net.eval()(x)
        finally:
            for module, training in modes:
                module.training = training
    return found


def layers_beside(
    net: Module, other: Module, x: NDArray[Any], pairs: Iterable[Pair]
) -> list[Layer]:
    """Return how far apart the outputs of the layers are that two networks have in common.

    Of networks of the same parts, all; else those of convolutions and linear layers, which `pairs`
    joins by their weights: what lies between them may be computed in one step, or in several.
    """
    if _parts(net) == _parts(other):
        partners = {name: name for name in _parts(net)}
    else:
        kinds = (Conv2d, Linear)
        ours, theirs = (
            {f"{name}.weight" for name, m in side.named_modules() if isinstance(m, kinds)}
            for side in (net, other)
        )
        partners = {
            pair.name.removesuffix(".weight"): pair.other.removesuffix(".weight")
            for pair in pairs
            if pair.name in ours and pair.other in theirs and pair.name and pair.other
        }
    partners[""] = ""
    second = outputs(other, x)
    return [
        Layer(name or "output", partners[name] or "output", _apart(out, second[partners[name]]))
        for name, out in outputs(net, x).items()
        if partners.get(name) in second
    ]


def outputs_beside(net: Module, reference: Mapping[str, NDArray[Any]]) -> list[Layer]:
    """Return how far the layers' outputs are from arrays of their names, given "input".

    The network's own output is called "output". Raises ValueError if no name is a layer's.
    """
    ours = outputs(net, np.asarray(reference["input"], np.float32))
    ours["output"] = ours.pop("")
    wanted = {name.replace(".", "_"): name for name in reference}
    layers = [
        Layer(name, key, _apart(out, np.asarray(reference[key])))
        for name, out in ours.items()
        if (key := name if name in reference else wanted.get(name.replace(".", "_")))
    ]
    if not layers:
        raise ValueError(
            "inspect: reference activations must have the names of layers "
            f"(names={', '.join(list(reference)[:4])}, layers={', '.join(list(ours)[:4])})"
        )
    return layers


def common_input(*nets: Module) -> NDArray[np.float32] | None:
    """Return a random picture of a size that all networks take; None where none is found."""
    channels = [_channels(net) for net in nets]
    sizes = [net.preset.size for net in nets if net.preset is not None]
    sizes += [net.input_shape[1:] for net in nets if net.input_shape is not None]
    sizes += [(side, side) for side in _SIDES]
    for size in dict.fromkeys(sizes):
        shape = (1, channels[0], *size)
        if len(set(channels)) == 1 and all(_takes(net, shape) for net in nets):
            return np.random.default_rng(0).standard_normal(shape, np.float32)
    return None


def _channels(net: Module) -> int:
    first = next((m for m in net.modules() if isinstance(m, Conv2d)), None)
    return 3 if first is None else first.in_channels


def _takes(net: Module, shape: tuple[int, ...]) -> bool:
    """Whether the network's layers fit together on an input of that shape; computes nothing."""
    try:
        with use_backend("shapes"), no_grad():
            net(np.broadcast_to(np.zeros((), np.float32), shape))
    except (ValueError, TypeError):
        return False
    return True


def _parts(net: Module) -> dict[str, type[Module]]:
    return {
        name: type(m)
        for name, m in net.named_modules()
        if name and not any(True for _ in m.children())
    }


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    if a.shape != b.shape and a.size == b.size:
        b = b.reshape(a.shape)  # (N, C) and (N, C, 1, 1)
    return relative_error(a, b) if a.shape == b.shape else float("inf")
