"""From layers to one C++ object: tracing, passes over a graph, a memory plan, packed weights.

`fastconv.compile(net, input_shape)` is the way in.
"""

from __future__ import annotations

from .compiled import CompiledNetwork
from .entry import compile
from .profile import Profile, StepProfile

__all__ = ["CompiledNetwork", "Profile", "StepProfile", "compile"]
