"""VGG: 3x3 convolutions in five stages, each ended by a pooling, then three full layers."""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor, ops
from .registry import InputShape, register

__all__ = [
    "VGG",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

_WIDTHS = (64, 128, 256, 512, 512)
# Convolutions in each stage; the paper's configurations A, B, D and E.
_DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
    """See `vgg16`; state dict as torchvision.models.VGG."""

    input_shape: InputShape = (3, 224, 224)

    def __init__(
        self,
        layers: int,
        num_classes: int = 1000,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        if layers not in _DEPTHS:
            raise ValueError(f"VGG: layers must be one of {tuple(_DEPTHS)} (layers={layers!r})")
        with nn.init.skip_init():  # all is drawn below
            self.features = _features(_DEPTHS[layers], batch_norm)  # 512x7x7
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))  # for pictures that are not 224 wide
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, 4096),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(4096, num_classes),
            )
        self.apply(_initialize)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.avgpool(x)
        x = ops.flatten(x, 1)
        x = self.classifier(x)
        return x

    def stages(self) -> list[nn.Module]:
        """Return modules that, one after the other, compute what `forward` does."""
        return [self.features, self.avgpool, nn.Flatten(), self.classifier]


def _features(depths: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in zip(_WIDTHS, depths, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            channels = width
        layers.append(nn.MaxPool2d(2))  # 112, 56, 28, 14 and 7 wide
    return nn.Sequential(*layers)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)


@register(default=VGG.input_shape)
def vgg11(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-11, configuration A of the paper, 132,863,336 parameters; see `vgg16`."""
    return VGG(11, num_classes, dropout=dropout)


@register(default=VGG.input_shape)
def vgg13(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-13, configuration B of the paper, 133,047,848 parameters; see `vgg16`."""
    return VGG(13, num_classes, dropout=dropout)


@register(default=VGG.input_shape)
def vgg16(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-16: thirteen 3x3 convolutions and three fully connected layers, 138,357,544 parameters.

    Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556, configuration D, input
    (N, 3, 224, 224). Deviations, as in torchvision: He's initialisation instead of pre-training
    with a shallower network, and an adaptive pooling that admits other picture sizes.
    """
    return VGG(16, num_classes, dropout=dropout)


@register(default=VGG.input_shape)
def vgg19(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-19, configuration E of the paper, 143,667,240 parameters; see `vgg16`."""
    return VGG(19, num_classes, dropout=dropout)


@register(default=VGG.input_shape)
def vgg11_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-11 with batch normalisation after every convolution, which the paper has not."""
    return VGG(11, num_classes, batch_norm=True, dropout=dropout)


@register(default=VGG.input_shape)
def vgg13_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-13 with batch normalisation after every convolution, which the paper has not."""
    return VGG(13, num_classes, batch_norm=True, dropout=dropout)


@register(default=VGG.input_shape)
def vgg16_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-16 with batch normalisation after every convolution, which the paper has not."""
    return VGG(16, num_classes, batch_norm=True, dropout=dropout)


@register(default=VGG.input_shape)
def vgg19_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-19 with batch normalisation after every convolution, which the paper has not."""
    return VGG(19, num_classes, batch_norm=True, dropout=dropout)
