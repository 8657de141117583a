"""A GraphModule of a Torch7 network: what its containers run, in their order.

A container hands its layers one value, or a table of them. Layers that work in place write the
value that they read, so that branches which share it see the change, as in Torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ... import nn
from ..archive import FormatError
from .fields import flag, number, refuse, whole
from .layers import LAYERS
from .modules import DepthConcat
from .objects import Table, TorchObject

__all__ = ["build", "children", "find_network", "label"]

_MOST_LAYERS = 20_000  # a few objects that share each other can stand for any number of layers
_NAME = re.compile(r"[A-Za-z_][\w./-]*")
_JOINING: dict[str, Callable[[], nn.Module]] = {
    "nn.CAddTable": nn.Add,
    "nn.CSubTable": nn.Sub,
    "nn.CMulTable": nn.Mul,
    "nn.CDivTable": nn.Div,
}
_OF_TWO = ("nn.CSubTable", "nn.CDivTable")
_INPUT = "input"


class _Value(NamedTuple):
    name: str
    axes: int  # the batch's included


_Values: TypeAlias = "_Value | list[_Values]"


def build(root: TorchObject) -> nn.GraphModule:
    """Return the network of an object: its input has the axes (N, C, H, W).

    Layers are named by the places of their containers, "2_1", or as the file names them. Raises
    FormatError for classes that this library has no layer for.
    """
    builder = _Builder()
    with nn.init.skip_init():  # the file has all weights
        out = builder.run(root, _Value(_INPUT, 4), "")
    values = [out] if isinstance(out, _Value) else out
    names = [value.name for value in values if isinstance(value, _Value)]
    if len(names) != len(values) or not names:
        raise refuse(root, "the outputs must be tensors", outputs=len(values))
    net = nn.GraphModule([_INPUT], names)
    for name, layer, reads, writes in builder.nodes:
        net.append(name, layer, reads, writes)
    return net


def find_network(content: object) -> TorchObject | None:
    """Return the network in what a file holds: the object, or the only container in a table."""
    if isinstance(content, TorchObject):
        return content
    values = content.values() if isinstance(content, Table) else ()
    found = [v for v in values if isinstance(v, TorchObject) and v.name in _CONTAINERS]
    return found[0] if len(found) == 1 else None


def children(module: TorchObject) -> list[TorchObject]:
    """Return the modules in a container."""
    modules = module.get("modules")
    found = modules.sequence() if isinstance(modules, Table) else []
    if not all(isinstance(child, TorchObject) for child in found):
        raise refuse(module, "modules must be objects", modules=[type(m).__name__ for m in found])
    return found


def label(module: TorchObject, path: str) -> str:
    """Return what a layer is called: the file's own name if it has one, or its place."""
    name = module.get("name")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else path or "layer"


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[tuple[str, nn.Module, tuple[str, ...], str]] = []
        self._visited = 0

    def run(self, module: TorchObject, x: _Values, path: str) -> _Values:
        """Append what a module computes of its input; return its output."""
        self._visited += 1
        if self._visited > _MOST_LAYERS or path.count(".") > 60:
            raise FormatError(
                "torch7: a network must not have too many layers, or have itself as a part "
                f"(most={_MOST_LAYERS}, place={path[:60]})"
            )
        if module.name in _CONTAINERS:
            return _CONTAINERS[module.name](self, module, x, path)
        if module.name in _JOINING:
            xs = self._table(module, x)
            if module.name in _OF_TWO and len(xs) != 2:
                raise refuse(module, "there must be two inputs", inputs=len(xs))
            axes = max(value.axes for value in xs)
            joined = _JOINING[module.name]()
            place = xs[0].name if flag(module, "inplace") else None
            return self._append(label(module, path), joined, xs, axes, place)
        if module.name == "nn.Identity":
            return x
        if module.name not in LAYERS:
            raise FormatError(
                f"torch7: the class must be one that this library has a layer for "
                f"(class={module.name}, place={path or 'the whole'})"
            )
        if not isinstance(x, _Value):
            raise refuse(module, "the input must be one tensor", inputs=len(x), place=path)
        try:
            layers, axes = LAYERS[module.name](module, x.axes)
        except FormatError:
            raise
        except (TypeError, ValueError) as error:  # what this library's layer does not take
            raise refuse(module, "the fields must fit the layer", reason=str(error)) from error
        place = x.name if flag(module, "inplace") else None
        for layer in layers:
            x = self._append(label(module, path), layer, [x], axes, place)
        return x

    def sequential(self, module: TorchObject, x: _Values, path: str) -> _Values:
        for place, child in _places(module, path):
            x = self.run(child, x, place)
        return x

    def branches(self, module: TorchObject, x: _Values, path: str) -> _Values:
        return [self.run(child, x, place) for place, child in _places(module, path)]

    def parallel(self, module: TorchObject, x: _Values, path: str) -> _Values:
        parts = _places(module, path)
        if isinstance(x, _Value) or len(x) != len(parts):
            raise refuse(module, "there must be an input for each module", modules=len(parts))
        return [self.run(child, x[i], place) for i, (place, child) in enumerate(parts)]

    def first(self, module: TorchObject, x: _Values, path: str) -> _Values:
        """Copies of one network, for several devices."""
        places = _places(module, path)
        if not places:
            raise refuse(module, "there must be a copy of the network", modules=0)
        return self.run(places[0][1], x, path)

    def concat(self, module: TorchObject, x: _Values, path: str) -> _Values:
        xs = self._table(module, self.branches(module, x, path))
        dim = whole(module, "dimension")
        depth = module.name == "nn.DepthConcat"
        return self._join(module, xs, dim, path, DepthConcat if depth else None)

    def join(self, module: TorchObject, x: _Values, path: str) -> _Values:
        xs = self._table(module, x)
        dim, inputs = number(module, "dimension"), module.get("nInputDims")
        if dim < 0:
            dim += xs[0].axes + 1
        elif inputs is not None and inputs == xs[0].axes - 1:
            dim += 1
        return self._join(module, xs, dim, path)

    def select(self, module: TorchObject, x: _Values, path: str) -> _Values:
        index = number(module, "index")
        if isinstance(x, _Value) or not isinstance(index, int) or not 1 <= abs(index) <= len(x):
            raise refuse(module, "index must be that of an input", index=index)
        return x[index - 1 if index > 0 else index]

    def flatten(self, module: TorchObject, x: _Values, path: str) -> _Values:
        if isinstance(x, _Value):
            return [x]
        flat: list[_Values] = []
        for part in x:
            found = self.flatten(module, part, path)
            flat += [found] if isinstance(found, _Value) else found
        return flat

    def _join(
        self,
        module: TorchObject,
        xs: list[_Value],
        dim: float,
        path: str,
        make: Callable[[], nn.Module] | None = None,
    ) -> _Value:
        axes = xs[0].axes
        if dim not in range(2, axes + 1) or (make and (dim, axes) != (2, 4)):
            # Networks for single pictures, without an axis for the batch, count from one less.
            raise refuse(module, "dimension must be 2, the channels, or above", dim=dim, axes=axes)
        layer = make() if make else nn.Concat(int(dim) - 1)
        return self._append(label(module, path), layer, xs, axes, None)

    def _table(self, module: TorchObject, x: _Values) -> list[_Value]:
        values = [] if isinstance(x, _Value) else [v for v in x if isinstance(v, _Value)]
        if not values or len(values) != len(x):
            raise refuse(module, "the inputs must be a table of tensors", tensors=len(values))
        return values

    def _append(
        self,
        name: str,
        layer: nn.Module,
        xs: Sequence[_Value],
        axes: int,
        place: str | None,
    ) -> _Value:
        value = _Value(place or f"{name}:{len(self.nodes)}", axes)
        self.nodes.append((name, layer, tuple(x.name for x in xs), value.name))
        return value


def _places(module: TorchObject, path: str) -> list[tuple[str, TorchObject]]:
    dot = "." if path else ""
    return [(f"{path}{dot}{i}", child) for i, child in enumerate(children(module), 1)]


_CONTAINERS: dict[str, Callable[[_Builder, TorchObject, _Values, str], _Values]] = {
    "nn.Concat": _Builder.concat,
    "nn.ConcatTable": _Builder.branches,
    "nn.DataParallelTable": _Builder.first,
    "nn.DepthConcat": _Builder.concat,
    "nn.FlattenTable": _Builder.flatten,
    "nn.JoinTable": _Builder.join,
    "nn.ParallelTable": _Builder.parallel,
    "nn.SelectTable": _Builder.select,
    "nn.Sequential": _Builder.sequential,
}
