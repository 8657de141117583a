"""GoogLeNet: nine Inception modules, and two auxiliary classifiers for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..autograd import Tensor, ops
from .registry import InputShape, choose, register

__all__ = ["GoogLeNet", "GoogLeNetOutput", "googlenet"]


class GoogLeNetOutput(NamedTuple):
    """What GoogLeNet returns in training when it has auxiliary heads; each is (N, num_classes)."""

    logits: Tensor
    aux1: Tensor  # after inception4a
    aux2: Tensor  # after inception4d


class _Variant(NamedTuple):
    batch_norm: bool  # then convolutions have no bias and nothing else normalises
    conv1_padding: Any
    branch3_kernel: int
    pool4_kernel: int
    ceil_mode: bool | str
    dropout: float
    initialize: Callable[[nn.Module], None]


# Channels of each module: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection.
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class BasicConv2d(nn.Module):
    """Convolution, batch normalisation if the variant has it, ReLU."""

    def __init__(self, variant: _Variant, channels: int, width: int, **window: Any) -> None:
        self.conv = nn.Conv2d(channels, width, bias=not variant.batch_norm, **window)
        self.bn = nn.BatchNorm2d(width, eps=0.001) if variant.batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bn is None:
            x = self.conv(x, activation="relu")
        else:
            x = self.bn(self.conv(x), activation="relu")
        return x


class Inception(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(self, variant: _Variant, channels: int, widths: tuple[int, ...]) -> None:
        width1, reduce2, width2, reduce3, width3, width4 = widths
        kernel3 = variant.branch3_kernel
        self.branch1 = BasicConv2d(variant, channels, width1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(variant, channels, reduce2, kernel_size=1),
            BasicConv2d(variant, reduce2, width2, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(variant, channels, reduce3, kernel_size=1),
            BasicConv2d(variant, reduce3, width3, kernel_size=kernel3, padding=kernel3 // 2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=variant.ceil_mode),
            BasicConv2d(variant, channels, width4, kernel_size=1),
        )
        self.out_channels = width1 + width2 + width3 + width4

    def forward(self, x: Tensor) -> Tensor:
        return ops.concat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class InceptionAux(nn.Module):
    """An auxiliary classifier: pooling to 4x4, 1x1 convolution, two full layers."""

    def __init__(self, variant: _Variant, channels: int, num_classes: int, dropout: float) -> None:
        # The same windows on maps of 14x14.
        self.pool = (
            nn.AdaptiveAvgPool2d((4, 4))
            if variant.batch_norm
            else nn.AvgPool2d(5, stride=3, ceil_mode=variant.ceil_mode)
        )
        self.conv = BasicConv2d(variant, channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)  # 4x4
        x = self.conv(x)  # 128x4x4
        x = self.fc1(ops.flatten(x, 1))
        x = self.dropout(self.relu(x))
        x = self.fc2(x)
        return x


class GoogLeNet(nn.Module):
    """See `googlenet`; state dict as torchvision.models.GoogLeNet."""

    input_shape: InputShape = (3, 224, 224)
    head_names = ("fc", "aux1.fc2", "aux2.fc2")

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = False,
        variant: str = "caffe",
        transform_input: bool = False,
        dropout: float | None = None,
        dropout_aux: float = 0.7,
    ) -> None:
        options = choose("googlenet", variant, _VARIANTS)
        ceil = options.ceil_mode
        self.transform_input = transform_input

        def norm() -> nn.Module | None:
            return None if options.batch_norm else nn.LocalResponseNorm(5)

        def inception(name: str, channels: int) -> Inception:
            return Inception(options, channels, _INCEPTIONS[name])

        padding = options.conv1_padding
        self.conv1 = BasicConv2d(options, 3, 64, kernel_size=7, stride=2, padding=padding)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=ceil)
        self.norm1 = norm()
        self.conv2 = BasicConv2d(options, 64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(options, 64, 192, kernel_size=3, padding=1)
        self.norm2 = norm()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=ceil)

        self.inception3a = inception("3a", 192)
        self.inception3b = inception("3b", 256)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=ceil)

        self.inception4a = inception("4a", 480)
        self.inception4b = inception("4b", 512)
        self.inception4c = inception("4c", 512)
        self.inception4d = inception("4d", 512)
        self.inception4e = inception("4e", 528)
        self.maxpool4 = nn.MaxPool2d(options.pool4_kernel, stride=2, ceil_mode=ceil)

        self.inception5a = inception("5a", 832)
        self.inception5b = inception("5b", 832)

        self.aux1: InceptionAux | None = None
        self.aux2: InceptionAux | None = None
        if aux_logits:
            self.aux1 = InceptionAux(options, 512, num_classes, dropout_aux)
            self.aux2 = InceptionAux(options, 528, num_classes, dropout_aux)

        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(options.dropout if dropout is None else dropout)
        self.fc = nn.Linear(1024, num_classes)
        self.apply(options.initialize)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutput:
        if self.transform_input:
            x = _from_imagenet_statistics(x)
        x = self.conv1(x)  # 64x112x112
        x = self.maxpool1(x)  # 64x56x56
        if self.norm1 is not None:
            x = self.norm1(x)
        x = self.conv2(x)  # 64x56x56
        x = self.conv3(x)  # 192x56x56
        if self.norm2 is not None:
            x = self.norm2(x)
        x = self.maxpool2(x)  # 192x28x28

        x = self.inception3a(x)  # 256x28x28
        x = self.inception3b(x)  # 480x28x28
        x = self.maxpool3(x)  # 480x14x14

        aux1 = aux2 = None
        x = self.inception4a(x)  # 512x14x14
        if self.training and self.aux1 is not None:
            aux1 = self.aux1(x)
        x = self.inception4b(x)  # 512x14x14
        x = self.inception4c(x)  # 512x14x14
        x = self.inception4d(x)  # 528x14x14
        if self.training and self.aux2 is not None:
            aux2 = self.aux2(x)
        x = self.inception4e(x)  # 832x14x14
        x = self.maxpool4(x)  # 832x7x7

        x = self.inception5a(x)  # 832x7x7
        x = self.inception5b(x)  # 1024x7x7
        x = self.avgpool(x)  # 1024x1x1
        x = self.dropout(ops.flatten(x, 1))
        x = self.fc(x)
        if aux1 is None or aux2 is None:
            return x
        return GoogLeNetOutput(x, aux1, aux2)

    def stages(self) -> list[nn.Module]:
        """Return modules that, one after the other, compute what `forward` does.

        Raises ValueError where no sequence does: with auxiliary heads or `transform_input`.
        """
        if self.aux1 is not None or self.transform_input:
            raise ValueError(
                "GoogLeNet: with auxiliary heads or transform_input it is no sequence of stages "
                f"(aux_logits={self.aux1 is not None}, transform_input={self.transform_input})"
            )
        *body, dropout, fc = self.children()  # defined in the order in which they run
        return [*body, nn.Flatten(), dropout, fc]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> nn.LoadResult:
        """Load as Module does; a network without auxiliary heads passes over theirs."""
        if self.aux1 is None:
            heads = ("aux1.", "aux2.")
            state_dict = {k: v for k, v in state_dict.items() if not k.startswith(heads)}
        return super().load_state_dict(state_dict, strict, assign)


def _from_imagenet_statistics(x: Tensor) -> Tensor:
    """Turn pictures normalised by ImageNet's mean and deviation into (picture - 0.5) / 0.5."""
    mean = np.array([0.485, 0.456, 0.406], x.dtype).reshape(1, 3, 1, 1)
    std = np.array([0.229, 0.224, 0.225], x.dtype).reshape(1, 3, 1, 1)
    return x * (std / 0.5) + (mean - 0.5) / 0.5


def _initialize_as_caffe(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        # Caffe's "xavier" looks at the inputs only.
        bound = (3 / module.weight.data[0].size) ** 0.5
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.constant_(module.bias, 0.2)
    for name in ("fc", "fc2"):  # the classifiers themselves, after their parts
        layer = getattr(module, name, None)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _initialize_as_torchvision(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.01)


_VARIANTS = {
    "caffe": _Variant(False, 3, 5, 3, "caffe", 0.4, _initialize_as_caffe),
    "torchvision": _Variant(True, 3, 3, 2, True, 0.2, _initialize_as_torchvision),
    "slim": _Variant(True, ((2, 3), (2, 3)), 3, 2, True, 0.2, _initialize_as_torchvision),
}


@register(**dict.fromkeys(_VARIANTS, GoogLeNet.input_shape))
def googlenet(
    num_classes: int = 1000,
    aux_logits: bool = False,
    variant: str = "caffe",
    transform_input: bool = False,
    dropout: float | None = None,
    dropout_aux: float = 0.7,
) -> GoogLeNet:
    """GoogLeNet: 22 layers of weights, 6,998,552 parameters without auxiliary heads.

    Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, input (N, 3, 224, 224). With
    `aux_logits` it has the two auxiliary heads, and returns a GoogLeNetOutput in training; the
    paper adds 0.3 of their losses. "caffe" is BVLC's copy of the paper: true 5x5 convolutions with
    biases, local response normalisation, dropout of 0.4. "torchvision" (6,624,904 parameters)
    comes from TensorFlow: batch normalisation, 3x3 where the paper has 5x5, pool4 2x2, dropout of
    0.2; its published weights need `transform_input=True`, for pictures normalised by ImageNet's
    mean and deviation. "slim" is what that was made from: TensorFlow's "SAME" padding puts conv1's
    windows one pixel further to the right and down (for even picture sizes). The last pooling is
    over the whole map in all of them, so that other picture sizes work. Raises ValueError for other
    variants.
    """
    return GoogLeNet(num_classes, aux_logits, variant, transform_input, dropout, dropout_aux)
