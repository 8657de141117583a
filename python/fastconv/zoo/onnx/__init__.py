"""ONNX graphs as networks of `fastconv.nn`: `network_of` is the way in.

`model` decodes a file and its tensors, `shapes` asks ONNX what it can infer, `build` walks the
graph, one `Node` at a time, and `operators` says what becomes of each: a layer of `fastconv.nn`
where there is one, elsewhere a `layers.Operator` around one of the `functions`.
"""

from __future__ import annotations

from .build import network_of
from .model import arrays_of, decode

__all__ = ["arrays_of", "decode", "network_of"]
