"""ResNet: convolutions that learn what to add to their input."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from .. import nn
from ..autograd import Tensor, ops
from .registry import InputShape, choose, register

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]


class _Variant(NamedTuple):
    stride_in_1x1: bool  # of a bottleneck; otherwise in its 3x3
    pool_padding: int
    pool_ceil_mode: bool | str


_VARIANTS = {
    "torchvision": _Variant(False, 1, False),
    "caffe": _Variant(True, 0, "caffe"),
    "keras": _Variant(True, 1, False),
    "keras-2015": _Variant(True, 0, False),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        _: _Variant | None = None,
    ) -> None:
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.bn2(self.conv2(x), identity, activation="relu")
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside the identity."""

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        variant: _Variant,
    ) -> None:
        stride1, stride2 = (stride, 1) if variant.stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(channels, width, 1, stride=stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.bn2(self.conv2(x), activation="relu")
        x = self.bn3(self.conv3(x), identity, activation="relu")
        return x


# The kind of block, and how many of them each stage has.
_LAYERS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """See `resnet50`; state dict as torchvision.models.ResNet."""

    input_shape: InputShape = (3, 224, 224)

    def __init__(
        self,
        layers: int,
        num_classes: int = 1000,
        variant: str = "torchvision",
        conv1_bias: bool = False,
    ) -> None:
        if layers not in _LAYERS:
            raise ValueError(f"ResNet: layers must be one of {tuple(_LAYERS)} (layers={layers!r})")
        block, depths = _LAYERS[layers]
        options = choose(f"resnet{layers}", variant, _VARIANTS)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=conv1_bias)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(
            3, stride=2, padding=options.pool_padding, ceil_mode=options.pool_ceil_mode
        )
        self.layer1 = _stage(block, 64, 64, depths[0], 1, options)
        self.layer2 = _stage(block, 64 * block.expansion, 128, depths[1], 2, options)
        self.layer3 = _stage(block, 128 * block.expansion, 256, depths[2], 2, options)
        self.layer4 = _stage(block, 256 * block.expansion, 512, depths[3], 2, options)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        # Channels of layer1 to layer4 are four times as many with bottlenecks.
        x = self.bn1(self.conv1(x), activation="relu")  # 64x112x112
        x = self.maxpool(x)  # 64x56x56
        x = self.layer1(x)  # 64x56x56
        x = self.layer2(x)  # 128x28x28
        x = self.layer3(x)  # 256x14x14
        x = self.layer4(x)  # 512x7x7
        x = self.avgpool(x)  # 512x1x1
        x = self.fc(ops.flatten(x, 1))
        return x

    def stages(self) -> list[nn.Module]:
        """Return modules that, one after the other, compute what `forward` does."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        start = (self.conv1, self.bn1, nn.ReLU(), self.maxpool)
        return [*start, *layers, self.avgpool, nn.Flatten(), self.fc]


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    channels: int,
    width: int,
    depth: int,
    stride: int,
    variant: _Variant,
) -> nn.Sequential:
    out_channels = width * block.expansion
    downsample = None
    if stride != 1 or channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    blocks: list[nn.Module] = [block(channels, width, stride, downsample, variant)]
    blocks += [block(out_channels, width, 1, None, variant) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


_SHAPES = dict.fromkeys(_VARIANTS, ResNet.input_shape)


@register(**_SHAPES)
def resnet18(
    num_classes: int = 1000, variant: str = "torchvision", conv1_bias: bool = False
) -> ResNet:
    """ResNet-18, 11,689,512 parameters; see `resnet50`."""
    return ResNet(18, num_classes, variant, conv1_bias)


@register(**_SHAPES)
def resnet34(
    num_classes: int = 1000, variant: str = "torchvision", conv1_bias: bool = False
) -> ResNet:
    """ResNet-34, 21,797,672 parameters; see `resnet50`."""
    return ResNet(34, num_classes, variant, conv1_bias)


@register(**_SHAPES)
def resnet50(
    num_classes: int = 1000, variant: str = "torchvision", conv1_bias: bool = False
) -> ResNet:
    """ResNet-50: sixteen bottleneck blocks, 25,557,032 parameters.

    He, Zhang, Ren and Sun 2015, https://arxiv.org/abs/1512.03385, input (N, 3, 224, 224).
    "torchvision" strides in the 3x3 convolution of a bottleneck ("v1.5"); "caffe" is the authors'
    release: stride in the first 1x1, and a first pooling that is not padded but rounds up. In that
    release conv1 of ResNet-50 alone has a bias: `conv1_bias=True` makes room for it. "keras" has
    the stride of the latter and the pooling of the former; "keras-2015" is the first file of that
    zoo, whose first pooling is neither padded nor rounded up (55 wide). Shortcuts that change the
    shape are projections (option B). Raises ValueError for other variants.
    """
    return ResNet(50, num_classes, variant, conv1_bias)


@register(**_SHAPES)
def resnet101(
    num_classes: int = 1000, variant: str = "torchvision", conv1_bias: bool = False
) -> ResNet:
    """ResNet-101, 44,549,160 parameters; see `resnet50`."""
    return ResNet(101, num_classes, variant, conv1_bias)


@register(**_SHAPES)
def resnet152(
    num_classes: int = 1000, variant: str = "torchvision", conv1_bias: bool = False
) -> ResNet:
    """ResNet-152, 60,192,808 parameters; see `resnet50`."""
    return ResNet(152, num_classes, variant, conv1_bias)
