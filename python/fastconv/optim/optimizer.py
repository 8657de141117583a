"""What optimizers share: groups of parameters with options, and a state that can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from .. import reference
from ..autograd import Tensor
from ..autograd.state import kernels

__all__ = ["Optimizer", "kernels_for"]


class Optimizer:
    """Base of optimizers: subclass it, say what it remembers, and write `step`.

    `params` is an iterable of parameters, or of groups: mappings with "params" and options that
    differ from the defaults. `param_groups` holds the groups with all their options, which may be
    changed between steps; "initial_lr" is the lr that a group was added with, which `scale_lr`
    multiplies. `state` has what the optimizer remembers of each parameter: `state_arrays` are the
    names of arrays of the parameter's shape, `state_numbers` those of numbers, arrays of shape ().
    """

    state_arrays: ClassVar[tuple[str, ...]] = ()
    state_numbers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.name = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, np.ndarray]] = {}
        if isinstance(params, Tensor):
            raise TypeError(f"{self.name}: params must be an iterable of parameters (type=Tensor)")
        entries = list(params)
        if not entries:
            raise ValueError(f"{self.name}: at least one parameter is needed (count=0)")
        if not isinstance(entries[0], Mapping):
            entries = [{"params": entries}]
        for entry in entries:
            self.add_param_group(entry)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters, such as those of unfrozen layers, with options of their own."""
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for param in params:
            if not isinstance(param, Tensor) or not param.is_leaf:
                kind = type(param).__name__
                raise TypeError(f"{self.name}: params must be leaf tensors (type={kind})")
            if id(param) in known:
                raise ValueError(
                    f"{self.name}: a parameter may appear only once (shape={param.shape})"
                )
            known.add(id(param))
        unknown = set(group) - set(self.defaults) - {"params", "initial_lr"}
        if unknown:
            raise ValueError(f"{self.name}: options must be known (unknown={sorted(unknown)})")
        full = {**self.defaults, **group, "params": params}
        self.check_options(full)
        if "lr" in full:
            full.setdefault("initial_lr", full["lr"])
        self.param_groups.append(full)

    def check_options(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError if the options of a group make no sense."""

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        raise NotImplementedError(f"{self.name}: step is not written")

    def learning(self, group: Mapping[str, Any]) -> list[Tensor]:
        """Return the parameters of a group that have a gradient, their memory in C order."""
        params: list[Tensor] = [p for p in group["params"] if p.grad is not None]
        for param in params:
            if not param.data.flags.c_contiguous:
                param.data = np.ascontiguousarray(param.data)
        return params

    def scale_lr(self, factor: float) -> None:
        """Set each group's lr to `factor` times its "initial_lr", as schedules do at each step.

        Raises ValueError for a negative factor.
        """
        if not factor >= 0:
            raise ValueError(f"scale_lr: factor must not be negative (factor={factor})")
        for group in self.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return "state", by the number of the parameter, and "param_groups", as PyTorch does.

        The arrays are the optimizer's own, not copies.
        """
        numbers = self._numbers()
        return {
            "state": {numbers[id(p)]: dict(arrays) for p, arrays in self.state.items()},
            "param_groups": [
                {**group, "params": [numbers[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state of an optimizer of the same groups of parameters.

        Groups saved without "initial_lr", as PyTorch's are before they have a schedule, start
        from their lr. Raises ValueError if groups, or names or shapes of the state, are others.
        """
        saved_groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in saved_groups]
        if sizes != saved_sizes:
            raise ValueError(
                f"load_state_dict: groups must have the sizes they had "
                f"(sizes={sizes}, saved={saved_sizes})"
            )
        by_number = {
            number: param
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
            for param, number in zip(group["params"], saved["params"], strict=True)
        }
        state: dict[Tensor, dict[str, np.ndarray]] = {}
        for number, saved_state in state_dict["state"].items():
            param = by_number[int(number)]
            state[param] = self._loaded(param, saved_state)
        merged = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            options = {k: v for k, v in saved.items() if k in self.defaults or k == "initial_lr"}
            if "lr" in options:
                options.setdefault("initial_lr", options["lr"])
            merged.append({**group, **options})
            self.check_options(merged[-1])
        for group, new in zip(self.param_groups, merged, strict=True):
            group.update(new)
        self.state = state

    def _loaded(self, param: Tensor, saved: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Copies of what was saved of a parameter, once names and shapes are right."""
        state = {}
        for key, value in saved.items():
            if value is None:
                continue
            if key not in self.state_arrays + self.state_numbers:
                raise ValueError(
                    f"load_state_dict: the state must be that of {self.name} (key={key!r})"
                )
            array = np.asarray(value)
            is_number = key in self.state_numbers
            if array.shape != (() if is_number else param.shape):
                rule = "be one number" if is_number else "have its parameter's shape"
                raise ValueError(
                    f"load_state_dict: {key} must {rule} "
                    f"(parameter={param.shape}, saved={array.shape})"
                )
            state[key] = array.astype(np.float32 if is_number else param.dtype, order="C")
        missing = set(self.state_arrays + self.state_numbers) - set(state)
        if state and missing:
            raise ValueError(
                f"load_state_dict: the state of a parameter must be whole "
                f"(missing={sorted(missing)}, parameter={param.shape})"
            )
        return state

    def _numbers(self) -> dict[int, int]:
        params = [p for group in self.param_groups for p in group["params"]]
        return {id(param): number for number, param in enumerate(params)}

    def __repr__(self) -> str:
        groups = "".join(
            f"\n  {len(group['params'])} parameters: "
            + ", ".join(f"{key}={group[key]}" for key in self.defaults)
            for group in self.param_groups
        )
        return f"{self.name}({groups}\n)"


def kernels_for(*groups: Iterable[Any]) -> Any:
    """Return the module whose steps fit all arrays (or tensors): the backend's, but for anything
    other than float32 the NumPy twins."""
    arrays = chain(*groups)
    return kernels() if all(a.dtype == np.float32 for a in arrays) else reference
