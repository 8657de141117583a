"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..autograd import is_grad_enabled
from .activation import ReLU
from .conv import Conv2d
from .module import Module
from .normalization import BatchNorm2d
from .pooling import MaxPool2d

__all__ = ["ModuleList", "Sequential"]


class _Listing(Module):
    """Children in order, which are also items."""

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: Any) -> Any:
        items = list(self.named_children())
        if isinstance(index, slice):
            return self._of(dict(items[index]))
        return items[index][1]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self.named_children())[index][0]
        self.add_module(name, module)

    def append(self, module: Module) -> Any:
        """Add a module at the end, named by the first number that is free; return the container."""
        names = {name for name, _ in self.named_children()}
        number = len(names)
        while str(number) in names:  # a slice keeps its modules' names
            number += 1
        self.add_module(str(number), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; return the container."""
        for module in modules:
            self.append(module)
        return self

    def _of(self, items: dict[str, Module]) -> Any:
        raise NotImplementedError


class Sequential(_Listing):
    """Modules that run one after the other.

    While gradients are recorded, a ReLU is computed with the maximum pooling after it, which leaves
    fewer pixels, or else with the convolution or batch norm in front of it; a convolution, a ReLU
    and a maximum pooling are one operation.
    Takes them in order, or one mapping of names to modules, or named arguments. Indexing gives
    the module at a place, slicing a Sequential of the same modules.

    >>> import fastconv.nn as nn
    >>> nn.Sequential(conv=nn.Conv2d(3, 8, 3), relu=nn.ReLU())
    Sequential(
      (conv): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (relu): ReLU()
    )
    """

    def __init__(self, *modules: Any, **named: Module) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = {**modules[0], **named}
            modules = ()
        for name, module in enumerate(modules):
            self.add_module(str(name), module)
        for key, module in named.items():
            self.add_module(key, module)

    def forward(self, x: Any) -> Any:
        modules: list[Any] = [*self.children(), None, None]
        joining = is_grad_enabled()
        at = 0
        while (module := modules[at]) is not None:
            after, next_after = modules[at + 1 : at + 3]
            joins = joining and _join(module, after)
            pools = joins and _join(after, next_after)
            if joins and not pools:
                x = (after if type(module) is ReLU else module)(x, activation="relu")
                at += 2
            elif pools and type(module) is Conv2d:
                x = module(x, activation="relu", pooling=next_after.window)
                at += 3
            else:
                x = module(x)
                at += 1
        return x

    def stages(self) -> list[Module]:
        """Return the modules inside: one after the other, they compute what `forward` does."""
        return list(self.children())

    def _of(self, items: dict[str, Module]) -> Sequential:
        return Sequential(items)


def _join(module: Any, after: Any) -> bool:
    """Whether a layer applies the ReLU beside it in the same pass, and nobody watches the two."""
    if type(after) is ReLU:
        joins = type(module) in (Conv2d, BatchNorm2d)
    else:
        joins = type(module) is ReLU and type(after) is MaxPool2d
    return joins and not (module._forward_hooks or after._forward_hooks)


class ModuleList(_Listing):
    """A list of modules whose parameters belong to the module that holds the list."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _of(self, items: dict[str, Module]) -> ModuleList:
        return ModuleList(items.values())
