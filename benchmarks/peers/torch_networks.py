"""The networks in plain torch.nn, with fastconv's state dicts, so that weights copy across."""

# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call, unused-ignore"
from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["LocalResponseNorm", "build"]


class _OnnxLrn(torch.autograd.Function):
    """Exports as ONNX's LRN: torch would spell it out as a pooling over a fifth axis."""

    @staticmethod
    def forward(ctx: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(g: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return g.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k)


class LocalResponseNorm(nn.LocalResponseNorm):
    def forward(self, x: Any) -> Any:
        if torch.onnx.is_in_onnx_export():
            return _OnnxLrn.apply(x, self.size, self.alpha, self.beta, self.k)
        return super().forward(x)


def _named(**layers: nn.Module) -> nn.Sequential:
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


def lenet5(variant: str) -> nn.Module:
    activation, pool = (nn.Tanh, nn.AvgPool2d) if variant == "paper" else (nn.ReLU, nn.MaxPool2d)
    return _named(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        act1=activation(),
        pool1=pool(2),
        conv2=nn.Conv2d(6, 16, 5),
        act2=activation(),
        pool2=pool(2),
        conv3=nn.Conv2d(16, 120, 5),
        act3=activation(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(120, 84),
        act4=activation(),
        fc2=nn.Linear(84, 10),
    )


def alexnet(variant: str) -> nn.Module:
    """Caffe's variant; windows of 3 at stride 2 without padding round up alike in both."""
    if variant != "caffe":
        raise ValueError(f"torch networks: alexnet has one variant here (variant={variant!r})")
    return _named(
        conv1=nn.Conv2d(3, 96, 11, stride=4),
        relu1=nn.ReLU(),
        norm1=LocalResponseNorm(5),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
        relu2=nn.ReLU(),
        norm2=LocalResponseNorm(5),
        pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv3=nn.Conv2d(256, 384, 3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
        flatten=nn.Flatten(),
        fc6=nn.Linear(9216, 4096),
        relu6=nn.ReLU(),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        fc8=nn.Linear(4096, 1000),
    )


_VGG = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


class Vgg(nn.Module):
    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, depth in zip((64, 128, 256, 512, 512), depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(25088, 4096),
            nn.ReLU(),
            nn.Identity(),  # where dropout is
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Identity(),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.features(x), 1))


class ConvBlock(nn.Module):
    """GoogLeNet's convolution, batch norm if it has one, ReLU."""

    def __init__(self, norm: bool, channels: int, width: int, **window: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, bias=not norm, **window)
        self.bn = nn.BatchNorm2d(width, eps=0.001) if norm else nn.Identity()

    def forward(self, x: Any) -> Any:
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, norm: bool, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        width1, reduce2, width2, reduce3, width3, width4 = widths
        kernel = 3 if norm else 5
        self.branch1 = ConvBlock(norm, channels, width1, kernel_size=1)
        self.branch2 = nn.Sequential(
            ConvBlock(norm, channels, reduce2, kernel_size=1),
            ConvBlock(norm, reduce2, width2, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            ConvBlock(norm, channels, reduce3, kernel_size=1),
            ConvBlock(norm, reduce3, width3, kernel_size=kernel, padding=kernel // 2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, padding=1), ConvBlock(norm, channels, width4, kernel_size=1)
        )

    def forward(self, x: Any) -> Any:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], 1)


_INCEPTIONS = {
    "3a": (192, (64, 96, 128, 16, 32, 32)),
    "3b": (256, (128, 128, 192, 32, 96, 64)),
    "4a": (480, (192, 96, 208, 16, 48, 64)),
    "4b": (512, (160, 112, 224, 24, 64, 64)),
    "4c": (512, (128, 128, 256, 24, 64, 64)),
    "4d": (512, (112, 144, 288, 32, 64, 64)),
    "4e": (528, (256, 160, 320, 32, 128, 128)),
    "5a": (832, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (384, 192, 384, 48, 128, 128)),
}


def googlenet(variant: str) -> nn.Module:
    """Without auxiliary heads; "torchvision" has batch norms, 3x3 for 5x5 and pool4 2x2."""
    norm = variant == "torchvision"

    def lrn() -> nn.Module:
        return nn.Identity() if norm else LocalResponseNorm(5)

    def pool(kernel: int = 3) -> nn.Module:
        return nn.MaxPool2d(kernel, 2, ceil_mode=True)

    net = _named(
        conv1=ConvBlock(norm, 3, 64, kernel_size=7, stride=2, padding=3),
        maxpool1=pool(),
        norm1=lrn(),
        conv2=ConvBlock(norm, 64, 64, kernel_size=1),
        conv3=ConvBlock(norm, 64, 192, kernel_size=3, padding=1),
        norm2=lrn(),
        maxpool2=pool(),
    )
    pools = {"3b": ("maxpool3", pool()), "4e": ("maxpool4", pool(2 if norm else 3))}
    for name, (channels, widths) in _INCEPTIONS.items():
        net.add_module(f"inception{name}", Inception(norm, channels, widths))
        if name in pools:
            net.add_module(*pools[name])
    net.add_module("avgpool", nn.AdaptiveAvgPool2d((1, 1)))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(1024, 1000))
    return net


class Block(nn.Module):
    """ResNet's basic block or bottleneck, of torchvision's variant."""

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = width * 4 if bottleneck else width
        # kernel, stride, outputs
        convs = (
            ((1, 1, width), (3, stride, width), (1, 1, out))
            if bottleneck
            else ((3, stride, width), (3, 1, width))
        )
        self.depth = len(convs)
        inputs = channels
        for i, (kernel, step, outputs) in enumerate(convs, 1):
            conv = nn.Conv2d(inputs, outputs, kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", nn.BatchNorm2d(outputs))
            inputs = outputs
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Any) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            x = torch.relu(x + identity if i == self.depth else x)
        return x


_RESNET = {
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}


def resnet(name: str, variant: str) -> nn.Module:
    if variant != "torchvision":
        raise ValueError(f"torch networks: {name} has one variant here (variant={variant!r})")
    bottleneck, depths = _RESNET[name]
    net = _named(
        conv1=nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, padding=1),
    )
    channels = 64
    for i, depth in enumerate(depths):
        stage, width = nn.Sequential(), 64 << i
        for j in range(depth):
            stage.append(Block(channels, width, 2 if i and not j else 1, bottleneck))
            channels = width * 4 if bottleneck else width
        net.add_module(f"layer{i + 1}", stage)
    net.add_module("avgpool", nn.AdaptiveAvgPool2d((1, 1)))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(channels, 1000))
    return net


def build(name: str, variant: str) -> nn.Module:
    """A network by fastconv's name; ValueError for what is not written down here."""
    if name == "lenet5":
        return lenet5(variant)
    if name == "alexnet":
        return alexnet(variant)
    if name == "googlenet":
        return googlenet(variant)
    if name in _VGG:
        return Vgg(_VGG[name])
    if name in _RESNET:
        return resnet(name, variant)
    raise ValueError(f"torch networks: name is not known here (name={name!r})")
