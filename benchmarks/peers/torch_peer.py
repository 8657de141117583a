"""PyTorch in four modes: eager, eager on channels-last memory, frozen TorchScript, inductor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from ..inputs import Array, layer_inputs
from ..layers import ConvGradient
from .fastconv_peer import CHECKED_STEPS, LEARNING_RATE, MOMENTUM
from .interface import Peer, Prepared, Unsupported, Workload

__all__ = ["TorchChannelsLast", "TorchEager", "TorchInductor", "TorchJit", "load", "load_input"]

_WARM_UP = 3  # calls in which TorchScript specialises


def load(workload: Workload) -> tuple[Any, Any]:
    """A module and its input, for a single layer or a network in inference."""
    torch: Any = import_module("torch")
    if workload.layer is not None:
        if isinstance(workload.layer, ConvGradient):
            raise Unsupported("gradients are no module")
        module, x = import_module(f"{__package__}.torch_layers").build(
            workload.layer, workload.batch
        )
        return module, x
    networks: Any = import_module(f"{__package__}.torch_networks")
    try:
        net = networks.build(workload.network, workload.variant)
    except ValueError as error:
        raise Unsupported(str(error)) from error
    net.load_state_dict({k: torch.from_numpy(v) for k, v in workload.state().items()})
    return net.eval(), torch.from_numpy(workload.x())


def load_input(workload: Workload) -> Array:
    """What the exported models are fed, without torch."""
    if workload.layer is None:
        return workload.x()
    arrays = layer_inputs(workload.layer, workload.batch)
    return arrays.get("x", next(iter(arrays.values())))


class TorchEager(Peer):
    name = "torch-eager"
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    channels_last: ClassVar[bool] = False

    def prepare(self, workload: Workload) -> Prepared:
        torch: Any = import_module("torch")
        warnings.filterwarnings("ignore")  # TorchScript is deprecated, and says so often
        torch.set_num_threads(self.threads)
        if isinstance(workload.layer, ConvGradient):
            return self._gradient(workload.layer, workload.batch)
        module, x = load(workload)
        if self.channels_last and x.ndim == 4:
            module = module.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        if workload.training:
            return self._training(module.train(), x, torch.from_numpy(workload.target()))
        with torch.inference_mode():
            forward = self.optimize(module, x)
            for _ in range(_WARM_UP):
                forward(x)

        def run() -> Any:
            with torch.inference_mode():
                return forward(x)

        return Prepared(run, lambda: run().numpy())

    def optimize(self, module: Any, x: Any) -> Callable[[Any], Any]:
        """What makes a module fast in inference."""
        forward: Callable[[Any], Any] = module
        return forward

    def optimize_training(self, module: Any, x: Any) -> Callable[[Any], Any]:
        """What makes a module fast in training."""
        forward: Callable[[Any], Any] = module
        return forward

    def _training(self, module: Any, x: Any, target: Any) -> Prepared:
        torch: Any = import_module("torch")
        # An optimizer that is fused into one pass is torch's fastest.
        optimizer = torch.optim.SGD(
            module.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True
        )
        forward = self.optimize_training(module, x)

        def run() -> float:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(x), target)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return Prepared(run, lambda: np.array([run() for _ in range(CHECKED_STEPS)], np.float32))

    def _gradient(self, layer: ConvGradient, batch: int) -> Prepared:
        if type(self).optimize is not TorchEager.optimize:
            raise Unsupported("gradients of single layers run in eager mode only")
        torch: Any = import_module("torch")
        memory_format = torch.channels_last if self.channels_last else torch.contiguous_format
        layers: Any = import_module(f"{__package__}.torch_layers")
        run = layers.gradient(layer, batch, memory_format)
        return Prepared(run, lambda: run().contiguous().numpy())


class TorchChannelsLast(TorchEager):
    name = "torch-channels-last"
    channels_last = True


class TorchJit(TorchEager):
    """Traced, frozen and given oneDNN's packed weights."""

    name = "torch-jit"

    def optimize(self, module: Any, x: Any) -> Callable[[Any], Any]:
        torch: Any = import_module("torch")
        frozen = torch.jit.freeze(torch.jit.trace(module, x))
        forward: Callable[[Any], Any] = torch.jit.optimize_for_inference(frozen)
        return forward

    def optimize_training(self, module: Any, x: Any) -> Callable[[Any], Any]:
        torch: Any = import_module("torch")
        # The trace runs the module, which must not move its statistics.
        state = {name: value.clone() for name, value in module.state_dict().items()}
        forward: Callable[[Any], Any] = torch.jit.trace(module, x, check_trace=False)
        module.load_state_dict(state)
        return forward


class TorchInductor(TorchEager):
    """torch.compile; in inference with frozen weights, which lets it pack them."""

    name = "torch-inductor"
    channels_last = True

    def optimize(self, module: Any, x: Any) -> Callable[[Any], Any]:
        torch: Any = import_module("torch")
        inductor: Any = import_module("torch._inductor.config")
        inductor.freezing = True
        torch._dynamo.reset()
        forward: Callable[[Any], Any] = torch.compile(module)
        return forward

    def optimize_training(self, module: Any, x: Any) -> Callable[[Any], Any]:
        torch: Any = import_module("torch")
        torch._dynamo.reset()
        forward: Callable[[Any], Any] = torch.compile(module)
        return forward
