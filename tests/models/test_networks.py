"""The networks: published sizes, shapes on the way, variants, heads, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, no_grad, use_backend
from fastconv.models.googlenet import _VARIANTS as GOOGLENETS
from fastconv.models.googlenet import Inception
from fastconv.models.resnet import _VARIANTS as RESNETS
from fastconv.models.resnet import BasicBlock, Bottleneck
from gradients import check_network

# From the papers, Caffe's model files and torchvision's documentation.
PARAMETERS = [
    ("lenet5", {}, 61_706),
    ("lenet5", {"variant": "paper"}, 61_706),
    ("alexnet", {}, 60_965_224),
    ("alexnet", {"variant": "caffenet"}, 60_965_224),
    ("alexnet", {"variant": "torchvision"}, 61_100_840),
    ("vgg11", {}, 132_863_336),
    ("vgg13", {}, 133_047_848),
    ("vgg16", {}, 138_357_544),
    ("vgg19", {}, 143_667_240),
    ("vgg11_bn", {}, 132_868_840),
    ("vgg13_bn", {}, 133_053_736),
    ("vgg16_bn", {}, 138_365_992),
    ("vgg19_bn", {}, 143_678_248),
    ("googlenet", {}, 6_998_552),
    ("googlenet", {"aux_logits": True}, 13_378_280),
    ("googlenet", {"variant": "torchvision"}, 6_624_904),
    ("googlenet", {"variant": "torchvision", "aux_logits": True}, 13_004_888),
    ("resnet18", {}, 11_689_512),
    ("resnet34", {}, 21_797_672),
    ("resnet50", {}, 25_557_032),
    ("resnet50", {"variant": "caffe", "conv1_bias": True}, 25_557_096),
    ("resnet101", {}, 44_549_160),
    ("resnet152", {}, 60_192_808),
    ("resnet20", {}, 269_722),
    ("resnet32", {}, 464_154),
    ("resnet44", {}, 658_586),
    ("resnet56", {}, 853_018),
    ("resnet110", {}, 1_727_962),
]
# The classes they were made for, where those are not ImageNet's.
TEN_CLASSES = ("lenet5", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")


def build(name: str, **options: Any) -> nn.Module:
    with nn.init.skip_init():
        return models.get(name, **options)


def shapes_on_the_way(net: nn.Module, size: int | None = None) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda m, i, out, name=name: seen.update({name: out.shape}))
    shape = net.input_shape if size is None else (3, size, size)
    with use_backend("shapes"), no_grad():
        net.eval()(np.zeros((2, *shape), np.float32))
    return {name: shape[1:] for name, shape in seen.items()}


@pytest.mark.parametrize(("name", "options", "count"), PARAMETERS)
def test_parameters_and_outputs(name: str, options: Any, count: int) -> None:
    net = build(name, **options)
    assert sum(p.size for p in net.parameters()) == count
    classes = 10 if name in TEN_CLASSES else 1000
    assert shapes_on_the_way(net)[""] == (classes,)
    assert net.input_shape == models.input_shape(name, options.get("variant"))
    fewer = build(name, num_classes=7, **options)
    assert shapes_on_the_way(fewer)[""] == (7,)


def test_every_network_is_tested() -> None:
    assert set(models.list_models()) == {name for name, _, _ in PARAMETERS}


def test_shapes_of_alexnet() -> None:
    for variant in ("caffe", "caffenet"):
        shapes = shapes_on_the_way(build("alexnet", variant=variant))
        assert shapes["conv1"] == (96, 55, 55)
        assert shapes["pool1"] == (96, 27, 27)
        assert shapes["conv2"] == (256, 27, 27)
        assert shapes["pool2"] == (256, 13, 13)
        assert shapes["conv3"] == shapes["conv4"] == (384, 13, 13)
        assert shapes["conv5"] == (256, 13, 13)
        assert shapes["pool5"] == (256, 6, 6)
        assert shapes["fc7"] == (4096,)


def test_order_of_alexnet() -> None:
    names = {
        variant: [name for name, _ in build("alexnet", variant=variant).named_children()][:4]
        for variant in ("caffe", "caffenet")
    }
    assert names["caffe"] == ["conv1", "relu1", "norm1", "pool1"]
    assert names["caffenet"] == ["conv1", "relu1", "pool1", "norm1"]
    norm = build("alexnet").norm1
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 1.0)


@pytest.mark.parametrize("variant", ["caffe", "torchvision"])
def test_shapes_of_googlenet(variant: str) -> None:
    shapes = shapes_on_the_way(build("googlenet", variant=variant))
    # Table 1 of the paper.
    assert shapes["conv1"] == (64, 112, 112)
    assert shapes["maxpool1"] == (64, 56, 56)
    assert shapes["conv3"] == (192, 56, 56)
    assert shapes["maxpool2"] == (192, 28, 28)
    assert shapes["inception3a"] == (256, 28, 28)
    assert shapes["inception3b"] == (480, 28, 28)
    assert shapes["maxpool3"] == (480, 14, 14)
    assert shapes["inception4a"] == shapes["inception4b"] == shapes["inception4c"] == (512, 14, 14)
    assert shapes["inception4d"] == (528, 14, 14)
    assert shapes["inception4e"] == (832, 14, 14)
    assert shapes["maxpool4"] == (832, 7, 7)
    assert shapes["inception5b"] == (1024, 7, 7)
    assert shapes["avgpool"] == (1024, 1, 1)


@pytest.mark.parametrize("variant", ["caffe", "torchvision"])
def test_shapes_of_resnet(variant: str) -> None:
    for name, expansion in (("resnet18", 1), ("resnet50", 4)):
        net = build(name, variant=variant)
        shapes = shapes_on_the_way(net)
        assert shapes["conv1"] == (64, 112, 112)
        assert shapes["maxpool"] == (64, 56, 56)
        assert shapes["layer1"] == (64 * expansion, 56, 56)
        assert shapes["layer2"] == (128 * expansion, 28, 28)
        assert shapes["layer3"] == (256 * expansion, 14, 14)
        assert shapes["layer4"] == (512 * expansion, 7, 7)
    strides = (net.layer2[0].conv1.stride, net.layer2[0].conv2.stride)
    assert strides == (((2, 2), (1, 1)) if variant == "caffe" else ((1, 1), (2, 2)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet5", {}),
        ("alexnet", {}),
        ("alexnet", {"variant": "torchvision"}),
        ("vgg11_bn", {}),
        ("googlenet", {}),
        ("googlenet", {"variant": "torchvision"}),
        ("resnet18", {}),
        ("resnet20", {}),
    ],
)
def test_stages_are_what_forward_runs(name: str, options: Any) -> None:
    net = build(name, **options).eval()
    order: list[nn.Module] = []
    for module in net.modules():
        if module is not net:
            module.register_forward_hook(lambda m, inputs, out: order.append(m))
    x = np.zeros((1, *net.input_shape), np.float32)
    with use_backend("shapes"), no_grad():
        net(x)
        called, order[:] = list(order), []
        for stage in net.stages():
            x = stage(x)
    assert called == [m for m in order if m in called]
    assert [type(m) for m in order if m not in called] in ([], [nn.Flatten])
    assert x.shape == (1, 10 if name in TEN_CLASSES else 1000)


def test_googlenet_with_heads_is_no_sequence() -> None:
    for options in ({"aux_logits": True}, {"transform_input": True}):
        with pytest.raises(ValueError, match=r"GoogLeNet: .* no sequence of stages \(aux_logits="):
            build("googlenet", **options).stages()


@pytest.mark.parametrize("size", [192, 256])
def test_other_picture_sizes(size: int) -> None:
    for name in ("vgg11", "googlenet", "resnet18"):
        assert shapes_on_the_way(build(name), size)[""] == (1000,)


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "googlenet", "resnet18"])
def test_unknown_variants_list_the_known_ones(name: str) -> None:
    known = models.variants(name)
    message = ".*".join([f"{name}: variant must be one of", *known, r"\(variant='2012'\)"])
    with pytest.raises(ValueError, match=message):
        models.get(name, variant="2012")
    with pytest.raises(ValueError, match=r"input_shape: variant must be one of"):
        models.input_shape(name, "2012")


def test_registry() -> None:
    assert "resnet50" in models.list_models()
    assert models.input_shape("alexnet") == (3, 227, 227)
    assert models.input_shape("alexnet", "torchvision") == (3, 224, 224)
    assert models.variants("vgg16") == ["default"]
    with pytest.raises(ValueError, match=r"get: name must be one of .*vgg16.* \(name='vgg17'\)"):
        models.get("vgg17")
    with pytest.raises(TypeError, match="classes"):
        models.get("vgg16", classes=3)
    with pytest.raises(ValueError, match=r"VGG: layers must be one of .* \(layers=12\)"):
        models.VGG(12)
    with pytest.raises(ValueError, match=r"ResNet: layers must be one of .* \(layers=12\)"):
        models.ResNet(12)


@pytest.mark.parametrize("variant", ["caffe", "torchvision"])
def test_auxiliary_heads_are_returned_by_name_in_training(variant: str) -> None:
    net = build("googlenet", num_classes=5, aux_logits=True, variant=variant)
    x = np.zeros((2, 3, 224, 224), np.float32)
    with use_backend("shapes"), no_grad():
        out = net(x)
        assert isinstance(out, models.GoogLeNetOutput)
        assert out.logits.shape == out.aux1.shape == out.aux2.shape == (2, 5)
        assert net.eval()(x).shape == (2, 5)
        assert build("googlenet", variant=variant)(x).shape == (2, 1000)


def test_googlenet_without_heads_passes_over_theirs() -> None:
    net = build("googlenet", variant="torchvision")
    state = build("googlenet", variant="torchvision", aux_logits=True).state_dict()
    assert any(key.startswith("aux1.") for key in state)
    net.load_state_dict(state)
    with pytest.raises(ValueError, match=r"missing: aux1.conv.conv.weight"):
        build("googlenet", variant="torchvision", aux_logits=True).load_state_dict(net.state_dict())
    with pytest.raises(ValueError, match=r"unexpected: aux3"):
        net.load_state_dict({**state, "aux3": np.zeros(1)})


def test_transformed_input() -> None:
    net = build("googlenet", variant="torchvision", transform_input=True)
    picture = np.random.default_rng(0).random((1, 3, 32, 32))
    mean = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    seen: list[Any] = []
    net.conv1.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0].data))
    with use_backend("shapes"), no_grad():
        net.astype(np.float64).eval()((picture - mean) / std)
    np.testing.assert_allclose(seen[0], (picture - 0.5) / 0.5, atol=1e-12)


def test_initialisation() -> None:
    fastconv.manual_seed(0)
    net = models.resnet18()
    weight = net.layer1[0].conv1.weight.data
    assert weight.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert (net.bn1.weight.data == 1).all() and not net.bn1.bias.data.any()
    bound = 1 / 512**0.5
    assert 0.99 * bound < np.abs(net.fc.weight.data).max() <= bound

    net = models.googlenet(aux_logits=True)
    assert (net.conv1.conv.bias.data == np.float32(0.2)).all()
    assert (net.aux1.fc1.bias.data == np.float32(0.2)).all()
    assert not net.aux1.fc2.bias.data.any() and not net.fc.bias.data.any()
    bound = (3 / 1024) ** 0.5
    assert 0.99 * bound < np.abs(net.fc.weight.data).max() <= bound * (1 + 1e-6)

    net = models.lenet5(variant="paper")
    assert 0.16 < np.abs(net.conv1.weight.data).max() <= np.sqrt(6 / (25 + 150)) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("variant", "bias"),
    [("caffe", 0.1), pytest.param("caffenet", 1.0, marks=pytest.mark.slow)],
)
def test_initialisation_of_alexnet(variant: str, bias: float) -> None:
    fastconv.manual_seed(0)
    net = models.alexnet(num_classes=10, variant=variant)
    assert net.conv1.weight.data.std() == pytest.approx(0.01, rel=0.05)
    assert net.fc7.weight.data.std() == pytest.approx(0.005, rel=0.05)
    assert not net.conv1.bias.data.any()
    assert (net.conv2.bias.data == np.float32(bias)).all()


LABELS = np.array([2, 0])


def loss_of(logits: Any) -> Any:
    return nn.CrossEntropyLoss()(logits, LABELS)


@pytest.mark.parametrize("variant", ["modern", "paper"])
def test_gradients_of_lenet(variant: str) -> None:
    fastconv.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28))
    check_network(models.lenet5(variant=variant), x, loss_of)


@pytest.mark.parametrize("variant", ["torchvision", "caffe"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_gradients_of_residual_blocks(block: Any, variant: str) -> None:
    fastconv.manual_seed(0)
    options = RESNETS[variant]
    width = 2 * block.expansion
    downsample = nn.Sequential(nn.Conv2d(3, width, 1, 2, bias=False), nn.BatchNorm2d(width))
    net = nn.Sequential(
        block(3, 2, 2, downsample, options),
        block(width, 2, 1, None, options),
        nn.Flatten(),
    )
    x = np.random.default_rng(0).standard_normal((3, 3, 5, 5))
    check_network(net, x, lambda y: (y * y).sum())


@pytest.mark.parametrize("variant", ["torchvision", "caffe"])
def test_gradients_of_inception(variant: str) -> None:
    fastconv.manual_seed(0)
    net = Inception(GOOGLENETS[variant], 4, (2, 3, 4, 2, 3, 2))
    assert net.out_channels == 11
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 5))
    check_network(net, x, lambda y: (y * y).sum())
