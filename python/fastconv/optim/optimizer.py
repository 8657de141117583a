"""What optimizers share: groups of parameters with options, and a state that can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor

__all__ = ["Optimizer"]


class Optimizer:
    """Base of optimizers: subclass it and write `step`.

    `params` is an iterable of parameters, or of groups: mappings with "params" and options that
    differ from the defaults. `param_groups` holds the groups with all their options, which may be
    changed between steps; `state` what the optimizer remembers of each parameter.
    """

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
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(f"{self.name}: options must be known (unknown={sorted(unknown)})")
        full = {**self.defaults, **group, "params": params}
        self.check_options(full)
        self.param_groups.append(full)

    def check_options(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError if the options of a group make no sense."""

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        raise NotImplementedError(f"{self.name}: step is not written")

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

        Raises ValueError if groups, or shapes of the state, are others.
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
            state[param] = {}
            for key, value in saved_state.items():
                if value is None:
                    continue
                array = np.asarray(value)
                if array.shape != param.shape:
                    raise ValueError(
                        f"load_state_dict: {key} must have its parameter's shape "
                        f"(parameter={param.shape}, saved={array.shape})"
                    )
                state[param][key] = array.astype(param.dtype, order="C")
        merged = [
            {**group, **{k: v for k, v in saved.items() if k in self.defaults}}
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
        ]
        for group in merged:
            self.check_options(group)
        for group, new in zip(self.param_groups, merged, strict=True):
            group.update(new)
        self.state = state

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
