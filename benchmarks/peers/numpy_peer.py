"""The NumPy twin: the same layers over `fastconv.reference`."""

from __future__ import annotations

from typing import Any

from ..inputs import Array
from .fastconv_peer import network, training_step
from .interface import Peer, Prepared, Unsupported, Workload

__all__ = ["NumpyTwin"]


class NumpyTwin(Peer):
    """Runs one picture of a batch in inference, because it takes them one by one anyway."""

    name = "numpy"
    packages = ("fastconv",)
    slice = True

    def prepare(self, workload: Workload) -> Prepared:
        from fastconv import use_backend

        if workload.layer is not None:
            raise Unsupported("single layers are timed by the command kernels itself")
        with use_backend("reference"):
            if workload.training:
                prepared = training_step(workload)
            else:
                prepared = network(workload, workload.x()[:1])

        def run() -> Any:
            with use_backend("reference"):
                return prepared.run()

        def answer() -> Array:
            with use_backend("reference"):
                return prepared.answer()

        return Prepared(run, answer)
