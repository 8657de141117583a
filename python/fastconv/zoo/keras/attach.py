"""Whose the weights are: the layers' of a description, in two families of files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ..archive import FormatError
from .config import Layer, Model

__all__ = ["by_class", "by_name"]

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_NUMBERED = re.compile(r"(.*?)(?:_(\d{1,9}))?", re.DOTALL)

Names = dict[str, tuple[str, ...]]  # the weights of each layer, by their names in the file


def by_name(model: Model, groups: Mapping[str, Sequence[str]], prefix: str = "") -> Names:
    """Return the weights of every layer of a legacy file, whose groups have the layers' names.

    Groups of networks hold the weights of all layers inside, first those that learn, then the
    others; the last but one part of a weight's name, "network/layer/kernel:0", is the layer's.
    """
    found: Names = {}
    for layer in model.layers.values():
        names = tuple(groups.get(layer.name, ()))
        if layer.model is None:
            found[prefix + layer.name] = names
            continue
        inside: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            inside[name.split("/")[-2] if "/" in name else ""].append(name)
        found |= _nested(layer.model, inside, f"{prefix}{layer.name}/")
    return found


def _nested(model: Model, inside: Mapping[str, Sequence[str]], prefix: str) -> Names:
    found: Names = {}
    for layer in model.layers.values():
        if layer.model is None:
            found[prefix + layer.name] = tuple(inside.get(layer.name, ()))
        else:
            found |= _nested(layer.model, inside, f"{prefix}{layer.name}/")
    return found


def by_class(model: Model, tensors: Iterable[str]) -> Names:
    """Return the weights of every layer of a Keras 3 file, whose groups have the classes' names.

    The third Conv2D of a network has "layers/conv2d_2/vars/0" and so on. TensorFlow 2.13 wrote
    "_layer_checkpoint_dependencies" for "layers" and counted layers with weights twice.
    """
    return _inside(model, list(tensors), "", "")


def _inside(model: Model, tensors: list[str], root: str, prefix: str) -> Names:
    """Return the weights of a network's layers; `root` is its group, `prefix` its name."""
    groups: dict[str, list[str]] = {}
    for tensor in tensors:
        parts = tensor[len(root) :].split("/")
        if len(parts) > 2 and parts[0] in _CONTAINERS:
            groups.setdefault(f"{root}{parts[0]}/{parts[1]}/", []).append(tensor)
    numbered: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for group in groups:
        match = _NUMBERED.fullmatch(group.split("/")[-2])
        assert match is not None
        numbered[match[1]][int(match[2] or 0)] = group
    layers: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in model.layers.values():
        layers[_snake(layer.kind)].append(layer)
    found: Names = {}
    for kind, alike in layers.items():
        for layer, place in zip(alike, _paired(kind, len(alike), numbered[kind]), strict=True):
            if place is None:
                continue
            name = prefix + layer.name
            if layer.model is not None:
                found |= _inside(layer.model, groups[place], place, f"{name}/")
            else:
                own = [t for t in groups[place] if t.startswith(f"{place}vars/")]
                found[name] = tuple(sorted(own, key=lambda t: (len(t), t)))
    return found


def _paired(kind: str, count: int, groups: dict[int, str]) -> list[str | None]:
    """Return the group of each layer of a class; None for those without weights."""
    if all(number < count for number in groups):
        return [groups.get(number) for number in range(count)]
    if len(groups) == count:
        return [groups[number] for number in sorted(groups)]
    raise FormatError(
        f"keras: the weights must be those of the layers (class={kind}, layers={count}, "
        f"groups={', '.join(groups.values())})"
    )


def _snake(name: str) -> str:
    """Return a class's name as Keras makes it that of a group: Conv2D is conv2d, PReLU p_re_lu."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
