"""Training: the loop, its schedules, callbacks and checkpoints, and counting right answers.

>>> from fastconv import data, models, train
>>> net = models.lenet5()
>>> history = train.fit(net, data.mnist(), epochs=10, augment=data.random_shift)
>>> accuracy = train.evaluate(net, data.mnist(split="test"))
"""

from __future__ import annotations

from .callbacks import Callback, CheckpointBest, EarlyStopping
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .evaluate import evaluate, inference, predict
from .features import cached, split
from .finetune import Comparison, Mistake, Run, compare_starts
from .fit import fit
from .folders import FolderLoaders, folder_loaders
from .history import History
from .logs import CSVLog, JSONLog
from .pretrained import load_pretrained, read_weights
from .schedule import Schedule, constant, cosine, one_cycle, step, warm_up
from .state import State
from .tensorboard import TensorBoardLog

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CheckpointBest",
    "Comparison",
    "EarlyStopping",
    "FolderLoaders",
    "History",
    "JSONLog",
    "Mistake",
    "Run",
    "Schedule",
    "State",
    "TensorBoardLog",
    "cached",
    "compare_starts",
    "constant",
    "cosine",
    "evaluate",
    "fit",
    "folder_loaders",
    "inference",
    "load_checkpoint",
    "load_pretrained",
    "one_cycle",
    "predict",
    "read_weights",
    "save_checkpoint",
    "split",
    "step",
    "warm_up",
]
