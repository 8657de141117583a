"""Parameter groups: which parameters decay, and which layers learn at a rate of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["decay_groups", "layer_groups"]


def decay_groups(
    params: Module | Iterable[Tensor] | Iterable[Mapping[str, Any]], weight_decay: float
) -> list[dict[str, Any]]:
    """Return groups for an optimizer in which weights decay by `weight_decay`, and only weights.

    Weights are parameters with two axes or more, those of convolutions and linear layers; biases,
    what batch norms scale and shift by, and PReLU's slopes have one axis (so Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677, and He et al. 2015 for PReLU). `params` is a network, an
    iterable of parameters, or groups, each of which is split in two: what `layer_groups` returns,
    for instance. Groups without parameters are left out.

    >>> from fastconv import models, optim
    >>> optimizer = optim.SGD(optim.decay_groups(models.lenet5(), 5e-4), lr=0.1, momentum=0.9)
    """
    source: Any = params
    entries = list(source.parameters() if hasattr(source, "parameters") else source)
    groups = entries if all(isinstance(e, Mapping) for e in entries) else [{"params": entries}]
    split = []
    for group in groups:
        inside = group["params"]
        inside = [inside] if isinstance(inside, Tensor) else list(inside)
        weights = [p for p in inside if p.ndim >= 2]
        others = [p for p in inside if p.ndim < 2]
        split.append({**group, "params": weights, "weight_decay": weight_decay})
        split.append({**group, "params": others, "weight_decay": 0.0})
    return [group for group in split if group["params"]]


def layer_groups(
    net: Module, rates: Mapping[str, float], lr: float | None = None
) -> list[dict[str, Any]]:
    """Return groups for an optimizer in which layers learn at rates of their own.

    `rates` maps the dotted names of layers or parameters, as in `net.named_parameters()`, to their
    lr; of several names that fit a parameter the longest counts. All others come last, with `lr`
    (None: the optimizer's). Raises ValueError for a name that no parameter has.

    >>> from fastconv import models, optim
    >>> net = models.resnet18()
    >>> optimizer = optim.SGD(optim.layer_groups(net, {"fc": 0.1, "layer4": 0.02}, lr=0.01))
    """
    by_name: dict[str | None, list[Tensor]] = {name: [] for name in (*rates, None)}
    found = set()
    for path, parameter in net.named_parameters():
        fitting = [name for name in rates if f"{path}.".startswith(f"{name}.")]
        found.update(fitting)
        by_name[max(fitting, key=len, default=None)].append(parameter)
    unknown = [name for name in rates if name not in found]
    if unknown:
        raise ValueError(
            f"layer_groups: names must be those of layers with parameters "
            f"(unknown={unknown}, layers={[name for name, _ in net.named_children()]})"
        )
    groups: list[dict[str, Any]] = [
        {"params": by_name[name], "lr": rate} for name, rate in rates.items()
    ]
    groups.append({"params": by_name[None]} if lr is None else {"params": by_name[None], "lr": lr})
    return [group for group in groups if group["params"]]
