"""A competitor's process as the harness sees it: prepare a workload, take a turn, stand still.

Between its turns the process is stopped (SIGSTOP), so that no thread of it spins while another
competitor runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any

from ..inputs import Array
from .interface import Peer, Unsupported, Workload

__all__ = ["PeerFailed", "PeerProcess"]

_PATIENCE = 900  # seconds for one answer
_ROOT = Path(__file__).resolve().parents[2]
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class PeerFailed(Exception):
    """A competitor's process raised an exception or died."""


class PeerProcess:
    """Starts the process; use it as a context manager, or call close()."""

    def __init__(self, peer: type[Peer], threads: int) -> None:
        self.peer = peer
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._pipe, theirs = Pipe()
        environment = dict(os.environ)
        environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        paths = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        arguments = [peer.name, str(threads), str(theirs.fileno())]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", *arguments],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        theirs.close()

    def prepare(self, workload: Workload) -> Array:
        """Return the competitor's answer; raises Unsupported, or PeerFailed."""
        answer: Array = self._ask("prepare", workload)
        return answer

    def turn(self, seconds: float) -> list[float]:
        """Run for about so many seconds; return what each call took."""
        times: list[float] = self._ask("run", seconds)
        return times

    def _ask(self, command: str, argument: Any) -> Any:
        self._signal(signal.SIGCONT)
        try:
            self._pipe.send((command, argument))
            if not self._pipe.poll(_PATIENCE):
                raise PeerFailed(f"{self.peer.name} has not answered for {_PATIENCE} s")
            kind, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.wait()
            code = self._process.returncode
            raise PeerFailed(f"{self.peer.name} died (status {code}): {self._log_tail()}") from None
        self._signal(signal.SIGSTOP)
        if kind == "unsupported":
            raise Unsupported(value)
        if kind == "error":
            raise PeerFailed(f"{self.peer.name}: {value}")
        return value

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _log_tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def close(self) -> None:
        self._pipe.close()
        self._signal(signal.SIGKILL)  # reaches a stopped process, too
        self._process.wait()
        self._log.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
