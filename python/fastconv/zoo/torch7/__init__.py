"""Torch7's files: what Lua serialised, and the networks of `nn` and `cudnn` in it."""

from __future__ import annotations

from .build import build, find_network
from .contents import preset_of, tensors_of
from .objects import read_objects

__all__ = ["build", "find_network", "preset_of", "read_objects", "tensors_of"]
