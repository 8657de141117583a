"""Looking inside a network: what its filters are, and what its layers see in a picture."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import Tensor, tensor
from ..nn import Conv2d, Module
from ..train import inference
from .canvas import finish, heading, new_figure, panels, show
from .layers import find_layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_feature_maps", "draw_filters", "feature_maps", "filters"]

_PANEL = 0.8  # inches


def filters(
    net: Module | Tensor | NDArray[Any],
    layer: str | Module | None = None,
    limit: int = 64,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw filters (O, I, KH, KW): those of a network's convolution, or the weight given.

    `layer` is a convolution of `net` or its dotted name; None (default) is the first one.
    Filters over three channels are drawn in colour, each stretched to the full range; any other
    (output, input) slice is a panel of its own, blue below zero and red above. `limit` (64) is the
    most panels drawn. Saved to `path` if given.

    Raises ValueError if the network has no such convolution or the weight not 4 dimensions.
    """
    weight = _weight_of(net, layer)
    count = min(limit, _panel_count(weight))
    columns = _columns(count)
    figure = new_figure(max(3.2, _PANEL * columns), 0.6 + _PANEL * math.ceil(count / columns))
    draw_filters(figure, weight, count, columns)
    return finish(figure, path)


def feature_maps(
    net: Module,
    image: NDArray[Any],
    layer: str | Module | None = None,
    limit: int = 64,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what a layer answers to one picture (C, H, W) or (1, C, H, W), channel by channel.

    `layer` is a layer of `net` or its dotted name; None (default) is the first convolution.
    `limit` (64) is the most channels drawn, all in one scale; where there are values below zero,
    those are blue and those above red. Saved to `path` if given.

    Raises ValueError if the layer is not in the network or its output not (1, C, H, W).
    """
    name, maps = _maps_of(net, image, layer)
    count = min(limit, len(maps))
    columns = _columns(count)
    figure = new_figure(max(3.2, _PANEL * columns), 0.6 + _PANEL * math.ceil(count / columns))
    _draw_maps(figure, name, maps, count, columns)
    return finish(figure, path)


def draw_filters(canvas: Any, net: Any, limit: int, columns: int) -> None:
    """Draw `filters` into a figure or a part of one."""
    weight = _weight_of(net)
    count = min(limit, _panel_count(weight))
    shape = "x".join(map(str, weight.shape))
    heading(canvas, "Filters", _note(shape, count, _panel_count(weight)))
    reach = float(np.abs(weight).max(initial=0)) or 1.0
    for place, axes in enumerate(panels(canvas, count, columns)):
        if weight.shape[1] == 3:
            one = weight[place].transpose(1, 2, 0)
            spread = float(np.ptp(one)) or 1.0
            show(axes, (one - one.min()) / spread, "gray", 0, 1)
        else:
            show(axes, weight.reshape(-1, *weight.shape[2:])[place], "RdBu_r", -reach, reach)


def draw_feature_maps(
    canvas: Any, net: Module, image: NDArray[Any], layer: str | Module | None, columns: int
) -> None:
    """Draw all `feature_maps` into a figure or a part of one."""
    name, maps = _maps_of(net, image, layer)
    _draw_maps(canvas, name, maps, len(maps), columns)


def _draw_maps(canvas: Any, name: str, maps: NDArray[Any], count: int, columns: int) -> None:
    shape = "x".join(map(str, maps.shape))
    heading(canvas, f"Feature maps of {name}", _note(shape, count, len(maps)))
    low, high = float(maps.min(initial=0)), float(maps.max(initial=0))
    if low < 0:
        colours, high = "RdBu_r", max(-low, high)
        low = -high
    else:
        colours = "magma"
    for one, axes in zip(maps, panels(canvas, count, columns), strict=False):
        show(axes, one, colours, low, high)


def _weight_of(
    net: Module | Tensor | NDArray[Any], layer: str | Module | None = None
) -> NDArray[Any]:
    if isinstance(net, Module) and layer is not None:
        name, module = find_layer("filters", net, layer)
        if not isinstance(module, Conv2d):
            raise ValueError(
                f"filters: layer must be a convolution (layer={name}, type={type(module).__name__})"
            )
        weight = module.weight.data
    elif isinstance(net, Module):
        weight = _first_convolution(net)[1].weight.data
    else:
        weight = net.data if isinstance(net, Tensor) else np.asarray(net)
    if weight.ndim != 4:
        raise ValueError(f"filters: the weight must have 4 dimensions (shape={weight.shape})")
    return weight


def _first_convolution(net: Module) -> tuple[str, Conv2d]:
    for name, module in net.named_modules():
        if isinstance(module, Conv2d):
            return name, module
    raise ValueError(f"plots: the network must have a convolution (net={type(net).__name__})")


def _maps_of(
    net: Module, image: NDArray[Any], layer: str | Module | None
) -> tuple[str, NDArray[Any]]:
    """The layer's name and its output (C, H, W)."""
    name, module = (
        _first_convolution(net) if layer is None else find_layer("feature_maps", net, layer)
    )
    image = image if image.ndim == 4 else image[None]
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"feature_maps: image must be one picture (shape={image.shape})")
    seen: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    with hook, inference(net):
        net(tensor(image))
    maps = seen[0].data if seen and isinstance(seen[0], Tensor) else None
    if maps is None or maps.ndim != 4:
        shape = None if maps is None else maps.shape
        raise ValueError(f"feature_maps: the layer must give maps (layer={name}, output={shape})")
    return name, maps[0]


def _panel_count(weight: NDArray[Any]) -> int:
    return int(weight.shape[0] * (1 if weight.shape[1] == 3 else weight.shape[1]))


def _columns(count: int) -> int:
    """A number of columns that leaves the last row full if it can, for a wide rectangle."""
    least = max(1, math.ceil(math.sqrt(count)))
    return min(
        range(min(least, 16), min(2 * least, 16) + 1),
        key=lambda columns: (-count % columns, abs(columns - math.sqrt(3 * count))),
    )


def _note(shape: str, count: int, total: int) -> str:
    return shape if count == total else f"{shape}, the first {count} of {total}"
