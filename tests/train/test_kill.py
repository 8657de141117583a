"""SIGKILL at any moment: the last checkpoint is whole, and the training ends as if untouched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastconv.train import load_checkpoint

pytest.importorskip("safetensors")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")

# Trains a little and saves after every step, so that most moments are within a write.
PROGRAM = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from fastconv.autograd import use_backend
from fastconv.data import random_shift
from fastconv.train import JSONLog, fit
from trainings import few, full_net

with use_backend("reference"):
    fit(
        full_net(), few(24), epochs=int(sys.argv[3]), batch_size=4, augment=random_shift,
        checkpoint=sys.argv[2], checkpoint_steps=1, resume=True, progress=False,
        callbacks=[JSONLog(sys.argv[2] + ".jsonl", every=1)],
    )
"""
EPOCHS = 20
STEPS = 6 * EPOCHS


def start(path: Path) -> subprocess.Popen[bytes]:
    tests = Path(__file__).parents[1]
    arguments = [sys.executable, "-c", PROGRAM, str(tests), str(path), str(EPOCHS)]
    return subprocess.Popen(arguments)


def test_killed_many_times(tmp_path: Path) -> None:
    path, untouched = tmp_path / "run.safetensors", tmp_path / "untouched.safetensors"
    assert start(untouched).wait() == 0
    moments = random.Random(0)
    steps, kills = 0, 0
    for _ in range(8):
        process = start(path)
        begun = path.stat().st_mtime_ns if path.exists() else 0
        while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == begun):
            time.sleep(0.001)  # until it saves
        time.sleep(moments.uniform(0.0, 0.06))
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
        written = {
            path.name,
            f".{path.name}.part",
            f"{path.name}.jsonl",
            f".{path.name}.jsonl.part",
        }
        assert {name for name in os.listdir(tmp_path) if "run" in name} <= written
        saved = load_checkpoint(path)
        assert saved.history.steps >= steps
        steps = saved.history.steps
    assert kills >= 3
    if steps < STEPS:
        assert start(path).wait() == 0
    last, expected = load_checkpoint(path), load_checkpoint(untouched)
    assert last.history.loss == expected.history.loss
    assert len(last.history.loss) == STEPS
    for name, array in expected.weights.items():
        assert array.tobytes() == last.weights[name].tobytes()
    names = (path.with_name(f"{base.name}.jsonl") for base in (path, untouched))
    first, second = ([line.split('"loss"')[0] for line in name.open()] for name in names)
    assert first == second
