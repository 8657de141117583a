"""Where networks go that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["save_network"]


def save_network(net: Module, path: Path, license: str | None = None) -> None:
    """Write a network to .npz, its arrays alone, or to .safetensors, as `zoo.save` does."""
    if path.suffix.lower() == ".npz":
        import numpy as np

        np.savez(path, **net.state_dict())  # type: ignore[arg-type]  # names are not `file`
    else:
        from ..zoo.writers.safetensors import save

        save(net, path, license=license)
