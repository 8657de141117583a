"""Loading a state dict: everything is checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LoadResult", "fitting", "ownable"]


class LoadResult(NamedTuple):
    """The keys that a load that is not strict passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def fitting(
    owner: str, targets: dict[str, np.ndarray], source: Mapping[str, Any], strict: bool
) -> tuple[dict[str, np.ndarray], LoadResult]:
    """Return the arrays of `source` that belong into `targets`; see Module.load_state_dict."""
    if not isinstance(source, Mapping):
        raise TypeError(
            "load_state_dict: a state dict must map names to arrays; fastconv.train.read_weights "
            f"reads files (type={type(source).__name__})"
        )
    arrays = {key: _as_array(key, value) for key, value in source.items()}
    missing = [
        key
        for key in targets
        # Batch norms of old files do not count their batches.
        if key not in arrays and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in arrays if key not in targets]
    shared = [key for key in targets if key in arrays]
    misshaped = [key for key in shared if arrays[key].shape != targets[key].shape]
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
    for key in shared:
        if not np.can_cast(arrays[key].dtype, targets[key].dtype, "same_kind"):
            raise TypeError(
                f"load_state_dict: {key} must hold {targets[key].dtype} (dtype={arrays[key].dtype})"
            )
    return {key: arrays[key] for key in shared}, LoadResult(missing, unexpected)


def ownable(arrays: dict[str, np.ndarray], targets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays as modules can have them: of the targets' types, aligned, in C order,
    writable, and with memory of their own. Only what is not so is copied."""
    own = {
        key: np.require(array, targets[key].dtype, ["C", "A", "W"]) for key, array in arrays.items()
    }
    places = sorted((array.__array_interface__["data"][0], key) for key, array in own.items())
    end = 0
    for start, key in places:
        if start < end:
            own[key] = own[key].copy()
        else:
            end = start + own[key].nbytes
    return own


def _as_array(key: str, value: Any) -> np.ndarray:
    # Of a PyTorch parameter only the detached tensor turns into an array.
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"load_state_dict: {key} must be an array (type={type(value).__name__})")
    return array
