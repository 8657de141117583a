"""Writes the files that some competitors read, in a process of its own: it needs torch."""

from __future__ import annotations

import subprocess
import warnings
from importlib import import_module
from typing import Any

from .interface import Peer, Prepared, Unsupported, Workload
from .torch_peer import load

__all__ = ["ExportNcnn", "ExportOnnx"]


class ExportOnnx(Peer):
    """Leaves model.onnx: input "x", output "y"."""

    name = "export-onnx"
    packages = ("torch", "onnx")

    def prepare(self, workload: Workload) -> Prepared:
        torch: Any = import_module("torch")
        warnings.filterwarnings("ignore")
        torch.set_num_threads(self.threads)
        module, x = load(workload)
        path = workload.folder / "model.onnx"
        torch.onnx.export(
            module, (x,), str(path), dynamo=False, input_names=["x"], output_names=["y"]
        )
        return Prepared(lambda: None, lambda: x[:0].numpy())


class ExportNcnn(Peer):
    """Leaves model.ncnn.param and model.ncnn.bin, in fp32, for one picture."""

    name = "export-ncnn"
    packages = ("torch", "pnnx")

    def prepare(self, workload: Workload) -> Prepared:
        torch: Any = import_module("torch")
        pnnx: Any = import_module("pnnx")
        warnings.filterwarnings("ignore")
        torch.set_num_threads(self.threads)
        module, x = load(workload)
        if x.ndim != 2 or workload.network:
            x = x[:1]
        script = workload.folder / "model.pt"
        torch.jit.trace(module, x).save(str(script))
        shape = ",".join(map(str, x.shape))
        done = subprocess.run(
            [pnnx.EXEC_PATH, script.name, f"inputshape=[{shape}]f32", "fp16=0"],
            cwd=workload.folder,
            capture_output=True,
            text=True,
        )
        if not (workload.folder / "model.ncnn.param").exists():
            raise Unsupported(f"pnnx failed: {done.stderr[-300:]}")
        script.unlink()
        return Prepared(lambda: None, lambda: x[:0].numpy())
