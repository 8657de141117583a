"""Optimizers: they change parameters by their gradients.

>>> from fastconv import nn, optim
>>> net = nn.Linear(2, 1)
>>> optimizer = optim.AdamW(optim.decay_groups(net, weight_decay=0.05), lr=1e-3)
"""

from __future__ import annotations

from .adam import Adam, AdamW
from .clip import clip_grad_norm_, clip_grad_value_
from .ema import EMA
from .groups import decay_groups, layer_groups
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "clip_grad_norm_",
    "clip_grad_value_",
    "decay_groups",
    "layer_groups",
]
