"""The model zoos' files, read without their frameworks, as networks of `fastconv.nn`.

>>> from fastconv import zoo                                   # doctest: +SKIP
>>> net = zoo.load("resnet50.pth")                             # doctest: +SKIP
>>> net.predict("photo.jpg", top=5)                            # doctest: +SKIP
"""

from __future__ import annotations

from .archive import Archive, FormatError
from .doctor import Report, inspect
from .door import load, read
from .pretrained import Pretrained, read_pretrained
from .writers.onnx import export_onnx
from .writers.safetensors import save

__all__ = [
    "Archive",
    "FormatError",
    "Pretrained",
    "Report",
    "export_onnx",
    "inspect",
    "load",
    "read",
    "read_pretrained",
    "save",
]
