"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998), on digits of 28x28 pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .. import nn
from .registry import InputShape, choose, register

__all__ = ["LeNet5", "lenet5"]


class _Variant(NamedTuple):
    activation: Callable[[], nn.Module]
    pool: Callable[[int], nn.Module]


_VARIANTS = {
    "modern": _Variant(nn.ReLU, nn.MaxPool2d),
    "paper": _Variant(nn.Tanh, nn.AvgPool2d),
}


class LeNet5(nn.Sequential):
    """See `lenet5`."""

    input_shape: InputShape = (1, 28, 28)

    def __init__(self, num_classes: int = 10, variant: str = "modern") -> None:
        activation, pool = choose("lenet5", variant, _VARIANTS)
        super().__init__(
            # The paper's pictures are 32x32, digits with a border of zeros.
            conv1=nn.Conv2d(1, 6, 5, padding=2),  # 6x28x28
            act1=activation(),
            pool1=pool(2),  # 6x14x14
            conv2=nn.Conv2d(6, 16, 5),  # 16x10x10
            act2=activation(),
            pool2=pool(2),  # 16x5x5
            conv3=nn.Conv2d(16, 120, 5),  # 120x1x1
            act3=activation(),
            flatten=nn.Flatten(),
            fc1=nn.Linear(120, 84),
            act4=activation(),
            fc2=nn.Linear(84, num_classes),
        )
        if variant == "paper":
            self.apply(_initialize_for_tanh)


def _initialize_for_tanh(module: nn.Module) -> None:
    # The paper's +-2.4 / fan_in suits its partly connected maps; here signals would die out.
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


@register(modern=LeNet5.input_shape, paper=LeNet5.input_shape)
def lenet5(num_classes: int = 10, variant: str = "modern") -> LeNet5:
    """LeNet-5: three convolutions and two fully connected layers, 61,706 parameters.

    LeCun et al. 1998, "Gradient-based learning applied to document recognition", input
    (N, 1, 28, 28). "modern" has ReLU and maximum pooling, "paper" tanh and average pooling, with
    the initialisation of Glorot and Bengio 2010. Both deviate from the paper: every map of conv2
    sees all of pool1, pooling has no weights, tanh is not scaled, and the output is linear, for
    softmax and cross-entropy, where the paper has radial basis functions. Raises ValueError for
    other variants.
    """
    return LeNet5(num_classes, variant)
