"""Arrays as datasets, and what is no dataset."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastconv.data import ArrayDataset, Loader, mnist

BYTES = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 5), dtype=np.uint8)
LABELS = np.arange(6)


@pytest.mark.parametrize("last", [False, True])
def test_reading(last: bool) -> None:
    images = BYTES
    if last:
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    data = ArrayDataset(images, LABELS.astype(np.int8), tuple("abcdef"))
    assert (len(data), data.classes, data.labels.dtype) == (6, list("abcdef"), np.int64)
    np.testing.assert_array_equal(data.read(4), BYTES[4].transpose(1, 2, 0))
    chosen = np.array([5, 0, 5])
    np.testing.assert_array_equal(data.read_batch(chosen), BYTES[chosen].transpose(0, 2, 3, 1))
    floats = ArrayDataset(images.astype(np.float32), LABELS)
    np.testing.assert_array_equal(floats.read(4), BYTES[4])
    np.testing.assert_array_equal(floats.read_batch(chosen), BYTES[chosen])


def test_what_is_read_is_a_copy() -> None:
    data = ArrayDataset(BYTES.copy(), LABELS)
    data.read(0)[:] = 0
    data.read_batch(np.array([0, 1]))[:] = 0
    np.testing.assert_array_equal(data.images, BYTES)


def test_a_pair_is_wrapped() -> None:
    loader = Loader(mnist(split="test"))
    assert isinstance(loader.dataset, ArrayDataset)
    assert loader.classes is None
    assert len(loader.labels) == 1000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((BYTES.astype(np.float64), LABELS), TypeError, r"uint8 or float32 \(dtype=float64\)"),
        ((BYTES, LABELS / 2), TypeError, r"integers \(dtype=float64\)"),
        ((BYTES[0], LABELS), ValueError, r"4 dimensions \(shape=\(3, 4, 5\)\)"),
        ((BYTES, LABELS[:5]), ValueError, r"one label .* \(images=6, labels=\(5,\)\)"),
        ((BYTES, LABELS, ["a"] * 5), ValueError, r"name .* \(smallest=0, largest=5, classes=5\)"),
        ((BYTES, LABELS - 1, ["a"] * 6), ValueError, r"name .* \(smallest=-1, "),
    ],
)
def test_errors(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"ArrayDataset: .*{message}"):
        ArrayDataset(*arguments)  # type: ignore[arg-type]


def test_what_is_no_dataset() -> None:
    with pytest.raises(TypeError, match=r"Loader: dataset .* \(length=3\)"):
        Loader((BYTES, LABELS, LABELS))
    with pytest.raises(TypeError, match=r"type=ndarray, lacking=labels, read\)"):
        Loader(BYTES)

    class Short(SimpleNamespace):
        def __len__(self) -> int:
            return 3

    with pytest.raises(ValueError, match=r"\(pictures=3, labels=6\)"):
        Loader(Short(labels=LABELS, read=None))
