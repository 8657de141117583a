"""Training: the loop, its learning-rate schedules, its record, and counting right answers.

>>> from fastconv import data, models, train
>>> net = models.lenet5()
>>> history = train.fit(net, data.mnist(), epochs=10, augment=data.random_shift)
>>> accuracy = train.evaluate(net, data.mnist(split="test"))
"""

from __future__ import annotations

from .evaluate import evaluate, inference, predict
from .features import cached, split
from .fit import fit
from .history import History
from .schedule import Schedule, constant, cosine, one_cycle

__all__ = [
    "History",
    "Schedule",
    "cached",
    "constant",
    "cosine",
    "evaluate",
    "fit",
    "inference",
    "one_cycle",
    "predict",
    "split",
]
