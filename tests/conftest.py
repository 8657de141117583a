"""Fixtures for kernel tests: every instruction set, several thread counts, outputs full of NaN."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    pass
else:
    # The fixtures below stay in force over all examples of a test, as they should.
    settings.register_profile(
        "fastconv",
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("fastconv")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell's background job starts with SIGINT ignored; the tests of Ctrl-C send it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _isas() -> list[Any]:
    try:
        from fastconv import available_isas
    except ImportError:
        return [pytest.param("none", marks=pytest.mark.skip(reason="fastconv is not built"))]
    return list(available_isas())


@pytest.fixture(params=_isas())
def every_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each instruction set of this machine."""
    import fastconv

    previous = fastconv.get_isa()
    fastconv.set_isa(request.param)
    assert fastconv.get_isa() == request.param
    yield request.param
    fastconv.set_isa(previous)


@pytest.fixture(params=[1, 2])
def thread_counts(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run the test with one thread and with two."""
    import fastconv

    previous = fastconv.get_num_threads()
    fastconv.set_num_threads(request.param)
    assert fastconv.get_num_threads() == request.param
    yield request.param
    fastconv.set_num_threads(previous)


@pytest.fixture(scope="session", autouse=True)
def nan_outputs() -> Iterator[None]:
    """Fill every output of `functional` before its kernel runs: what it leaves out shows."""
    try:
        arrays = importlib.import_module("fastconv.functional._arrays")
        importlib.import_module("fastconv.functional")
    except ImportError:
        yield
        return
    original = arrays.empty

    def filled(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        out.fill(np.nan if np.issubdtype(out.dtype, np.floating) else np.iinfo(out.dtype).min)
        return out

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("fastconv.functional") and vars(module).get("empty") is original:
                patch.setattr(module, "empty", filled)
        yield
