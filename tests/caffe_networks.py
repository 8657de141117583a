"""Networks of the literature as Caffe's files describe them, and what tests of such files need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import zoo

__all__ = [
    "alexnet",
    "close",
    "googlenet",
    "inception",
    "layer_text",
    "normal",
    "refusals",
    "write",
]


def layer_text(kind: str, name: str, bottom: str, top: str | None = None, **param: Any) -> str:
    """A layer of a prototxt; `param` is the one message `<key>` with its fields as text."""
    inside = " ".join(f"{key} {{ {value} }}" for key, value in param.items())
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top or name}" {inside} }}\n'


def alexnet(norm_first: bool, classes: int) -> str:
    """BVLC's models/bvlc_alexnet (or, pooling first, bvlc_reference_caffenet) deploy.prototxt."""
    text = 'name: "%s"\ninput: "data"\n' % ("AlexNet" if norm_first else "CaffeNet")
    text += "".join(f"input_dim: {size}\n" for size in (10, 3, 227, 227))
    last = "data"
    convolutions = [(96, 11, 0, 1, 4), (256, 5, 2, 2, 1), (384, 3, 1, 1, 1), (384, 3, 1, 2, 1)]
    for i, (width, kernel, pad, group, stride) in enumerate([*convolutions, (256, 3, 1, 2, 1)], 1):
        text += layer_text(
            "Convolution",
            f"conv{i}",
            last,
            convolution_param=f"num_output: {width} kernel_size: {kernel} pad: {pad} "
            f"group: {group} stride: {stride}",
        )
        text += layer_text("ReLU", f"relu{i}", f"conv{i}", f"conv{i}")
        last = f"conv{i}"
        norm = ("LRN", f"norm{i}", {"lrn_param": "local_size: 5 alpha: 0.0001 beta: 0.75"})
        pool = ("Pooling", f"pool{i}", {"pooling_param": "pool: MAX kernel_size: 3 stride: 2"})
        stages = [norm, pool] if norm_first else [pool, norm]
        for kind, name, param in {1: stages, 2: stages, 5: [pool]}.get(i, []):
            text += layer_text(kind, name, last, **param)
            last = name
    for i, width in ((6, 4096), (7, 4096), (8, classes)):
        param = f"num_output: {width}"
        text += layer_text("InnerProduct", f"fc{i}", last, inner_product_param=param)
        last = f"fc{i}"
        if i < 8:
            text += layer_text("ReLU", f"relu{i}", last, last)
            text += layer_text(
                "Dropout", f"drop{i}", last, last, dropout_param="dropout_ratio: 0.5"
            )
    return text + layer_text("Softmax", "prob", last)


_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(classes: int, size: int) -> str:
    """BVLC's models/bvlc_googlenet deploy.prototxt."""
    text = (
        'name: "GoogleNet"\nlayer { name: "data" type: "Input" top: "data" input_param '
        f"{{ shape {{ dim: 10 dim: 3 dim: {size} dim: {size} }} }} }}\n"
    )

    def conv(name: str, bottom: str, width: int, kernel: int, pad: int = 0, stride: int = 1) -> str:
        param = f"num_output: {width} kernel_size: {kernel} pad: {pad} stride: {stride}"
        return layer_text("Convolution", name, bottom, convolution_param=param) + layer_text(
            "ReLU", f"{name}/relu", name, name
        )

    def pool(
        name: str, bottom: str, rest: str = "kernel_size: 3 stride: 2", how: str = "MAX"
    ) -> str:
        return layer_text("Pooling", name, bottom, pooling_param=f"pool: {how} {rest}")

    def norm(name: str, bottom: str) -> str:
        return layer_text("LRN", name, bottom, lrn_param="local_size: 5 alpha: 0.0001 beta: 0.75")

    text += conv("conv1/7x7_s2", "data", 64, 7, 3, 2)
    text += pool("pool1/3x3_s2", "conv1/7x7_s2") + norm("pool1/norm1", "pool1/3x3_s2")
    text += conv("conv2/3x3_reduce", "pool1/norm1", 64, 1)
    text += conv("conv2/3x3", "conv2/3x3_reduce", 192, 3, 1)
    text += norm("conv2/norm2", "conv2/3x3") + pool("pool2/3x3_s2", "conv2/norm2")
    last = "pool2/3x3_s2"
    for stage, widths in _INCEPTIONS.items():
        text += inception(f"inception_{stage}", last, widths, conv, pool)
        last = f"inception_{stage}/output"
        if stage in ("3b", "4e"):
            pooled = f"pool{int(stage[0])}/3x3_s2"
            text += pool(pooled, last)
            last = pooled
    text += pool("pool5/7x7_s1", last, f"kernel_size: {size // 32} stride: 1", "AVE")
    text += layer_text("Dropout", "pool5/drop", "pool5/7x7_s1", "pool5/7x7_s1")
    text += layer_text(
        "InnerProduct",
        "loss3/classifier",
        "pool5/7x7_s1",
        inner_product_param=f"num_output: {classes}",
    )
    return text + layer_text("Softmax", "prob", "loss3/classifier")


def inception(name: str, last: str, widths: Sequence[int], conv: Any, pool: Any) -> str:
    width1, reduce3, width3, reduce5, width5, project = widths
    return (
        conv(f"{name}/1x1", last, width1, 1)
        + conv(f"{name}/3x3_reduce", last, reduce3, 1)
        + conv(f"{name}/3x3", f"{name}/3x3_reduce", width3, 3, 1)
        + conv(f"{name}/5x5_reduce", last, reduce5, 1)
        + conv(f"{name}/5x5", f"{name}/5x5_reduce", width5, 5, 2)
        + pool(f"{name}/pool", last, "kernel_size: 3 stride: 1 pad: 1")
        + conv(f"{name}/pool_proj", f"{name}/pool", project, 1)
        + layer_text(
            "Concat",
            f"{name}/output",
            f"{name}/1x1 {name}/3x3 {name}/5x5 {name}/pool_proj",
        )
    )


def normal(*shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32)


def write(folder: Path, prototxt: str | None, weights: bytes) -> Path:
    """Write a model into a folder and return the file to load."""
    model = folder / "net.caffemodel"
    model.write_bytes(weights)
    if prototxt is None:
        return model
    (folder / "deploy.prototxt").write_text(prototxt, encoding="utf-8")
    return folder / "deploy.prototxt"


def close(actual: Any, expected: Any) -> None:
    actual = actual if isinstance(actual, np.ndarray) else actual.numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())


def refusals(path: Path, every: int) -> int:
    """Cut a file at every so many bytes, damage it in 300 ways; return how often zoo.load refuses.

    Anything but a network or a ValueError is an error.
    """
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), every)]
    rng = np.random.default_rng(5)
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 2):
            data[place] = rng.integers(256)
        damaged.append(bytes(data))
    refused = 0
    for part in damaged:
        path.write_bytes(part)
        try:
            zoo.load(path)
        except ValueError:
            refused += 1
    return refused
