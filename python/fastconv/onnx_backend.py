"""fastconv as a backend of ONNX: what `onnx.backend` asks of whoever runs its models.

>>> import fastconv.onnx_backend as backend                    # doctest: +SKIP
>>> outputs = backend.prepare(onnx.load("net.onnx")).run([x])  # doctest: +SKIP

Source: onnx/onnx, docs/ImplementingAnOnnxBackend.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .autograd import no_grad
from .nn import GraphModule
from .zoo.archive import FormatError, missing_extra
from .zoo.onnx import arrays_of, network_of

try:
    import onnx
    from onnx.backend.base import Backend, BackendRep, Device, DeviceType
except ImportError:
    raise missing_extra("the ONNX backend", "onnx") from None

__all__ = [
    "FastconvBackend",
    "FastconvBackendRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class FastconvBackendRep(BackendRep):
    """A model that is ready to run; `net` is its network."""

    def __init__(self, net: GraphModule) -> None:
        self.net = net

    def run(self, inputs: Any, **options: Any) -> tuple[np.ndarray, ...]:
        """Return the outputs for arrays in the order of the graph's inputs, or by their names."""
        if isinstance(inputs, dict):
            inputs = [inputs[name] for name in self.net.inputs]
        elif isinstance(inputs, np.ndarray):
            inputs = [inputs]
        with no_grad(), np.errstate(all="ignore"):
            out = self.net(*map(np.asarray, inputs))
        return tuple(x.numpy() for x in (out if isinstance(out, tuple) else (out,)))


class FastconvBackend(Backend):
    """The CPU backend. All raise FormatError for models that fastconv cannot build."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **options: Any) -> bool:
        """Return whether a model, with its weights inside, can run."""
        try:
            network_of(model, arrays_of(model, None), None)
        except FormatError:
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> FastconvBackendRep:
        """Return a ModelProto, with its weights inside, ready to run."""
        if not cls.supports_device(device):
            raise ValueError(f"onnx_backend: the device must be the CPU (device={device!r})")
        super().prepare(model, device, **options)  # checks the model
        return FastconvBackendRep(network_of(model, arrays_of(model, None), None))

    @classmethod
    def run_node(
        cls,
        node: Any,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[Any] | None = None,
        **options: Any,
    ) -> tuple[np.ndarray, ...]:
        """Return the outputs of one node; `opset_version` says which, by default the newest."""
        super().run_node(node, inputs, device, outputs_info, **options)
        arrays = [np.asarray(x) for x in inputs]
        values = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(filter(None, node.input), arrays, strict=True)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "node", values, outputs)
        version = options.get("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)]
        )
        return FastconvBackendRep(network_of(model, {}, None)).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether a device, such as "CPU" or "CUDA:1", is the CPU."""
        try:
            return bool(Device(device).type == DeviceType.CPU)
        except (AttributeError, ValueError):
            return False


is_compatible = FastconvBackend.is_compatible
prepare = FastconvBackend.prepare
run_model = FastconvBackend.run_model
run_node = FastconvBackend.run_node
supports_device = FastconvBackend.supports_device
