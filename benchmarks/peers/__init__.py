"""The competitors, one file each, and how they run: each in a process of its own."""

from __future__ import annotations

from .fastconv_peer import Fastconv
from .interface import Peer, Prepared, Unsupported, Workload
from .ncnn_peer import Ncnn
from .numpy_peer import NumpyTwin
from .onnxruntime_peer import OnnxRuntime
from .openvino_peer import OpenVino
from .torch_peer import TorchChannelsLast, TorchEager, TorchInductor, TorchJit

__all__ = ["OURS", "PEERS", "TWIN", "Peer", "Prepared", "Unsupported", "Workload", "choose"]

OURS: type[Peer] = Fastconv
TWIN: type[Peer] = NumpyTwin
PEERS: tuple[type[Peer], ...] = (
    TorchEager,
    TorchChannelsLast,
    TorchJit,
    TorchInductor,
    OnnxRuntime,
    OpenVino,
    Ncnn,
)


def choose(names: str) -> list[type[Peer]]:
    """The installed competitors of a comma-separated list; prints one line for each that is not.

    "torch" stands for all its modes, "all" for everybody. Raises ValueError for unknown names.
    """
    chosen: list[type[Peer]] = []
    for name in filter(None, names.split(",")):
        found = [
            peer
            for peer in PEERS
            if name == "all" or name in (peer.name, peer.name.partition("-")[0])
        ]
        if not found:
            known = ", ".join(["all", "torch", *(peer.name for peer in PEERS)])
            raise ValueError(f"peers: names must be among {known} (name={name!r})")
        chosen += [peer for peer in found if peer not in chosen]
    installed = []
    for peer in chosen:
        if missing := peer.missing():
            print(
                f"{peer.name} is left out: {', '.join(missing)} not installed "
                f"(pip install 'fastconv[bench]')"
            )
        else:
            installed.append(peer)
    return installed
