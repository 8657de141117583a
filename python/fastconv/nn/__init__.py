"""Layers, losses and initialisation. Arguments, defaults and state dicts are PyTorch's.

>>> import fastconv.nn as nn
>>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24 * 24, 10))
"""

from __future__ import annotations

from . import init
from .activation import (
    Clip,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Tanh,
)
from .arithmetic import Add, Affine, Concat, Div, Mul, Sub
from .containers import ModuleList, Sequential
from .conv import Conv2d, ConvTranspose2d
from .dropout import Dropout
from .graph import GraphModule
from .linear import Linear
from .loss import CrossEntropyLoss, MSELoss
from .module import HookHandle, Module, Parameter
from .normalization import BatchNorm2d, LocalResponseNorm
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .prediction import Prediction
from .shape import Flatten, Identity, Permute, Reshape, ZeroPad2d
from .state import LoadResult

__all__ = [
    "AdaptiveAvgPool2d",
    "Add",
    "Affine",
    "AvgPool2d",
    "BatchNorm2d",
    "Clip",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Div",
    "Dropout",
    "Flatten",
    "GraphModule",
    "HookHandle",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LoadResult",
    "LocalResponseNorm",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Mul",
    "PReLU",
    "Parameter",
    "Permute",
    "Prediction",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Sub",
    "Tanh",
    "ZeroPad2d",
    "init",
]
