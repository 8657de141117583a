"""ncnn, converted with pnnx, in fp32; it has no batches, so pictures run one by one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..inputs import Array
from .interface import Peer, Prepared, Unsupported, Workload
from .torch_peer import load_input

__all__ = ["Ncnn"]


class Ncnn(Peer):
    name = "ncnn"
    packages = ("ncnn", "pnnx", "torch")
    file = "ncnn"

    def prepare(self, workload: Workload) -> Prepared:
        ncnn: Any = import_module("ncnn")
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_vulkan_compute = False
        for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(net.opt, f"use_{option}", False)
        path = workload.folder / "model.ncnn"
        if net.load_param(f"{path}.param") or net.load_model(f"{path}.bin"):
            raise Unsupported("ncnn cannot load what pnnx made of it")
        x = load_input(workload)
        whole = x.ndim == 2 and not workload.network
        mats = [ncnn.Mat(np.ascontiguousarray(a)).clone() for a in ([x] if whole else x)]

        def run() -> list[Any]:
            results = []
            for mat in mats:
                extractor = net.create_extractor()
                extractor.input("in0", mat)
                status, result = extractor.extract("out0")
                if status:
                    raise Unsupported(f"ncnn fails to run it (status={status})")
                results.append(result)
            return results

        def answer() -> Array:
            arrays = [np.array(result) for result in run()]
            result: Array = arrays[0] if whole else np.stack(arrays)
            return result

        run()
        return Prepared(run, answer)
