"""Write a network of one's own: a small residual network with batch normalisation.

python examples/own_network.py
"""

from __future__ import annotations

import fastconv
from fastconv import Tensor, data, nn, train
from fastconv.autograd import ops


class Block(nn.Module):
    """x + conv(relu(conv(x))), at the same size."""

    def __init__(self, channels: int) -> None:
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = ops.relu(self.norm1(self.conv1(x)))
        return ops.relu(x + self.norm2(self.conv2(y)))


fastconv.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(1, 16, 3, stride=2, padding=1),
    nn.ReLU(),
    Block(16),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    Block(32),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(32, 10),
)
print(fastconv.summary(net, (1, 28, 28)))

digits, test = data.mnist(), data.mnist(split="test")
history = train.fit(net, digits, test, epochs=8, augment=data.random_shift)
print(f"test accuracy {train.evaluate(net, test):.2%} after {history.seconds:.1f} s")
