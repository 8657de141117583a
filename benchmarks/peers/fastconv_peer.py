"""Ourselves: compiled networks, and training steps of `fastconv.nn` layers."""

from __future__ import annotations

import numpy as np

from ..inputs import Array
from .interface import Peer, Prepared, Unsupported, Workload

__all__ = ["Fastconv", "compiled", "network", "training_step"]

# A small step: losses of random weights and targets explode with a large one.
LEARNING_RATE, MOMENTUM = 2.5e-5, 0.9
CHECKED_STEPS = 3


class Fastconv(Peer):
    name = "fastconv"
    packages = ("fastconv",)

    def prepare(self, workload: Workload) -> Prepared:
        import fastconv

        fastconv.set_num_threads(self.threads)
        if workload.layer is not None:
            raise Unsupported("single layers are timed by the command kernels itself")
        if workload.training:
            return training_step(workload)
        return compiled(workload)


def compiled(workload: Workload) -> Prepared:
    """Inference by `fastconv.compile`, on NCHW memory as the other peers get it."""
    import fastconv

    from ..trained import build

    net = build(workload.network, workload.variant)
    net.load_state_dict(workload.state())
    net.eval()
    x = workload.x()
    fast = fastconv.compile(net, x.shape)

    def run() -> Array:
        return fast(x)

    run()
    return Prepared(run, run)


def network(workload: Workload, x: Array) -> Prepared:
    """Inference layer by layer, on the backend that is in force."""
    from fastconv import no_grad

    from ..trained import build

    net = build(workload.network, workload.variant)
    net.load_state_dict(workload.state())
    net.eval()

    def run() -> Array:
        with no_grad():
            result: Array = net(x).data
        return result

    run()
    return Prepared(run, run)


def training_step(workload: Workload) -> Prepared:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    import fastconv
    from fastconv.nn import CrossEntropyLoss

    from ..trained import build

    net = build(workload.network, workload.variant, training=True)
    net.load_state_dict(workload.state())
    net.train()
    x = fastconv.functional.to_channels_last(workload.x())
    target = workload.target()
    loss_of = CrossEntropyLoss()
    optimizer = fastconv.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def run() -> float:
        net.zero_grad()
        loss = loss_of(net(x), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return Prepared(run, lambda: np.array([run() for _ in range(CHECKED_STEPS)], np.float32))
