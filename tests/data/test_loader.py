"""Batches, the loader that prepares them, and augmentation."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from fastconv.data import Loader, PictureError, random_shift

IMAGES = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
LABELS = np.arange(10)


def test_random_shift_moves_and_fills_with_zeros() -> None:
    images = np.random.default_rng(0).random((50, 3, 6, 5), np.float32) + 1
    moved = random_shift(images, np.random.default_rng(1), 2)
    assert moved.shape == images.shape
    assert moved.dtype == np.float32
    seen = set()
    for before, after in zip(images, moved, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)))
        places = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(padded[:, i : i + 6, j : j + 5], after)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 15
    np.testing.assert_array_equal(random_shift(images, np.random.default_rng(1), 0), images)


def test_random_shift_errors() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"random_shift: .* \(shape=\(2, 3\)\)"):
        random_shift(np.zeros((2, 3)), rng)
    with pytest.raises(ValueError, match=r"random_shift: .* \(pixels=-1\)"):
        random_shift(np.zeros((1, 1, 2, 2)), rng, -1)


class Pictures:
    """A dataset read one by one; picture i is full of i, and as wide as `width(i)`."""

    classes = None

    def __init__(self, count: int, broken: tuple[int, ...] = (), uneven: bool = False) -> None:
        self.labels = np.arange(count)
        self.broken = broken
        self.uneven = uneven

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> np.ndarray:
        if index in self.broken:
            raise PictureError(f"Pictures: picture{index}.jpg is broken")
        return np.full((4, 5 + index % 2 * self.uneven, 3), index, np.uint8)


def noise(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random((len(pictures), 1, 4, 4)) * 100).astype(np.float32)


def collect(loader: Loader, number: int = 0, start: int = 0) -> list[tuple[bytes, list[int]]]:
    return [(x.tobytes(), y.tolist()) for x, y in loader.epoch(number, start)]


def test_loader_in_order() -> None:
    loader = Loader((IMAGES, LABELS), 4)
    got = list(loader)
    assert len(loader) == 3
    assert [y.tolist() for _, y in got] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for x, y in got:
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(x[:, 0, 0, 0], y)
    assert [len(y) for _, y in Loader((IMAGES, LABELS), 4, drop_last=True)] == [4, 4]
    assert len(Loader((IMAGES, LABELS), 4, drop_last=True)) == 2
    assert list(Loader((IMAGES[:0], LABELS[:0]))) == []


@pytest.mark.parametrize("dataset", [(IMAGES, LABELS), Pictures(10)])
def test_loader_same_bits_at_any_number_of_workers(dataset: object) -> None:
    loaders = [
        Loader(dataset, 3, shuffle=True, seed=5, transform=noise, workers=workers)
        for workers in (0, 1, 4)
    ]
    for number in (0, 1, 7):
        first, *others = (collect(loader, number) for loader in loaders)
        assert others == [first, first]
        assert sorted(label for _, labels in first for label in labels) == list(range(10))
    assert collect(loaders[0], 0) != collect(loaders[0], 1)


def test_loader_steps_and_order_draw_apart() -> None:
    loader = Loader((IMAGES, LABELS), 5, shuffle=True, transform=noise)
    (first, order), (second, _) = collect(loader)
    assert first != second
    drawn: list[int] = []
    shuffled = Loader((IMAGES, LABELS), 10, shuffle=True, workers=0)
    shuffled.transform = lambda x, rng: drawn.extend(rng.permutation(10).tolist()) or x
    ((_, labels),) = collect(shuffled)
    assert labels != drawn
    assert collect(Loader((IMAGES, LABELS), 5, transform=noise))[0][0] == first
    assert collect(Loader((IMAGES, LABELS), 5, shuffle=True, seed=1))[0][1] != order


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_resumes_in_the_middle(workers: int) -> None:
    loader = Loader((IMAGES, LABELS), 3, shuffle=True, transform=noise, workers=workers)
    whole = collect(loader, 2)
    for start in range(5):
        assert collect(loader, 2, start) == whole[start:]


def test_loader_each_iteration_is_the_next_epoch() -> None:
    loader = Loader((IMAGES, LABELS), 4, shuffle=True)
    orders = [[label for _, y in loader for label in y.tolist()] for _ in range(3)]
    for number, order in enumerate(orders):
        assert order == [label for _, y in loader.epoch(number) for label in y.tolist()]
    assert orders[0] != orders[1] != orders[2]


def test_loader_bytes_become_floats_with_channels_last() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    images[0, 0, 0, :2] = 0, 255
    for dataset in ((images, np.arange(5)), Pictures(5)):
        ((x, _),) = Loader(dataset, 5)
        assert x.dtype == np.float32
        assert x.shape[:2] == (5, 3)
        assert x.transpose(0, 2, 3, 1).flags.c_contiguous
    ((x, _),) = Loader((images, np.arange(5)), 5)
    np.testing.assert_array_equal(x, images.astype(np.float32) / np.float32(255))


def test_loader_transform_sees_bytes_lying_and_floats_standing() -> None:
    seen = []

    def look(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append(pictures)
        return np.zeros((len(pictures), 1, 1, 1), np.float32)

    images = np.zeros((2, 3, 4, 6), np.uint8)
    for dataset in ((images, [0, 1]), (images.astype(np.float32), [0, 1]), Pictures(2)):
        list(Loader(dataset, transform=look))
    list(Loader(Pictures(2, uneven=True), transform=look))
    assert [one.shape for one in seen[:3]] == [(2, 4, 6, 3), (2, 3, 4, 6), (2, 4, 5, 3)]
    assert [one.shape for one in seen[3]] == [(4, 5, 3), (4, 6, 3)]


def test_loader_takes_random_shift() -> None:
    images = np.random.default_rng(0).random((8, 1, 6, 6), np.float32)
    ((x, _),) = Loader((images, np.arange(8)), 8, transform=random_shift, seed=3)
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(0, 0)))
    np.testing.assert_array_equal(x, random_shift(images, rng))


def test_loader_skips_what_is_broken_and_says_so() -> None:
    dataset = Pictures(7, broken=(1, 5))
    for workers in (0, 2):
        with pytest.raises(PictureError, match="picture1.jpg"):
            list(Loader(dataset, 3, workers=workers))
        with pytest.warns(UserWarning, match="left out.*picture[15].jpg") as caught:
            got = [y.tolist() for _, y in Loader(dataset, 3, on_error="skip", workers=workers)]
        assert got == [[0, 2], [3, 4], [6]]
        assert len(caught) == 2
        assert all(one.filename == __file__ for one in caught)


def test_loader_yields_an_empty_batch_where_no_picture_can_be_read() -> None:
    with pytest.warns(UserWarning, match="picture1.jpg"):
        batches = list(Loader(Pictures(3, (1,)), 1, on_error="skip"))
    assert [y.tolist() for _, y in batches] == [[0], [], [2]]
    assert batches[1][0].shape == (0, 3, 0, 0)


def test_loader_skips_within_a_read_batch() -> None:
    class Batched(Pictures):
        def read_batch(self, indices: np.ndarray) -> list[np.ndarray]:
            return [self.read(index) for index in indices.tolist()]

    with pytest.warns(UserWarning, match="picture3.jpg"):
        got = [y.tolist() for _, y in Loader(Batched(6, (3,)), 3, on_error="skip")]
    assert got == [[0, 1, 2], [4, 5]]


def test_loader_leaving_stops_between_pictures() -> None:
    class Slow(Pictures):
        def read(self, index: int) -> np.ndarray:
            if index >= 50:
                time.sleep(0.02)
            return super().read(index)

    # A whole batch takes a second but for the first pictures.
    loader = Loader(Slow(100), 50, workers=2)
    with pytest.raises(ZeroDivisionError):
        for _ in loader:
            begin = time.perf_counter()
            raise ZeroDivisionError
    assert time.perf_counter() - begin < 0.5
    assert not [one for one in threading.enumerate() if one.name.startswith("fastconv-data")]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, r"batch_size must be at least 1 \(batch_size=0\)"),
        ({"batch_size": 2.0}, TypeError, r"integer \(batch_size=2.0\)"),
        ({"seed": -1}, ValueError, r"\(seed=-1\)"),
        ({"workers": -1}, ValueError, r"\(workers=-1\)"),
        ({"workers": True}, TypeError, r"\(workers=True\)"),
        ({"on_error": "ignore"}, ValueError, r"\(on_error='ignore'\)"),
        ({"transform": 3}, TypeError, r"\(transform=int\)"),
    ],
)
def test_loader_errors(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"Loader: .*{message}"):
        Loader((IMAGES, LABELS), **options)


def test_loader_epoch_errors_come_at_the_call() -> None:
    loader = Loader((IMAGES, LABELS), 4)
    with pytest.raises(ValueError, match=r"Loader: .* \(start=4, steps=3\)"):
        loader.epoch(0, 4)
    with pytest.raises(ValueError, match=r"Loader: .* \(number=-1\)"):
        loader.epoch(-1)


@pytest.mark.parametrize(
    ("transform", "error", "message"),
    [
        (lambda p, rng: p.astype(np.float64), TypeError, r"\(dtype=float64\)"),
        (lambda p, rng: p[1:], ValueError, r"as many .* \(pictures=4, shape=\(3, 1, 1, 1\)\)"),
        (lambda p, rng: p[:, 0, 0, 0], ValueError, r"\(pictures=4, shape=\(4,\)\)"),
        (None, ValueError, r"one size; .*Resize\(\(h, w\)\).* \(sizes=4x5, 4x6\)"),
    ],
)
def test_loader_refuses_what_transforms_must_not_return(
    transform: object, error: type[Exception], message: str
) -> None:
    dataset = (IMAGES, LABELS) if transform else Pictures(4, uneven=True)
    with pytest.raises(error, match=f"Loader: .*{message}"):
        next(iter(Loader(dataset, 4, transform=transform)))  # type: ignore[arg-type]


def test_loader_refuses_pictures_that_are_none() -> None:
    class Floats(Pictures):
        def read(self, index: int) -> np.ndarray:
            return np.zeros((2, 2), np.float32)

    with pytest.raises(TypeError, match=r"\(index=0, dtype=float32, shape=\(2, 2\)\)"):
        list(Loader(Floats(2)))
