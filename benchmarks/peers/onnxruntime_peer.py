"""ONNX Runtime, on inputs and outputs bound beforehand."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..inputs import Array
from .interface import Peer, Prepared, Workload
from .torch_peer import load_input

__all__ = ["OnnxRuntime"]


class OnnxRuntime(Peer):
    name = "onnxruntime"
    packages = ("onnxruntime", "onnx", "torch")
    file = "onnx"

    def prepare(self, workload: Workload) -> Prepared:
        ort: Any = import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(
            str(workload.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._x = np.ascontiguousarray(load_input(workload))  # the binding may not keep it alive
        binding = session.io_binding()
        binding.bind_cpu_input("x", self._x)
        shape = session.get_outputs()[0].shape
        y = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
        binding.bind_ortvalue_output("y", y)

        def run() -> None:
            session.run_with_iobinding(binding)

        def answer() -> Array:
            run()
            result: Array = y.numpy()
            return result

        run()
        return Prepared(run, answer)
