"""Instruction sets, threads, forks and the import itself."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import functional as F


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("isa", fastconv.available_isas())
def test_the_environment_forces_an_instruction_set(isa: str) -> None:
    done = run("import fastconv; print(fastconv.get_isa())", FASTCONV_ISA=isa)
    assert done.stdout.strip() == isa, done.stderr


def test_an_unknown_instruction_set_is_an_error() -> None:
    done = run(
        """
        import fastconv
        try:
            fastconv.get_isa()
        except ValueError as error:
            print(error)
        """,
        FASTCONV_ISA="sse9",
    )
    assert "FASTCONV_ISA: unknown instruction set (isa=sse9, available=" in done.stdout
    with pytest.raises(ValueError, match=r"set_isa: unknown instruction set \(isa=mmx"):
        fastconv.set_isa("mmx")


def test_threads_are_checked() -> None:
    with pytest.raises(ValueError, match=r"threads must be at least 1 \(threads=0\)"):
        fastconv.set_num_threads(0)


def test_openmp_settings_set_the_threads() -> None:
    code = "import fastconv; print(fastconv.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1").stdout.strip() == "1"


def test_threadpoolctl_sees_and_limits_the_threads() -> None:
    pytest.importorskip("threadpoolctl")
    done = run(
        """
        import fastconv, threadpoolctl
        fastconv.get_num_threads()
        assert any(p["user_api"] == "openmp" for p in threadpoolctl.threadpool_info())
        with threadpoolctl.threadpool_limits(1):
            print(fastconv.get_num_threads())
        """
    )
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_works() -> None:
    done = run(
        """
        import os
        import numpy as np
        import fastconv
        from fastconv import functional as F
        fastconv.set_num_threads(2)
        x = np.ones((200, 200), np.float32)
        expected = F.gemm(x, x)
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(F.gemm(x, x), expected) else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), np.array_equal(F.gemm(x, x), expected))
        """
    )
    assert done.stdout.strip() == "0 True", done.stderr


def test_several_python_threads_at_once() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 20, 20)).astype(np.float32)
    packed = F.pack_conv2d(rng.standard_normal((40, 16, 3, 3)).astype(np.float32), padding=1)
    expected = packed(x)
    results: list[Any] = []

    def work() -> None:
        for _ in range(20):
            results.append(np.array_equal(packed(x), expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


def test_denormals_are_flushed_and_the_callers_mode_restored() -> None:
    tiny = np.full((1, 1, 4, 4), 1e-39, np.float32)
    assert not F.conv2d(tiny, np.ones((1, 1, 1, 1), np.float32)).any()
    assert (tiny * np.float32(0.5)).all()


def test_import_needs_numpy_alone() -> None:
    done = run(
        """
        import sys
        import numpy
        before = set(sys.modules)
        import fastconv
        fastconv.get_isa()
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - set(sys.stdlib_module_names)))
        """
    )
    assert done.stdout.strip() == "['fastconv']", done.stderr


def test_build_info_names_the_build() -> None:
    info = fastconv.build_info()
    assert info["version"] == fastconv.__version__
    assert {"build_type", "compiler", "openmp", "l2_cache_bytes"} <= set(info)
    assert fastconv._core.measure_peak_gflops(0.01) > 1
