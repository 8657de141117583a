"""Module: a layer or a network, made of parameters, buffers and other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..autograd import Tensor
from . import freezing, heads, prediction, state

__all__ = ["HookHandle", "Module", "Parameter"]

_M = TypeVar("_M", bound="Module")


class Parameter(Tensor):
    """A tensor that a module learns; an attribute of this type belongs to the module's parameters.

    Raises TypeError unless `data` is a floating point array.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
            kind = getattr(data, "dtype", type(data).__name__)
            raise TypeError(f"Parameter: data must be a floating point array (type={kind})")
        super().__init__(np.ascontiguousarray(data), requires_grad)


class HookHandle:
    """What `register_forward_hook` returns: `remove()` takes the hook away, as does `with`."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        self._hooks.pop(self._key, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class Module:
    """Base of all layers and networks: subclass it and write `__init__` and `forward`.

    Attributes that are Parameters or Modules belong to the module, in the order in which they were
    first set; arrays that are state but not learned are set with `register_buffer`. Calling the
    module with tensors or arrays runs `forward` on tensors.
    """

    training: bool = True
    frozen: bool = False  # then it works as in inference, whatever `training` says
    head_names: tuple[str, ...] = ()  # of the classifiers; without any, the last Linear is it
    input_shape: tuple[int, ...] | None = None  # of one picture, (C, H, W), where it is known
    preset: Any = None  # how photos become its input, a fastconv.data.Preset
    classes: tuple[str, ...] | None = None  # the names of its outputs
    license: str | None = None  # of its weights, such as "BSD-3-Clause"
    architecture: tuple[str, dict[str, Any]] | None = None  # what `models.get` built it from
    _buffer_names: tuple[str, ...] = ()
    _forward_hooks: ClassVar[dict[int, Any]] = {}  # every module that has hooks sets its own

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; subclasses write this."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not written")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        tensors = [Tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
        out = self.forward(*tensors, **options)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                replaced = hook(self, tuple(tensors), out)
                if replaced is not None:
                    out = replaced
        return out

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, inputs, output)` after each forward; what it returns, if not None,
        replaces the output."""
        hooks = self.__dict__.setdefault("_forward_hooks", {})
        key = max(hooks, default=-1) + 1
        hooks[key] = hook
        return HookHandle(hooks, key)

    def register_buffer(self, name: str, array: Any) -> None:
        """Make an array an attribute that is saved with the module but not learned."""
        if array is not None and not isinstance(array, np.ndarray):
            kind = type(array).__name__
            raise TypeError(f"register_buffer: a buffer must be a NumPy array (type={kind})")
        if name not in self._buffer_names:
            self._buffer_names = (*self._buffer_names, name)
        setattr(self, name, array)

    def add_module(self, name: str, module: Any) -> None:
        """Make a module a part of this one, in place of what has that name already.

        The name may be any string without dots that is no method's or property's.
        """
        if not isinstance(module, Module):
            kind = type(module).__name__
            raise TypeError(f"add_module: a part must be a Module (name={name!r}, type={kind})")
        if not name or "." in name or hasattr(type(self), name):
            raise ValueError(
                f"add_module: the name must be without dots and not the class's own (name={name!r})"
            )
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules that are attributes of this one, with their names."""
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """Yield the modules that are attributes of this one."""
        for _, child in self.named_children():
            yield child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all inside it, each once, with dotted names."""
        yield from self._walk(prefix, set())

    def modules(self) -> Iterator[Module]:
        """Yield this module and all inside it, each once."""
        for _, module in self.named_modules():
            yield module

    def _walk(self, prefix: str, seen: set[Module] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if self in seen:
                return
            seen.add(self)
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Parameter):
                yield name, value

    def _own_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        for name in self._buffer_names:
            array = getattr(self, name)
            if array is not None:
                yield name, array

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters, each once, with dotted names, in order of definition.

        `recurse=False` leaves out those of the modules inside.
        """
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, parameter in module._own_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{path}.{name}" if path else name, parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once, in order of definition."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
        """Yield all buffers with dotted names."""
        for path, module in self.named_modules(prefix):
            for name, array in module._own_buffers():
                yield f"{path}.{name}" if path else name, array

    def buffers(self) -> Iterator[np.ndarray]:
        """Yield all buffers."""
        for _, array in self.named_buffers():
            yield array

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Return parameters and buffers by dotted name, in order of definition, as PyTorch does.

        The arrays are the module's own, not copies: copy those that must outlive a training step.
        """
        arrays: dict[str, np.ndarray] = {}
        for path, module in self._walk(prefix, None):
            before = f"{path}." if path else ""
            for name, parameter in module._own_parameters():
                arrays[before + name] = parameter.data
            for name, array in module._own_buffers():
                arrays[before + name] = array
        return arrays

    def load_state_dict(
        self, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> state.LoadResult:
        """Copy arrays (NumPy's or PyTorch's) into the parameters and buffers of the same names.

        Nothing changes unless all fits: raises ValueError that lists the keys that are missing
        or unexpected (not if `strict` is False; they are returned) and those of another shape, and
        TypeError for integers where floats belong. A missing `num_batches_tracked` is no error.
        With `assign` the arrays themselves become the module's, and learn; only those of another
        type, out of C order, read-only or with shared memory are copied.
        """
        targets = self.state_dict()
        arrays, result = state.fitting(type(self).__name__, targets, state_dict, strict)
        if assign:
            self._assign(state.ownable(arrays, targets))
        else:
            for key, array in arrays.items():
                np.copyto(targets[key], array, casting="same_kind")
        return result

    def _assign(self, arrays: dict[str, np.ndarray]) -> None:
        for path, module in self._walk("", None):
            before = f"{path}." if path else ""
            for name, parameter in module._own_parameters():
                parameter.data = arrays.get(before + name, parameter.data)
            for name, array in module._own_buffers():
                setattr(module, name, arrays.get(before + name, array))

    def train(self: _M, mode: bool = True) -> _M:
        """Set this module and all inside it to training (or inference); return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _M) -> _M:
        """Set this module and all inside it to inference; return the module."""
        return self.train(False)

    def apply(self: _M, function: Callable[[Module], Any]) -> _M:
        """Call `function` on every module inside, then on this one; return the module."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self: _M, requires_grad: bool = True) -> _M:
        """Set whether parameters learn; return the module. Batch norms stay in training: `freeze`
        is for those, too."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def freeze(self: _M, *names: str, until: str | None = None) -> _M:
        """Let parts of the network learn no more; return the network.

        The parts are layers, with all inside them, or parameters, by dotted name ("layer1",
        "layer2.0.conv1"); or, with `until`, all that is defined before that part. Without either,
        everything. Frozen parameters need no gradient, so none is computed below the lowest part
        that learns, nor activations kept; frozen layers work as in inference even in training:
        batch norms keep and use their statistics, dropout does nothing. Raises ValueError for
        unknown names, with those near them.
        """
        freezing.freeze(self, names, until)
        return self

    def unfreeze(self: _M, *names: str) -> _M:
        """Undo `freeze` for layers or parameters by dotted name, or, without names, for all;
        return the network. Raises ValueError for unknown names, with those near them."""
        freezing.unfreeze(self, names)
        return self

    def replace_head(self: _M, num_classes: int) -> _M:
        """Put a new Linear layer, freshly drawn and not frozen, in place of the classifier; return
        the network.

        Classifiers are those in `head_names` (GoogLeNet has auxiliary ones there), or else the
        last Linear layer in order of definition. Raises ValueError if there is none, or if
        `num_classes` is below 1.
        """
        heads.replace_head(self, num_classes)
        return self

    def predict(self, photos: Any, top: int = 5) -> Any:
        """Return the `top` most probable classes of a photo, the best first, as (number, name,
        probability); of a sequence of photos, a list of such lists.

        Photos are files or uint8 arrays (H, W, 3), RGB. `preset` says how they become the input,
        `classes` what outputs are called (without it, their numbers); `zoo.load` sets both. The
        network works as in inference. Raises ValueError without a preset.
        """
        return prediction.predict(self, photos, top)

    def astype(self: _M, dtype: Any) -> _M:
        """Convert parameters and floating point buffers; return the module.

        Everything but float32 runs on the backend "reference" only. Gradients are forgotten.
        """
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"astype: the type must be floating point (dtype={dtype})")
        for module in self.modules():
            for _, parameter in module._own_parameters():
                parameter.data = parameter.data.astype(dtype, copy=False)
                parameter.grad = None
            for name, array in module._own_buffers():
                if array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype, copy=False))
        return self

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the module's repr."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        extra = self.extra_repr()
        lines = [
            f"({key}): " + repr(child).replace("\n", "\n  ") for key, child in self.named_children()
        ]
        if not lines:
            return f"{name}({extra})"
        inside = "".join(f"\n  {line}" for line in ([extra] if extra else []) + lines)
        return f"{name}({inside}\n)"
