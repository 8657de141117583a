"""All networks, compiled, against the same networks run layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from compiler.networks import assert_agree, check, layered, pictures, randomise
from fastconv import models, nn
from threads import assert_same_bits

EVERY = [
    (name, {} if variant == "default" else {"variant": variant})
    for name in models.list_models()
    for variant in models.variants(name)
]
FULL_SIZE: list[tuple[str, dict[str, Any]]] = [
    ("alexnet", {}),
    ("alexnet", {"variant": "caffenet"}),
    ("vgg16", {}),
    ("googlenet", {}),
    ("googlenet", {"variant": "torchvision", "transform_input": True}),
    ("resnet18", {}),
    ("resnet50", {}),
    ("resnet50", {"variant": "caffe", "conv1_bias": True}),
    ("resnet152", {}),
]


def build(name: str, options: dict[str, Any]) -> nn.Module:
    with nn.init.skip_init():
        return randomise(models.get(name, **options))


def named(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


@pytest.mark.parametrize("name, options", EVERY, ids=named)
def test_small_pictures(name: str, options: dict[str, Any]) -> None:
    net = build(name, options)
    side = {"lenet5": 28, "alexnet": 67}.get(name, 48)
    x = pictures(2, net.input_shape[0], side, side + (name != "lenet5"))
    if options.get("variant") in ("caffe", "caffenet") and name == "alexnet":
        x = pictures(1, 3, 227, 227)  # its linear layers take one size only
    compiled = fastconv.compile(net, x.shape, winograd=False)
    assert_agree(compiled(x), layered(net, x))


@pytest.mark.parametrize("name, options", FULL_SIZE, ids=named)
def test_full_size(name: str, options: dict[str, Any]) -> None:
    net = build(name, options)
    x = pictures(1, *net.input_shape)
    expected = layered(net, x)
    assert_agree(fastconv.compile(net, winograd=False)(x), expected)
    assert_agree(fastconv.compile(net)(x), expected, 1e-4)


@pytest.mark.parametrize("variant", models.variants("lenet5"))
def test_lenet_is_its_twin(variant: str) -> None:
    check(models.lenet5(variant=variant), (3, 1, 28, 28))


@pytest.mark.parametrize(
    "name, shape",
    [("lenet5", (1, 1, 28, 28)), ("googlenet", (2, 3, 64, 65)), ("resnet18", (2, 3, 64, 65))],
)
def test_same_bits_at_any_thread_count(name: str, shape: tuple[int, ...]) -> None:
    compiled = fastconv.compile(build(name, {}), shape)
    x = pictures(*shape)
    first = compiled(x)
    assert_same_bits(lambda: compiled(x))
    np.testing.assert_array_equal(compiled(x), first)


def test_every_instruction_set(every_isa: str) -> None:
    net = build("resnet18", {})
    x = pictures(1, 3, 64, 64)
    assert_agree(fastconv.compile(net, x.shape)(x), layered(net, x), 1e-4)
