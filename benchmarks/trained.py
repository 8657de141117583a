"""Networks with weights like trained ones: values of one size in every layer, settled statistics.

Random weights as layers draw them let activations vanish or explode with depth; then no
comparison of answers means anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastconv import models, nn, no_grad
from fastconv.models.resnet import BasicBlock, Bottleneck

from .subject import Subject

__all__ = ["build", "trained_like", "write"]

_SETTLING = 2  # pictures that settle the statistics of batch normalisation
# By how much the last norm of a residual block scales more weakly than others, as training makes
# it: with branches as strong as the path beside them, rounding errors grow a hundredfold.
_BRANCH = 0.3


def build(name: str, variant: str = "default", *, training: bool = False) -> Any:
    """A network whose weights are zero, ready to load; in training without dropout.

    Dropout is left out of training so that every competitor computes the same losses.
    """
    options = {} if variant == "default" else {"variant": variant}
    with nn.init.skip_init():
        net = models.get(name, **options)
    if training:
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return net


def trained_like(subject: Subject, seed: int = 0) -> Any:
    """He's weights, batch norms that scale and shift, with statistics of random pictures."""
    rng = np.random.default_rng(seed)
    net = build(subject.name, subject.variant)
    norms = []
    module: Any
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _fill(rng, module.weight.data, (2 / module.weight.data[0].size) ** 0.5)
        elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            norms.append(module)
            module.weight.data[...] = rng.uniform(0.5, 1.0, module.weight.shape)
        if getattr(module, "bias", None) is not None:
            _fill(rng, module.bias.data, 0.1)
    for block in net.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last: Any = block.bn3 if isinstance(block, Bottleneck) else block.bn2
            last.weight.data[...] *= _BRANCH
    if norms:
        net.eval()
        for norm in norms:
            norm.training, norm.momentum = True, None  # None: the mean over all batches
        with no_grad():
            net(_pictures(rng, subject, _SETTLING))
    return net.eval()


def write(folder: Path, subject: Subject, batch: int, seed: int = 0) -> None:
    """Write state.npz, x.npy and target.npy, what a Workload of a network reads."""
    net = trained_like(subject, seed)
    np.savez(folder / "state.npz", **net.state_dict())
    rng = np.random.default_rng(seed + 1)
    np.save(folder / "x.npy", _pictures(rng, subject, batch))
    with no_grad():
        classes = net(_pictures(rng, subject, 1)).shape[1]
    np.save(folder / "target.npy", rng.integers(0, classes, batch))


def _fill(rng: np.random.Generator, array: np.ndarray, scale: float) -> None:
    rng.standard_normal(out=array, dtype=np.float32)
    array *= np.float32(scale)


def _pictures(rng: np.random.Generator, subject: Subject, batch: int) -> np.ndarray:
    return rng.standard_normal((batch, *subject.shape), np.float32)
