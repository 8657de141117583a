"""Loading a state dict: everything is checked before anything is copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LoadResult", "load_into"]


class LoadResult(NamedTuple):
    """The keys that a load that is not strict passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_into(
    owner: str, targets: dict[str, np.ndarray], source: Mapping[str, Any], strict: bool
) -> LoadResult:
    """Copy the arrays of `source` into those of `targets` by key; see Module.load_state_dict."""
    arrays = {key: _as_array(key, value) for key, value in source.items()}
    missing = [
        key
        for key in targets
        # Batch norms of old files do not count their batches.
        if key not in arrays and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in arrays if key not in targets]
    fitting = [key for key in targets if key in arrays]
    misshaped = [key for key in fitting if arrays[key].shape != targets[key].shape]
    problems = [
        f"mis-shaped: {key} (expected={targets[key].shape}, got={arrays[key].shape})"
        for key in misshaped
    ]
    if strict:
        problems += [f"missing: {key} (expected={targets[key].shape})" for key in missing]
        problems += [f"unexpected: {key} (got={arrays[key].shape})" for key in unexpected]
    if problems:
        raise ValueError(
            f"load_state_dict: the keys must fit {owner} (missing={len(missing)}, "
            f"unexpected={len(unexpected)}, mis-shaped={len(misshaped)})"
            + "".join(f"\n  {problem}" for problem in problems)
        )
    for key in fitting:
        if not np.can_cast(arrays[key].dtype, targets[key].dtype, "same_kind"):
            raise TypeError(
                f"load_state_dict: {key} must hold {targets[key].dtype} (dtype={arrays[key].dtype})"
            )
    for key in fitting:
        np.copyto(targets[key], arrays[key], casting="same_kind")
    return LoadResult(missing, unexpected)


def _as_array(key: str, value: Any) -> np.ndarray:
    # Of a PyTorch parameter only the detached tensor turns into an array.
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"load_state_dict: {key} must be an array (type={type(value).__name__})")
    return array
