"""Train LeNet-5 on the digits that ship with fastconv, and save its weights.

python examples/train_lenet5.py
"""

from __future__ import annotations

import numpy as np

import fastconv
from fastconv import data, models, train

fastconv.manual_seed(0)
digits, test = data.mnist(), data.mnist(split="test")

net = models.lenet5()
print(fastconv.summary(net))
train.fit(net, digits, test, epochs=15, augment=data.random_shift)
print(f"test accuracy {train.evaluate(net, test):.2%}")

np.savez("lenet5.npz", **net.state_dict())

with np.load("lenet5.npz") as weights:
    models.lenet5().load_state_dict(weights)
