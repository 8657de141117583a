"""Weights that a file maps are neither copied nor drawn: what a load costs, in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")

SCRIPT = """
import resource, sys, time
import numpy as np
from fastconv import models, nn, zoo

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

path, action = sys.argv[1:]
if action == "write":
    with nn.init.skip_init():
        net = models.resnet50()
    for array in net.state_dict().values():
        array[...] = 1
    zoo.save(net, path)
else:
    models.get("resnet20")
    before = peak()
    net = zoo.load(path)
    total = sum(float(array.sum()) for array in net.state_dict().values())
    assert total == sum(array.size for array in net.state_dict().values()), total
    print(peak() - before)
"""


def test_a_load_takes_the_memory_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"

    def run(action: str) -> str:
        command = [sys.executable, "-c", SCRIPT, str(path), action]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("write")
    size = path.stat().st_size
    assert size > 100e6
    # Every page of it was read; a copy, or weights that are drawn first, would make it two files.
    assert int(run("load")) < 1.4 * size
