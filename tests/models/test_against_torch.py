"""The networks rebuilt in PyTorch, from torchvision's sources and Caffe's model files.

State dicts must agree in names, order and shapes, and outputs in value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import models, nn, no_grad, use_backend
from torch_networks import Basic, Bottle, GoogLeNet, ResNet, alexnet, vgg, vgg_features
from torch_networks import randomized as drawn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.donor
T = torch.nn
F = torch.nn.functional


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
    return drawn(theirs).double()


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
