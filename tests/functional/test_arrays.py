"""Arrays at the door: the memory of results, and arrays that come from elsewhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv import functional as F


def test_results_share_no_memory_with_results_that_live() -> None:
    x = np.arange(5000, dtype=np.float32)
    kept = {}
    for i in range(200):
        y = F.relu(x + np.float32(i))
        if i % 3 == 0:
            kept[i] = y  # the others' memory is used again
    for i, y in kept.items():
        np.testing.assert_array_equal(y, x + np.float32(i))


def test_memory_is_counted_and_given_back() -> None:
    x = np.ones(20_000_000, np.float32)  # 80 MB
    before = fastconv.memory_allocated()
    results = [F.relu(x) for _ in range(3)]
    assert fastconv.memory_allocated() == before + 3 * x.nbytes
    assert fastconv.max_memory_allocated() >= before + 3 * x.nbytes
    del results
    assert fastconv.memory_allocated() == before
    kept = _resident_bytes()
    fastconv.empty_cache()
    assert _resident_bytes() < kept - 2 * x.nbytes
    np.testing.assert_array_equal(F.relu(x), x)


def test_gaps_of_all_sizes_are_used_again() -> None:
    rng = np.random.default_rng(0)
    before = fastconv.memory_allocated()
    kept: dict[int, tuple[float, np.ndarray]] = {}
    for i in range(600):
        size = int(rng.integers(1024, 300_000))
        kept[i] = (float(i), F.relu(np.full(size, i, np.float32)))
        for old in rng.choice(list(kept), size=min(2, len(kept)), replace=False):
            if rng.random() < 0.6:
                value, y = kept.pop(int(old))
                assert (y == value).all()
                del y
    for value, y in kept.values():
        assert y.ctypes.data % 64 == 0
        assert (y == value).all()
    assert fastconv.memory_allocated() >= before + sum(y.nbytes for _, y in kept.values())
    kept.clear()
    del y
    assert fastconv.memory_allocated() == before


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except FileNotFoundError:
        pytest.skip("this system has no /proc to read the memory in use from")


def test_unpickled_arrays_are_taken() -> None:
    x = np.ones((1, 3, 6, 6), np.float32)
    weight = np.ones((4, 3, 3, 3), np.float32)
    again, other = pickle.loads(pickle.dumps((x, weight)))
    np.testing.assert_array_equal(F.conv2d(again, other), F.conv2d(x, weight))


def test_an_algorithm_is_chosen_for_an_empty_batch_too() -> None:
    weight = np.ones((4, 3, 3, 3), np.float32)
    packed = F.pack_conv2d(weight, algorithm="fastest", input_shape=(0, 3, 8, 8))
    assert packed(np.ones((0, 3, 8, 8), np.float32)).shape == (0, 4, 6, 6)


def test_where_addresses_are_limited_results_have_memory_of_their_own() -> None:
    pytest.importorskip("resource", reason="this system limits no addresses")
    code = """
import resource
import numpy as np
import fastconv
from fastconv import functional as F
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))
x = np.ones(1_000_000, np.float32)
y = [F.relu(x + i) for i in range(4)]
assert fastconv.memory_allocated() == 4 * x.nbytes
assert all((a == i + 1).all() for i, a in enumerate(y))
del y
assert fastconv.memory_allocated() == 0
fastconv.empty_cache()
try:
    F.conv2d(np.ones((1, 1, 1000, 1000), np.float32), np.ones((4000, 1, 1, 1), np.float32))
except MemoryError:
    print("refused")
"""
    limited = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=limited, check=False
    )
    assert (result.stdout, result.returncode) == ("refused\n", 0), result.stderr
