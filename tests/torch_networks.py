"""Networks rebuilt in PyTorch, from torchvision's sources and Caffe's model files."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
T = torch.nn
F = torch.nn.functional


def vgg_features(layers: int, batch_norm: bool) -> Any:
    configurations = {
        11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
        13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
        16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
        19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
    }
    parts: list[Any] = []
    channels = 3
    for item in configurations[layers].split():
        if item == "M":
            parts.append(T.MaxPool2d(kernel_size=2, stride=2))
            continue
        parts.append(T.Conv2d(channels, int(item), kernel_size=3, padding=1))
        parts += [T.BatchNorm2d(int(item))] if batch_norm else []
        parts.append(T.ReLU())
        channels = int(item)
    return T.Sequential(*parts)


class Net(T.Module):  # type: ignore[misc, name-defined]
    """features, avgpool, classifier."""

    def __init__(self, features: Any, pool: int, classifier: Any) -> None:
        super().__init__()
        self.features = features
        self.avgpool = T.AdaptiveAvgPool2d((pool, pool))
        self.classifier = classifier

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def vgg(layers: int, batch_norm: bool) -> Any:
    classifier = T.Sequential(
        T.Linear(512 * 7 * 7, 4096), T.ReLU(), T.Dropout(),
        T.Linear(4096, 4096), T.ReLU(), T.Dropout(),
        T.Linear(4096, 1000),
    )  # fmt: skip
    return Net(vgg_features(layers, batch_norm), 7, classifier)


def alexnet() -> Any:
    features = T.Sequential(
        T.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), T.ReLU(),
        T.MaxPool2d(kernel_size=3, stride=2),
        T.Conv2d(64, 192, kernel_size=5, padding=2), T.ReLU(),
        T.MaxPool2d(kernel_size=3, stride=2),
        T.Conv2d(192, 384, kernel_size=3, padding=1), T.ReLU(),
        T.Conv2d(384, 256, kernel_size=3, padding=1), T.ReLU(),
        T.Conv2d(256, 256, kernel_size=3, padding=1), T.ReLU(),
        T.MaxPool2d(kernel_size=3, stride=2),
    )  # fmt: skip
    classifier = T.Sequential(
        T.Dropout(), T.Linear(256 * 6 * 6, 4096), T.ReLU(),
        T.Dropout(), T.Linear(4096, 4096), T.ReLU(),
        T.Linear(4096, 1000),
    )  # fmt: skip
    return Net(features, 6, classifier)


class Basic(T.Module):  # type: ignore[misc, name-defined]
    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: Any, _: bool) -> None:
        super().__init__()
        self.conv1 = T.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = T.BatchNorm2d(planes)
        self.relu = T.ReLU()
        self.conv2 = T.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = T.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottle(T.Module):  # type: ignore[misc, name-defined]
    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int, downsample: Any, caffe: bool
    ) -> None:
        super().__init__()
        self.conv1 = T.Conv2d(inplanes, planes, 1, stride if caffe else 1, bias=False)
        self.bn1 = T.BatchNorm2d(planes)
        self.conv2 = T.Conv2d(planes, planes, 3, 1 if caffe else stride, 1, bias=False)
        self.bn2 = T.BatchNorm2d(planes)
        self.conv3 = T.Conv2d(planes, planes * 4, 1, bias=False)
        self.bn3 = T.BatchNorm2d(planes * 4)
        self.relu = T.ReLU()
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(T.Module):  # type: ignore[misc, name-defined]
    def __init__(self, block: Any, layers: list[int], caffe: bool = False) -> None:
        super().__init__()
        self.inplanes = 64
        self.conv1 = T.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = T.BatchNorm2d(64)
        self.relu = T.ReLU()
        self.maxpool = T.MaxPool2d(3, 2, ceil_mode=True) if caffe else T.MaxPool2d(3, 2, 1)
        self.layer1 = self.make_layer(block, 64, layers[0], 1, caffe)
        self.layer2 = self.make_layer(block, 128, layers[1], 2, caffe)
        self.layer3 = self.make_layer(block, 256, layers[2], 2, caffe)
        self.layer4 = self.make_layer(block, 512, layers[3], 2, caffe)
        self.avgpool = T.AdaptiveAvgPool2d((1, 1))
        self.fc = T.Linear(512 * block.expansion, 1000)

    def make_layer(self, block: Any, planes: int, blocks: int, stride: int, caffe: bool) -> Any:
        downsample = None
        out = planes * block.expansion
        if stride != 1 or self.inplanes != out:
            conv = T.Conv2d(self.inplanes, out, 1, stride, bias=False)
            downsample = T.Sequential(conv, T.BatchNorm2d(out))
        parts = [block(self.inplanes, planes, stride, downsample, caffe)]
        self.inplanes = out
        parts += [block(out, planes, 1, None, caffe) for _ in range(1, blocks)]
        return T.Sequential(*parts)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Conv(T.Module):  # type: ignore[misc, name-defined]
    def __init__(self, caffe: bool, channels: int, width: int, **options: Any) -> None:
        super().__init__()
        self.conv = T.Conv2d(channels, width, bias=caffe, **options)
        self.bn = None if caffe else T.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x))


class Inception(T.Module):  # type: ignore[misc, name-defined]
    def __init__(
        self, caffe: bool, channels: int,
        ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int,
    ) -> None:  # fmt: skip
        super().__init__()
        size = 5 if caffe else 3
        self.branch1 = Conv(caffe, channels, ch1x1, kernel_size=1)
        self.branch2 = T.Sequential(
            Conv(caffe, channels, ch3x3red, kernel_size=1),
            Conv(caffe, ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = T.Sequential(
            Conv(caffe, channels, ch5x5red, kernel_size=1),
            Conv(caffe, ch5x5red, ch5x5, kernel_size=size, padding=size // 2),
        )
        self.branch4 = T.Sequential(
            T.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            Conv(caffe, channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Any) -> Any:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Aux(T.Module):  # type: ignore[misc, name-defined]
    def __init__(self, caffe: bool, channels: int) -> None:
        super().__init__()
        self.conv = Conv(caffe, channels, 128, kernel_size=1)
        self.fc1 = T.Linear(2048, 1024)
        self.fc2 = T.Linear(1024, 1000)

    def forward(self, x: Any) -> Any:
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class GoogLeNet(T.Module):  # type: ignore[misc, name-defined]
    def __init__(self, caffe: bool) -> None:
        super().__init__()
        pool4 = 3 if caffe else 2
        self.conv1 = Conv(caffe, 3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = T.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = Conv(caffe, 64, 64, kernel_size=1)
        self.conv3 = Conv(caffe, 64, 192, kernel_size=3, padding=1)
        self.maxpool2 = T.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(caffe, 192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(caffe, 256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = T.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(caffe, 480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(caffe, 512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(caffe, 512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(caffe, 512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(caffe, 528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = T.MaxPool2d(pool4, stride=2, ceil_mode=True)
        self.inception5a = Inception(caffe, 832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(caffe, 832, 384, 192, 384, 48, 128, 128)
        self.aux1 = Aux(caffe, 512)
        self.aux2 = Aux(caffe, 528)
        self.avgpool = T.AdaptiveAvgPool2d((1, 1))
        self.fc = T.Linear(1024, 1000)
        self.norm = T.LocalResponseNorm(5) if caffe else T.Identity()

    def forward(self, x: Any) -> Any:
        x = self.norm(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        aux1 = self.aux1(x)
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x)
        x = self.maxpool4(self.inception4e(x))
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        return self.fc(torch.flatten(x, 1)), aux1, aux2


def randomized(theirs: Any) -> Any:
    """Weights that keep activations alive, and statistics that are not the initial ones."""
    torch.manual_seed(0)
    for module in theirs.modules():
        if isinstance(module, (T.Conv2d, T.Linear)):
            T.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                T.init.normal_(module.bias, std=0.1)
        elif isinstance(module, T.BatchNorm2d):
            T.init.normal_(module.running_mean, std=0.1)
            T.init.uniform_(module.running_var, 0.5, 1.5)
            T.init.uniform_(module.weight, 0.5, 1.0)
            T.init.normal_(module.bias, std=0.1)
    return theirs
