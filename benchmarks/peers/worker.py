"""The process of one competitor: `python -m benchmarks.peers.worker NAME THREADS DESCRIPTOR`.

It obeys messages on a pipe: ("prepare", workload) answers ("ready", result) or ("unsupported" or
"error", text); ("run", seconds) answers ("times", seconds of each call).
"""

from __future__ import annotations

import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ..timing import repeat
from . import OURS, PEERS, TWIN
from .export_peer import ExportNcnn, ExportOnnx
from .interface import Peer, Prepared, Unsupported

__all__ = ["main"]

_ALL: tuple[type[Peer], ...] = (OURS, TWIN, *PEERS, ExportOnnx, ExportNcnn)
_KINDS = {kind.name: kind for kind in _ALL}


def main(name: str, threads: int, descriptor: int) -> None:
    _die_with_parent()
    peer = _KINDS[name](threads)
    prepared: Prepared | None = None
    with Connection(descriptor) as pipe:
        while True:
            try:
                command, argument = pipe.recv()
            except EOFError:
                return
            reply: tuple[str, Any]
            try:
                if command == "prepare":
                    prepared = None  # before the next one: both may not fit into memory
                    prepared = peer.prepare(argument)
                    reply = ("ready", prepared.answer())
                else:
                    assert prepared is not None
                    reply = ("times", repeat(prepared.run, argument))
            except Unsupported as error:
                reply = ("unsupported", str(error))
            except Exception:
                reply = ("error", traceback.format_exc())
            pipe.send(reply)


def _die_with_parent() -> None:
    """A stopped process cannot notice that its pipe is closed; on Linux the kernel ends it."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
