"""The networks rebuilt in PyTorch, from torchvision's sources and Caffe's model files.

State dicts must agree in names, order and shapes, and outputs in value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import models, nn, no_grad, use_backend

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


def names_and_shapes(state: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(value.shape)) for name, value in state.items()]


@pytest.mark.parametrize(
    ("name", "options", "twin"),
    [
        ("alexnet", {"variant": "torchvision"}, alexnet),
        ("vgg11", {}, lambda: vgg(11, False)),
        ("vgg13", {}, lambda: vgg(13, False)),
        ("vgg16", {}, lambda: vgg(16, False)),
        ("vgg19", {}, lambda: vgg(19, False)),
        ("vgg16_bn", {}, lambda: vgg(16, True)),
        ("vgg19_bn", {}, lambda: vgg(19, True)),
        ("googlenet", {"variant": "torchvision", "aux_logits": True}, lambda: GoogLeNet(False)),
        ("resnet18", {}, lambda: ResNet(Basic, [2, 2, 2, 2])),
        ("resnet34", {}, lambda: ResNet(Basic, [3, 4, 6, 3])),
        ("resnet50", {}, lambda: ResNet(Bottle, [3, 4, 6, 3])),
        ("resnet101", {}, lambda: ResNet(Bottle, [3, 4, 23, 3])),
        ("resnet152", {}, lambda: ResNet(Bottle, [3, 8, 36, 3])),
    ],
)
def test_state_dicts_are_torchvisions(name: str, options: Any, twin: Any) -> None:
    with nn.init.skip_init(), torch.device("meta"):
        ours, theirs = models.get(name, **options), twin()
    assert names_and_shapes(ours.state_dict()) == names_and_shapes(theirs.state_dict())
    ours_named = [name for name, _ in ours.named_parameters()]
    assert ours_named == [name for name, _ in theirs.named_parameters()]


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
    return theirs.double()


def compare(ours: nn.Module, theirs: Any, size: int) -> None:
    ours.astype(np.float64).eval()
    theirs.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, size, size))
    with use_backend("reference"), no_grad(), torch.no_grad():
        close(ours(x).data, theirs(torch.tensor(x)))


def close(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert np.ptp(theirs) > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9 * np.abs(theirs).max())


def loaded(name: str, theirs: Any, **options: Any) -> nn.Module:
    with nn.init.skip_init():
        ours = models.get(name, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours


@pytest.mark.parametrize("caffe", [False, True])
def test_resnets_compute_the_same(caffe: bool) -> None:
    variant = "caffe" if caffe else "torchvision"
    theirs = randomized(ResNet(Bottle, [3, 4, 6, 3], caffe))
    compare(loaded("resnet50", theirs, variant=variant), theirs, 40)


def test_vgg_computes_the_same() -> None:
    theirs = randomized(vgg_features(11, True))
    with nn.init.skip_init():
        ours = models.vgg11_bn().features
    ours.load_state_dict(theirs.state_dict())
    compare(ours, theirs, 32)


def test_alexnets_compute_the_same() -> None:
    theirs = randomized(alexnet().features)
    with nn.init.skip_init():
        ours = models.alexnet(variant="torchvision").features
    ours.load_state_dict(theirs.state_dict())
    compare(ours, theirs, 96)

    for norm_first in (True, False):
        norm_and_pool = [T.LocalResponseNorm(5, 1e-4, 0.75, 1.0), T.MaxPool2d(3, 2, ceil_mode=True)]
        if not norm_first:
            norm_and_pool.reverse()
        theirs = T.Sequential(
            T.Conv2d(3, 96, 11, 4), T.ReLU(), *norm_and_pool,
            T.Conv2d(96, 256, 5, 1, 2, groups=2), T.ReLU(), *norm_and_pool,
            T.Conv2d(256, 384, 3, 1, 1), T.ReLU(),
            T.Conv2d(384, 384, 3, 1, 1, groups=2), T.ReLU(),
            T.Conv2d(384, 256, 3, 1, 1, groups=2), T.ReLU(),
            T.MaxPool2d(3, 2, ceil_mode=True),
        )  # fmt: skip
        theirs = randomized(theirs)
        with nn.init.skip_init():
            ours = models.alexnet(variant="caffe" if norm_first else "caffenet")[:15]
        values = list(theirs.state_dict().values())
        ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
        compare(ours, theirs, 83)


@pytest.mark.parametrize("caffe", [False, True])
def test_googlenets_compute_the_same(caffe: bool) -> None:
    theirs = randomized(GoogLeNet(caffe))
    variant = "caffe" if caffe else "torchvision"
    ours = loaded("googlenet", theirs, variant=variant, aux_logits=True)
    ours.astype(np.float64).eval()
    theirs.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 48, 48))
    with use_backend("reference"), no_grad(), torch.no_grad():
        logits, aux1, aux2 = theirs(torch.tensor(x))
        close(ours(x).data, logits)
        if caffe:
            return  # its heads pool maps of 14x14, of pictures of 224x224
    ours = models.googlenet(variant=variant, aux_logits=True, dropout=0.0, dropout_aux=0.0)
    ours.load_state_dict(theirs.state_dict())
    ours.astype(np.float64)
    theirs.train()
    with use_backend("reference"), no_grad(), torch.no_grad():
        logits, aux1, aux2 = theirs(torch.tensor(x))
        out = ours(x)
    close(out.logits.data, logits)
    close(out.aux1.data, aux1)
    close(out.aux2.data, aux2)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-8, atol=1e-9)


def test_a_training_step_of_resnet_has_the_same_gradients() -> None:
    theirs = randomized(ResNet(Basic, [2, 2, 2, 2]))
    ours = loaded("resnet18", theirs).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((3, 3, 32, 32))
    labels = np.array([3, 1, 999])
    with use_backend("reference"):
        loss = nn.CrossEntropyLoss()(ours(x), labels)
        loss.backward()
    expected = F.cross_entropy(theirs.train()(torch.tensor(x)), torch.tensor(labels))
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-9)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = other.grad.abs().max().item()
        np.testing.assert_allclose(
            mine.grad, other.grad.numpy(), rtol=1e-6, atol=1e-8 * scale, err_msg=name
        )
