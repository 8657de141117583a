"""Writes a workload's files for those competitors that read them."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from .export_peer import ExportNcnn, ExportOnnx
from .interface import Peer, Unsupported, Workload
from .process import PeerFailed, PeerProcess

__all__ = ["Exporter"]

_KINDS: dict[str, type[Peer]] = {"onnx": ExportOnnx, "ncnn": ExportNcnn}


class Exporter:
    """Processes that export, one for each kind of file that any of the competitors reads."""

    def __init__(self, peers: Sequence[type[Peer]]) -> None:
        kinds = {peer.file for peer in peers if peer.file}
        self._processes = {kind: PeerProcess(_KINDS[kind], threads=1) for kind in sorted(kinds)}

    def prepare(self, workload: Workload) -> dict[str, str]:
        """Write the files; return the kinds that could not be written, and why."""
        unusable = {}
        for old in workload.folder.glob("model.*"):
            old.unlink()
        for kind, process in self._processes.items():
            try:
                process.prepare(workload)
            except (Unsupported, PeerFailed) as reason:
                unusable[kind] = str(reason)
        return unusable

    def close(self) -> None:
        for process in self._processes.values():
            process.close()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
