"""Pickled batches: those of Python 2 and 3 are read, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from fastconv.data.cifar_pickle import read_cifar_pickle

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
LABELS = [3, 0, 9, 3]


def python2_batch(pictures: np.ndarray, labels: list[int]) -> bytes:
    """The instructions of the published files, which Python 2's cPickle wrote (protocol 2)."""

    def text(content: bytes) -> bytes:
        return b"U" + bytes([len(content)]) + content

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)

    content = pictures.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85"
        + text(b"b")
        + b"\x87Rq\x09(K\x01"
        + number(len(pictures))
        + number(3072)
        + b"\x86cnumpy\ndtype\nq\x0a"
        + text(b"u1")
        + b"K\x00K\x01\x87Rq\x0b(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )
    return (
        b"\x80\x02}q\x01("
        + (text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03")
        + (text(b"labels") + b"q\x04]q\x05(" + b"".join(map(number, labels)) + b"e")
        + (text(b"data") + b"q\x06" + array)
        + (text(b"filenames") + b"q\x0c]q\x0d(" + text(b"a.png") * len(labels) + b"eu.")
    )


def check(content: bytes) -> None:
    pictures, labels = read_cifar_pickle(content, "a")
    assert (pictures.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(pictures, PICTURES)
    assert labels.tolist() == LABELS


def refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^cifar10: .*{message}") as caught:
        read_cifar_pickle(content, "folder/data_batch_1")
    assert "(file=folder/data_batch_1" in str(caught.value)


def test_python2() -> None:
    content = python2_batch(PICTURES, LABELS)
    # What a real unpickler makes of it, so that the sample is known to be a pickle.
    assert pickle.loads(content, encoding="bytes")[b"labels"] == LABELS
    check(content)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_python3(protocol: int, order: str) -> None:
    data = np.array(PICTURES, order=order)  # type: ignore[call-overload]
    check(pickle.dumps({"data": data, "labels": LABELS, "batch_label": "x"}, protocol))
    check(pickle.dumps({b"data": data, b"labels": LABELS, b"filenames": [b"x"]}, protocol))


class Evil:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made"
    for call in (
        Evil(os.mkdir, str(target)),
        Evil(eval, f"__import__('os').mkdir({str(target)!r})"),
        Evil(getattr, os, "mkdir"),
        Evil(np.load, str(target)),
    ):
        try:
            content = pickle.dumps({"data": PICTURES, "labels": LABELS, "more": call}, protocol)
        except TypeError:  # a module, which pickle itself refuses to write
            continue
        refused(content, "a pickle must not name '")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"(I1\nios\nmkdir\n.", "instruction INST"),
        (b"(cnumpy\nndarray\no.", "instruction OBJ"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "must not call functions"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"Pname\n.", "must not refer to objects outside"),
        (b"cnumpy\nndarray\n)R.", "must not call functions"),
        (b"cnumpy\nload\n.", "must not name 'numpy load'"),
        (b"\x8c\x05numpy\x8c\x04load\x93.", "must not name 'numpy load'"),
        (b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.", "must be of numbers"),
        (b"K\x05.", "must be a dict"),
        (b"}.", "must hold 'data' and a list"),
        (b"}(]K\x01u.", "keys of a dict must be strings"),
        (b"", "pickle must be whole"),
        (b".", "pickle must be whole"),
        (b"hello", "pickle must be whole"),
        (b"\x80\x02u.", "pickle must be whole"),
        (b"a.", "pickle must be whole"),
        (b"h\x05.", "pickle must be whole"),
        (b"b.", "stack is too short"),
    ],
)
def test_what_is_no_batch(content: bytes, message: str) -> None:
    refused(content, message)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": PICTURES, "labels": [3, 0, 10, 3]}, "integers from 0 to 9"),
        ({"data": PICTURES, "labels": [3, 0, True, 3]}, "integers from 0 to 9"),
        ({"data": PICTURES, "labels": LABELS[:3]}, "4 pictures and 3 labels"),
        ({"data": PICTURES[:, :-1].copy(), "labels": LABELS}, r"its shape is \(4, 3071\)"),
        ({"data": PICTURES[0], "labels": LABELS}, r"its shape is \(3072,\)"),
        ({"data": PICTURES.tobytes(), "labels": LABELS}, "its shape is none"),
        ({"data": PICTURES.astype(np.int16), "labels": LABELS}, "must be of bytes"),
        ({"data": PICTURES, "fine_labels": LABELS, "coarse_labels": LABELS}, "must hold 'data'"),
        ([1, 2], "must be a dict, and this is list"),
    ],
)
def test_other_pickles(batch: object, message: str) -> None:
    for protocol in (2, 4):
        refused(pickle.dumps(batch, protocol), message)


def test_wrong_sizes_of_an_array() -> None:
    content = python2_batch(PICTURES, LABELS)
    assert content.count(b"K\x04J") == 1
    refused(content.replace(b"K\x04J", b"K\x05J"), "as many bytes as its shape says")
    refused(content.replace(b"K\x04J\x00\x0c\x00\x00", b"K\x04J\x00\x0c\x00\xff"), "its shape says")


def test_truncated() -> None:
    content = python2_batch(PICTURES[:1], LABELS[:1])
    for length in (*range(0, 300), *range(300, len(content), 97)):
        refused(content[:length], "")


def test_what_is_small_and_unpacks_to_much_takes_no_time() -> None:
    # (x, x) of (x, x) of ...: 2 ** 60 elements once they are written out or hashed.
    content = b"]q\x00" + b"h\x00h\x00\x86q\x00" * 60
    begin = time.perf_counter()
    refused(b"(" + content + b"K\x01d.", "keys of a dict")
    refused(content + b".", "must be a dict")
    refused(content + content + b"\x93.", "a string is expected")
    refused(content + b"]R.", "must not call")
    assert time.perf_counter() - begin < 2
