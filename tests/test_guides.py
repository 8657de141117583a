"""The guides in docs: their Python examples run as they stand, in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

import fastconv.random

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = {
    path.name: blocks
    for path in sorted(DOCS.glob("*.md"))
    if (blocks := list(re.finditer(r"^```python\n(.*?)^```$", path.read_text(), re.M | re.S)))
}
NEEDS = {
    "training.md": ("safetensors", "matplotlib"),
    "transfer.md": ("matplotlib",),
    "zoo.md": ("fastconv.zoo.writers.safetensors", "fastconv.zoo.writers.onnx", "onnx"),
}


@pytest.mark.parametrize("name", GUIDES)
def test_guide(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    state = fastconv.random.generator().bit_generator.state
    namespace: dict[str, Any] = {"__name__": "guide"}
    for block in GUIDES[name]:
        # Line numbers are the guide's own.
        before = block.string[: block.start(1)].count("\n")
        exec(compile("\n" * before + block.group(1), str(DOCS / name), "exec"), namespace)
    fastconv.random.generator().bit_generator.state = state


def test_the_guides_are_found() -> None:
    assert len(GUIDES["training.md"]) >= 7
