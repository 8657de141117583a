"""The residual networks for CIFAR-10: three stages on pictures of 32x32."""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor, ops
from .registry import InputShape, register
from .resnet import BasicBlock

__all__ = [
    "CifarResNet",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
]


class ZeroPaddedIdentity(nn.Module):
    """Every `stride`-th pixel, and as many channels of zeros behind as there are channels.

    Option A of the paper's shortcuts, which has no parameters.
    """

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = ops.avg_pool2d(x, 1, self.stride)  # a window of one pixel
        return ops.concat([x, x.detach() * 0.0])

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


class CifarResNet(nn.Module):
    """See `resnet20`; `layers` is 6 n + 2 for n blocks a stage."""

    input_shape: InputShape = (3, 32, 32)

    def __init__(self, layers: int, num_classes: int = 10) -> None:
        blocks, rest = divmod(layers - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"CifarResNet: layers must be 6 n + 2, n from 1 up (layers={layers})")
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if self.fc.bias is not None:
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x), activation="relu")  # 16x32x32
        x = self.layer1(x)  # 16x32x32
        x = self.layer2(x)  # 32x16x16
        x = self.layer3(x)  # 64x8x8
        x = self.avgpool(x)  # 64x1x1
        x = self.fc(ops.flatten(x, 1))
        return x

    def stages(self) -> list[nn.Module]:
        """Return modules that, one after the other, compute what `forward` does."""
        layers = (self.layer1, self.layer2, self.layer3)
        return [self.conv1, self.bn1, nn.ReLU(), *layers, self.avgpool, nn.Flatten(), self.fc]


def _stage(channels: int, width: int, blocks: int) -> nn.Sequential:
    first = (
        BasicBlock(channels, width, 1, None)
        if channels == width
        else BasicBlock(channels, width, 2, ZeroPaddedIdentity(2))
    )
    return nn.Sequential(first, *(BasicBlock(width, width, 1, None) for _ in range(blocks - 1)))


@register(default=CifarResNet.input_shape)
def resnet20(num_classes: int = 10) -> CifarResNet:
    """ResNet-20 for CIFAR-10: nine blocks of two 3x3 convolutions, 269,722 parameters.

    He, Zhang, Ren and Sun 2015, https://arxiv.org/abs/1512.03385, section 4.2, input
    (N, 3, 32, 32): a convolution of 16 channels, three stages of 16, 32 and 64 channels on maps of
    32, 16 and 8 pixels, the mean of each channel, and a linear layer. Shortcuts have no parameters:
    where the size changes they take every second pixel and add channels of zeros (option A).
    Weights start as in He et al. 2015, https://arxiv.org/abs/1502.01852.
    """
    return CifarResNet(20, num_classes)


@register(default=CifarResNet.input_shape)
def resnet32(num_classes: int = 10) -> CifarResNet:
    """ResNet-32 for CIFAR-10, 464,154 parameters; see `resnet20`."""
    return CifarResNet(32, num_classes)


@register(default=CifarResNet.input_shape)
def resnet44(num_classes: int = 10) -> CifarResNet:
    """ResNet-44 for CIFAR-10, 658,586 parameters; see `resnet20`."""
    return CifarResNet(44, num_classes)


@register(default=CifarResNet.input_shape)
def resnet56(num_classes: int = 10) -> CifarResNet:
    """ResNet-56 for CIFAR-10, 853,018 parameters; see `resnet20`."""
    return CifarResNet(56, num_classes)


@register(default=CifarResNet.input_shape)
def resnet110(num_classes: int = 10) -> CifarResNet:
    """ResNet-110 for CIFAR-10, 1,727,962 parameters; see `resnet20`.

    The paper warms it up with a learning rate of 0.01 until the training error falls below 80 %.
    """
    return CifarResNet(110, num_classes)
