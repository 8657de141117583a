"""Transforms against their formulas, written apart; arrays and lists alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastconv.data import (
    CenterCrop,
    ColorJitter,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
)

BATCH = np.random.default_rng(0).integers(0, 256, (40, 9, 11, 3), dtype=np.uint8)
FLOATS = BATCH.transpose(0, 3, 1, 2).astype(np.float32)
# Sizes that differ: every second picture is one line and two columns larger.
MIXED = [np.pad(one, ((0, i % 2), (0, i % 2 * 2), (0, 0)), "edge") for i, one in enumerate(BATCH)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def needs_pillow() -> Any:
    return pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: data)")


def places(picture: np.ndarray, part: np.ndarray, padding: int = 0) -> list[tuple[int, int]]:
    """Where `part` (H, W, C) lies in `picture` surrounded by zeros."""
    padded = np.pad(picture, ((padding, padding), (padding, padding), (0, 0)))
    height, width = part.shape[:2]
    return [
        (i, j)
        for i in range(padded.shape[0] - height + 1)
        for j in range(padded.shape[1] - width + 1)
        if np.array_equal(padded[i : i + height, j : j + width], part)
    ]


@pytest.mark.parametrize("size", [9, (5, 8)])
@pytest.mark.parametrize("padding", [0, 2])
def test_random_crop(size: int | tuple[int, int], padding: int) -> None:
    crop = RandomCrop(size, padding)
    height, width = (size, size) if isinstance(size, int) else size
    got = crop(BATCH, rng())
    assert isinstance(got, np.ndarray)
    assert (got.shape, got.dtype) == ((40, height, width, 3), np.uint8)
    seen = set()
    for picture, part in zip(BATCH, got, strict=True):
        (place,) = places(picture, part, padding)
        seen.add(place)
    ways = (9 + 2 * padding - height + 1) * (11 + 2 * padding - width + 1)
    assert len(seen) > min(ways, 40) / 2
    np.testing.assert_array_equal(crop(FLOATS, rng()), got.transpose(0, 3, 1, 2))
    mixed = crop(MIXED, rng())
    assert isinstance(mixed, np.ndarray)
    for picture, part in zip(MIXED, mixed, strict=True):
        assert places(picture, part, padding)


@pytest.mark.parametrize(
    ("size", "top", "left"), [(5, 2, 3), ((9, 11), 0, 0), ((4, 4), 2, 4), ((6, 6), 2, 2)]
)
def test_center_crop(size: int | tuple[int, int], top: int, left: int) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    wanted = BATCH[:, top : top + height, left : left + width]
    np.testing.assert_array_equal(CenterCrop(size)(BATCH), wanted)
    np.testing.assert_array_equal(CenterCrop(size)(FLOATS), wanted.transpose(0, 3, 1, 2))
    got = CenterCrop(size)(MIXED)
    np.testing.assert_array_equal(got[::2], wanted[::2])


def test_flip() -> None:
    for p in (0.0, 1.0):
        wanted = BATCH[:, :, ::-1] if p else BATCH
        np.testing.assert_array_equal(RandomHorizontalFlip(p)(BATCH, rng()), wanted)
        got = RandomHorizontalFlip(p)(FLOATS, rng())
        np.testing.assert_array_equal(got, wanted.transpose(0, 3, 1, 2))
    before = BATCH.copy()
    got = RandomHorizontalFlip()(BATCH, rng())
    np.testing.assert_array_equal(BATCH, before)
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(got, BATCH, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(got, BATCH, strict=True)]
    assert flipped == [not one for one in same]
    assert 10 < sum(flipped) < 30
    mixed = RandomHorizontalFlip()(MIXED, rng())
    for one, picture, turn in zip(mixed, MIXED, flipped, strict=True):
        np.testing.assert_array_equal(one, picture[:, ::-1] if turn else picture)


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_normalize() -> None:
    wanted = (BATCH.astype(np.float64) / 255 - MEAN) / STD
    got = Normalize(MEAN, STD)(BATCH)
    assert (got.dtype, got.shape) == (np.float32, (40, 3, 9, 11))
    assert got.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), wanted, rtol=1e-5, atol=1e-6)
    from_floats = Normalize(MEAN, STD)(FLOATS / np.float32(255))
    np.testing.assert_allclose(from_floats, got, rtol=1e-5, atol=1e-6)
    one = Normalize((0.5,), (0.25,))(BATCH[::2, 1:, ::-1, :1])  # a view without order
    np.testing.assert_allclose(
        one[:, 0], (BATCH[::2, 1:, ::-1, 0] / 255.0 - 0.5) / 0.25, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("size", [5, 13, (4, 15)])
@pytest.mark.parametrize("how", ["bilinear", "nearest", "bicubic", "lanczos"])
def test_resize(size: int | tuple[int, int], how: str) -> None:
    image = needs_pillow()
    got = Resize(size, how)(MIXED)
    for picture, scaled in zip(MIXED, got, strict=True):
        height, width = picture.shape[:2]
        if isinstance(size, int):
            height, width = size, int(size * width / height)  # all of them lie
        else:
            height, width = size
        wanted = image.fromarray(picture).resize((width, height), image.Resampling[how.upper()])
        np.testing.assert_array_equal(scaled, np.asarray(wanted))
    standing = BATCH.transpose(0, 2, 1, 3)
    if isinstance(size, int):
        assert Resize(size)(standing).shape == (40, int(size * 11 / 9), size, 3)


@pytest.mark.donor
def test_resize_against_torch() -> None:
    needs_pillow()
    torch = pytest.importorskip("torch")
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(FLOATS), (5, 6), mode="bilinear", antialias=True
    )
    got = Resize((5, 6))(BATCH).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.abs(got - wanted.numpy()).max() <= 1  # Pillow rounds after each axis


def test_random_resized_crop_draws_as_the_paper_says() -> None:
    crop = RandomResizedCrop(8, (0.2, 0.6), (0.5, 2.0))
    generator = rng()
    parts = np.array([crop._part(300, 400, generator) for _ in range(2000)])
    top, left, height, width = parts.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 300).all() and (left + width <= 400).all()
    area, ratio = height * width / (300 * 400), width / height
    assert 0.195 < area.min() < 0.21 and 0.5 < area.max() < 0.605
    assert 0.49 < ratio.min() < 0.53 and 1.9 < ratio.max() < 2.02
    # Parts that reach out are drawn again, which are the flat and upright ones of large area.
    small = area < 0.4
    assert abs(np.log(ratio[small]).mean()) < 0.05
    assert abs(np.log(ratio[small]).std() - 2 * math.log(2) / math.sqrt(12)) < 0.03
    assert len(set(top.tolist())) > 100 and len(set(left.tolist())) > 100


@pytest.mark.parametrize(
    ("height", "width", "part"),
    [
        (10, 100, (0, 43, 10, 13)),  # wide: 4/3 of its height, from the middle
        (100, 10, (43, 0, 13, 10)),
        (1, 3000, (0, 1499, 1, 1)),
    ],
)
def test_random_resized_crop_falls_back(
    height: int, width: int, part: tuple[int, int, int, int]
) -> None:
    assert RandomResizedCrop(8, (1.0, 1.0))._part(height, width, rng()) == part


def test_random_resized_crop_scales_what_it_cuts() -> None:
    image = needs_pillow()
    crop = RandomResizedCrop((6, 7), (0.3, 1.0))
    for pictures in (BATCH, MIXED):
        got = crop(pictures, rng(3))
        assert got.shape == (40, 6, 7, 3)
        generator = rng(3)
        for picture, scaled in zip(pictures, got, strict=True):
            top, left, height, width = crop._part(*picture.shape[:2], generator)
            part = image.fromarray(picture).crop((left, top, left + width, top + height))
            wanted = part.resize((7, 6), image.Resampling.BILINEAR)
            np.testing.assert_array_equal(scaled, np.asarray(wanted))


def grey(x: np.ndarray) -> np.ndarray:
    return (x * (0.2989, 0.587, 0.114)).sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("arguments", "formula"),
    [
        ((0.5, 0, 0), lambda x, f: x * f),
        ((0, 0.5, 0), lambda x, f: f * x + (1 - f) * grey(x).mean()),
        ((0, 0, 0.5), lambda x, f: f * x + (1 - f) * grey(x)),
    ],
)
def test_jitter_one_by_one(
    arguments: tuple[float, float, float], formula: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    which = int(np.argmax(arguments))
    for factor in (0.5, 1.25, 2.0):
        limits = [(factor, factor) if i == which else (1.0, 1.0) for i in range(3)]
        got = ColorJitter(*limits)(BATCH, rng())
        for picture, changed in zip(BATCH, got, strict=True):
            wanted = np.clip(formula(picture.astype(np.float64), factor), 0, 255)
            assert np.abs(changed - wanted).max() < 0.501
    got = ColorJitter(*arguments)(BATCH, rng())
    assert len({one.tobytes() for one in got}) == 40
    first = BATCH[0].astype(np.float64)
    tried = np.linspace(0.5, 1.5, 2001)
    distances = [np.abs(np.clip(formula(first, f), 0, 255) - got[0]).max() for f in tried]
    assert min(distances) < 0.7  # some factor between the limits makes it


def test_jitter_in_order() -> None:
    jitter = ColorJitter((0.8, 0.8), (1.5, 1.5), (0.4, 0.4))
    orders = set()
    for seed in range(30):
        got = jitter(BATCH[:2], rng(seed))[0]
        order = rng(seed).permutation(3)
        x = BATCH[0].astype(np.float64)
        for which in order:
            if which == 0:
                x = x * 0.8
            else:
                base = grey(x).mean() if which == 1 else grey(x)
                factor = (1.5, 0.4)[which - 1]
                x = factor * x + (1 - factor) * base
            x = np.clip(x, 0, 255)
        assert np.abs(got - x).max() < 0.51
        orders.add(tuple(order.tolist()))
    assert len(orders) == 6


def test_jitter_lists_and_large_batches_alike() -> None:
    jitter = ColorJitter(0.4, 0.4, 0.4)
    large = np.tile(BATCH[:4], (1, 20, 20, 1))  # more than is done together
    got = jitter(large, rng())
    listed = jitter([*large, large[0, :5]], rng())
    assert isinstance(listed, list)
    for one, other in zip(listed[:4], got, strict=True):
        np.testing.assert_array_equal(one, other)
    generator = rng()
    generator.permutation(3)
    factors = generator.uniform(0.6, 1.4, (4, 3))
    for place in range(4):
        alone = ColorJitter(*((f, f) for f in factors[place]))
        np.testing.assert_array_equal(alone(large[place : place + 1], rng())[0], got[place])
    assert (ColorJitter()(BATCH, rng()) == BATCH).all()
    assert ColorJitter(0.5, 0.5, 0.5)(BATCH[..., :1], rng()).shape == (40, 9, 11, 1)


def test_compose() -> None:
    steps = [RandomCrop(8, 1), RandomHorizontalFlip(), Normalize(MEAN, STD)]
    got = Compose(steps)(BATCH, rng())
    generator, x = rng(), BATCH
    for step in steps:
        x = step(x, generator)
    np.testing.assert_array_equal(got, x)
    assert Compose([CenterCrop(4), Normalize(MEAN, STD)])(MIXED).shape == (40, 3, 4, 4)
    assert repr(Compose([CenterCrop(4)])) == "Compose(transforms=[CenterCrop(size=4)])"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Compose([3]), TypeError, r"Compose: .*\(type=int\)"),  # type: ignore[list-item]
        (lambda: CenterCrop(0), ValueError, r"CenterCrop: .*\(size=0\)"),
        (lambda: RandomCrop((3, 0)), ValueError, r"RandomCrop: .*\(size=\(3, 0\)\)"),
        (lambda: RandomCrop(3, -1), ValueError, r"RandomCrop: .*\(padding=-1\)"),
        (lambda: Resize(2.5), TypeError, r"Resize: .*\(size=2.5\)"),  # type: ignore[arg-type]
        (lambda: Resize(4, "cubic"), ValueError, r"Resize: .*\(interpolation='cubic'\)"),
        (lambda: RandomResizedCrop(4, (0, 1)), ValueError, r"\(scale=\(0, 1\)\)"),
        (lambda: RandomResizedCrop(4, ratio=(2, 1)), ValueError, r"\(ratio=\(2, 1\)\)"),
        (lambda: RandomHorizontalFlip(1.5), ValueError, r"Flip: .*\(p=1.5\)"),
        (lambda: ColorJitter(-0.1), ValueError, r"ColorJitter: brightness .*\(brightness=-0.1\)"),
        (lambda: ColorJitter(0, (2, 1)), ValueError, r"contrast .*\(contrast=\(2, 1\)\)"),
        (lambda: Normalize(MEAN, STD[:2]), ValueError, r"Normalize: .*one value per channel"),
        (
            lambda: Normalize(MEAN, (1, 0, 1)),
            ValueError,
            r"std must be positive \(std=\(1, 0, 1\)\)",
        ),
        # Things of other kinds than a transform's arguments have.
        (lambda: RandomCrop(3, 1.5), TypeError, r"RandomCrop: padding .*\(padding=1.5\)"),  # type: ignore[arg-type]
        (lambda: RandomResizedCrop(4, 1), TypeError, r"scale must be a sequence .*\(scale=1\)"),  # type: ignore[arg-type]
        (lambda: RandomHorizontalFlip("a"), TypeError, r"p must be a number \(p='a'\)"),  # type: ignore[arg-type]
        (lambda: ColorJitter("a"), TypeError, r"brightness must be a number"),  # type: ignore[arg-type]
        (lambda: ColorJitter((1, 2, 3)), ValueError, r"brightness must be 2 numbers"),  # type: ignore[arg-type]
        (lambda: Normalize(0.5, 0.5), TypeError, r"mean must be a sequence .*\(mean=0.5\)"),  # type: ignore[arg-type]
        (lambda: Normalize((), ()), ValueError, r"mean must have at least one number"),
    ],
)
def test_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


EVERY = [
    CenterCrop(4),
    RandomCrop(4),
    RandomHorizontalFlip(),
    Resize(4),
    RandomResizedCrop(4),
    ColorJitter(0.5),
    Normalize(MEAN, STD),
]


@pytest.mark.parametrize("transform", EVERY, ids=lambda one: type(one).__name__)
def test_what_is_no_batch_of_pictures(transform: Callable[..., Any]) -> None:
    name = type(transform).__name__
    with pytest.raises(TypeError, match=rf"{name}: .*\(dtype=float64\)"):
        transform(FLOATS.astype(np.float64), rng())
    with pytest.raises(ValueError, match=rf"{name}: .*\(shape=\(9, 11, 3\)\)"):
        transform(BATCH[0], rng())
    with pytest.raises(TypeError, match=rf"{name}: .*\(type=str\)"):
        transform("picture", rng())
    with pytest.raises(TypeError, match=rf"{name}: .* uint8 \(dtype=float32\)"):
        transform([one.astype(np.float32) for one in MIXED], rng())


@pytest.mark.parametrize("transform", [Resize(4), RandomResizedCrop(4), ColorJitter(0.5)])
def test_bytes_only(transform: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"must be uint8 \(dtype=float32\)"):
        transform(FLOATS, rng())


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"CenterCrop: .* \(picture=9x11, size=10x10\)"):
        CenterCrop(10)(BATCH)
    with pytest.raises(ValueError, match=r"RandomCrop: .* \(picture=11x13, size=12x12\)"):
        RandomCrop(12, 1)(BATCH, rng())
    with pytest.raises(ValueError, match=r"Normalize: .*Resize.* \(sizes=9x11, 10x13\)"):
        Normalize(MEAN, STD)(MIXED)
    many = [np.zeros((4, 5 + i, 3), np.uint8) for i in range(9)]
    with pytest.raises(ValueError, match=r"\(sizes=4x5, 4x6, 4x7, 4x8 and 5 more\)"):
        Normalize(MEAN, STD)(many)
    with pytest.raises(ValueError, match=r"Normalize: .* \(channels=3, values=1\)"):
        Normalize((0.5,), (0.5,))(BATCH)
    with pytest.raises(ValueError, match=r"ColorJitter: .* \(shape=\(40, 9, 11, 2\)\)"):
        ColorJitter(0, 0.5)(BATCH[..., :2], rng())
