"""Grad-CAM: which places of a picture speak for a class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..autograd import Tensor, enable_grad, no_grad, tensor
from ..nn import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Module
from .canvas import as_drawn, finish, heading, new_figure, panels, show
from .layers import find_layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Activation", "class_activation", "draw_grad_cam", "grad_cam"]

_POOLS = (AdaptiveAvgPool2d, AvgPool2d, MaxPool2d)


class Activation(NamedTuple):
    """What `class_activation` found."""

    map: NDArray[Any]  # (h, w), as the layer's maps, not below 0
    label: int  # the class it speaks for
    layer: str  # where it was looked


def class_activation(
    net: Module,
    picture: NDArray[Any],
    label: int | None = None,
    layer: str | Module | None = None,
) -> Activation:
    """Return where the maps of a layer speak for a class (Grad-CAM).

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391: max(0, sum_k a_k A_k) of the layer's
    maps A_k, where a_k is the mean over the map of the gradient of the class's output by A_k.

    `picture` is (C, H, W) or (1, C, H, W) as the network takes it; `label` the class, by default
    the one that the network answers; `layer` a layer of `net` or its dotted name, by default the
    last that gives maps of more than one pixel and does not pool. The network runs in inference,
    and is left as it was.

    Raises ValueError if there is no such class or layer, or the layer's output is not maps.
    """
    picture = picture[None] if picture.ndim == 3 else picture
    if picture.ndim != 4 or len(picture) != 1:
        raise ValueError(f"grad_cam: picture must be one picture (shape={picture.shape})")
    with _constant(net):
        name, module = (
            _last_maps(net, picture) if layer is None else find_layer("grad_cam", net, layer)
        )
        leaves: list[Tensor] = []

        def cut(_module: Module, _inputs: Any, out: Any) -> Tensor:
            # From here on the gradient flows, and to here it flows back.
            leaves.append(Tensor(out.data, requires_grad=True))
            return leaves[-1]

        with module.register_forward_hook(cut), enable_grad():
            output = net(tensor(picture))
        if len(leaves) != 1 or leaves[0].ndim != 4:
            raise ValueError(
                "grad_cam: layer must give maps, once "
                f"(layer={name}, outputs={[leaf.shape for leaf in leaves]})"
            )
        classes = output.shape[-1]
        chosen = int(output.data[0].argmax()) if label is None else label
        if not 0 <= chosen < classes:
            raise ValueError(f"grad_cam: label must be from 0 to {classes - 1} (label={label})")
        one = np.zeros_like(output.data)
        one[0, chosen] = 1
        output.backward(one)
    maps, gradient = leaves[0].data[0], leaves[0].grad
    assert gradient is not None
    weights = gradient[0].mean(axis=(1, 2))
    return Activation(np.maximum(np.tensordot(weights, maps, 1), 0), chosen, name)


def grad_cam(
    net: Module,
    picture: NDArray[Any],
    label: int | None = None,
    layer: str | Module | None = None,
    *,
    shown: NDArray[Any] | None = None,
    classes: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw a picture, and beside it the places that speak for a class; see `class_activation`.

    `shown` is what to draw where the network's picture is normalised: the same picture with values
    from 0 to 1; by default the picture is stretched to that. `classes` are names. Saved to `path`
    if given.
    """
    found = class_activation(net, picture, label, layer)
    if classes is not None and found.label >= len(classes):
        raise ValueError(
            f"grad_cam: classes must name every output (label={found.label}, names={len(classes)})"
        )
    figure = new_figure(6.2, 3.55)
    name = str(found.label) if classes is None else classes[found.label]
    heading(figure, f"Grad-CAM: {name}", found.layer)
    draw_grad_cam(panels(figure, 2, 2), _displayed(picture if shown is None else shown), found.map)
    return finish(figure, path)


def draw_grad_cam(axes: Sequence[Any], shown: NDArray[Any], activation: NDArray[Any]) -> None:
    """Draw a picture (H, W) or (H, W, 3) on the first axes, and with the map on the last."""
    height, width = shown.shape[:2]
    for one in axes[:-1]:
        show(one, shown, "gray", 0, 1)
    grey = shown if shown.ndim == 2 else shown.mean(axis=2)  # its colours would mix with the map's
    show(axes[-1], grey, "gray", 0, 1)
    axes[-1].imshow(
        activation / (activation.max() or 1.0),
        cmap="inferno",
        vmin=0,
        vmax=1,
        alpha=0.55,
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )


def _displayed(picture: NDArray[Any]) -> NDArray[Any]:
    """Return (1 or 3, H, W) as (H, W) or (H, W, 3), stretched to 0 to 1 if it is not inside."""
    picture = picture[0] if picture.ndim == 4 else picture
    if picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ValueError(f"grad_cam: a picture must have 1 or 3 channels (shape={picture.shape})")
    if picture.min() < 0 or picture.max() > 1:
        picture = (picture - picture.min()) / (float(np.ptp(picture)) or 1.0)
    return as_drawn(picture)


@contextmanager
def _constant(net: Module) -> Iterator[None]:
    """Inside, the network is in inference and its parameters need no gradient."""
    modes = [(module, module.training) for module in net.modules()]
    learns = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.eval()
    try:
        for parameter, _ in learns:
            parameter.requires_grad = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, learned in learns:
            parameter.requires_grad = learned


def _last_maps(net: Module, picture: NDArray[Any]) -> tuple[str, Module]:
    """Return the layer that made the last maps of more than one pixel, but for pooled ones."""
    found: list[tuple[str, Module, Tensor]] = []
    pooled: list[Tensor] = []

    def note(name: str, module: Module, out: Any) -> None:
        if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2] * out.shape[3] > 1:
            pooled.extend([out] if isinstance(module, _POOLS) else [])
            found.append((name, module, out))

    hooks = [
        module.register_forward_hook(
            lambda module, _inputs, out, name=name: note(name, module, out)
        )
        for name, module in net.named_modules()
        if module is not net
    ]
    try:
        with no_grad():
            net(tensor(picture))
    finally:
        for hook in hooks:
            hook.remove()
    # A sequence that ends in a pooling returns the pooling's maps.
    kept = [(name, module) for name, module, out in found if not any(out is p for p in pooled)]
    if not kept:
        raise ValueError(
            f"grad_cam: the network must have a layer of maps (net={type(net).__name__})"
        )
    return kept[-1]
