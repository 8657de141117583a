"""OpenVINO's CPU plug-in, in fp32, for latency."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..inputs import Array
from .interface import Peer, Prepared, Workload
from .torch_peer import load_input

__all__ = ["OpenVino"]


class OpenVino(Peer):
    name = "openvino"
    packages = ("openvino", "onnx", "torch")
    file = "onnx"

    def prepare(self, workload: Workload) -> Prepared:
        openvino: Any = import_module("openvino")
        compiled = openvino.compile_model(
            str(workload.folder / "model.onnx"),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": self.threads,
                "PERFORMANCE_HINT": "LATENCY",
                # Otherwise bf16 where the CPU has it.
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        request = compiled.create_infer_request()
        # The tensor does not keep the array that it shares alive.
        self._x = np.ascontiguousarray(load_input(workload))
        request.set_input_tensor(openvino.Tensor(self._x, shared_memory=True))

        def run() -> None:
            request.infer(share_outputs=True)

        def answer() -> Array:
            run()
            result: Array = request.get_output_tensor(0).data.copy()
            return result

        run()
        return Prepared(run, answer)
