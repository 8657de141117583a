"""The import doctor: networks broken in exactly one way, and what it says of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastconv._core", reason="fastconv is not built")

from fastconv import models, reference, zoo
from fastconv.data import Preset
from fastconv.nn import init
from fastconv.zoo.doctor import relation
from fastconv.zoo.doctor.activations import layers_beside
from fastconv.zoo.doctor.examination import _size
from fastconv.zoo.doctor.hints import hints_of_weights
from fastconv.zoo.doctor.matching import nearest
from fastconv.zoo.doctor.pairing import pair_up
from t7_files import Obj, Storage, module, write

Weights = dict[str, np.ndarray]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights() -> Weights:
    return {
        "conv1": random(8, 3, 3, 3),
        "bias1": random(8),
        "conv2": random(6, 8, 3, 3, seed=1),
        "bias2": random(6, seed=2),
        "fc": random(10, 96, seed=3),
        "bias3": random(10, seed=4),
    }


def convolution(weight: np.ndarray, bias: np.ndarray, stride: int, **more: Any) -> Obj:
    filters, channels, height, width = weight.shape
    return module(
        "nn.SpatialConvolution", nInputPlane=channels, nOutputPlane=filters, kH=height, kW=width,
        dH=stride, dW=stride, weight=np.ascontiguousarray(weight), bias=bias, **more,
    )  # fmt: skip


def network(w: Weights, **names: str) -> Obj:
    return module(
        "nn.Sequential",
        convolution(w["conv1"], w["bias1"], 2, **names),
        module("nn.ReLU"),
        convolution(w["conv2"], w["bias2"], 3),
        module("nn.View", size=Storage(np.array([96])), numInputDims=3),
        module("nn.Linear", weight=np.ascontiguousarray(w["fc"]), bias=w["bias3"]),
    )


def saved(folder: Path, name: str, content: Any) -> Path:
    path = folder / f"{name}.t7"
    path.write_bytes(write(content))
    return path


def examine(folder: Path, broken: Weights) -> zoo.Report:
    first = saved(folder, "first", network(broken))
    return zoo.inspect(first, against=saved(folder, "second", network(weights())))


def test_a_file_by_itself(tmp_path: Path) -> None:
    path = saved(tmp_path, "net", network(weights()))
    report = zoo.inspect(path)
    assert report.format == "torch7" and report.size == path.stat().st_size
    assert report.tensors[0] == ("1.weight", (8, 3, 3, 3), "float32")
    assert len(report.tensors) == 6 and report.problem == "" and report.hints == []
    lines = str(report).splitlines()
    assert lines[0] == f"{path}: torch7, framework torch7, {report.size:,} bytes"
    assert lines[1] == "6 tensors, 1,632 numbers, float32"
    assert "network: GraphModule, 5 layers, 1,632 parameters" in lines
    assert "preset: unknown: set net.preset before net.predict" in lines


def test_the_size_of_a_checkpoint_is_that_of_its_own_files(tmp_path: Path) -> None:
    for name in ("net[1]-1", "net[1]-10"):
        for part, size in ((".index", 5), (".data-00000-of-00001", 7)):
            (tmp_path / f"{name}{part}").write_bytes(bytes(size))
    assert _size(tmp_path / "net[1]-1") == 12
    assert _size(tmp_path / "net[1]-1.index") == 5
    assert _size(tmp_path) == 24


def test_equal_networks(tmp_path: Path) -> None:
    report = examine(tmp_path, weights())
    assert report.hints == [] and report.comparison is not None
    assert {str(pair.relation) for pair in report.comparison.pairs} == {"equal"}
    assert report.comparison.apart is None and len(report.comparison.layers) == 6
    assert "all 6 layers agree" in str(report)


def _flipped(w: Weights) -> None:
    for name in ("conv1", "conv2"):
        w[name] = w[name][:, :, ::-1, ::-1]


def _other_flattening(w: Weights) -> None:
    w["fc"] = w["fc"].reshape(10, 6, 16).swapaxes(1, 2).reshape(10, 96)


def _set(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Weights], None]:
    def apply(w: Weights) -> None:
        w[name] = change(w[name])

    return apply


@pytest.mark.parametrize(
    ("damage", "kind", "hint", "apart", "before"),
    [
        (_flipped, "flipped", "kernels are flipped .* in 1.weight, 3.weight: .*Theano", "1", 0),
        (
            _set("conv1", lambda a: a[:, ::-1]),
            "channels reversed", "input channels are reversed in 1.weight: .*BGR", "1", 0,
        ),
        (
            _set("conv1", lambda a: a * np.float32(255)),
            "scaled", r"scaled by 255 in 1.weight: .*\(here 255 or its inverse\)", "1", 0,
        ),
        (
            _set("conv1", lambda a: a[:, ::-1] / np.float32(255)),
            "channels reversed and scaled", "scaled by 0.00392157 in 1.weight", "1", 0,
        ),
        (
            _other_flattening, "flattened otherwise",
            r"another order before the first linear layer: .*\(CHW\).*\(HWC\)", "5", 4,
        ),
        (_set("fc", lambda a: a[::-1]), "rows permuted", "come in another order: 5.weight", "5", 4),
        (_set("conv2", lambda a: a * 2), "scaled", r"scaled \(by 2\) in 3.weight", "3", 2),
        (_set("conv2", lambda a: a.swapaxes(2, 3)), "axes permuted", "axes .*3.w", "3", 2),
        (_set("conv2", lambda a: a[::-1, :, ::-1]), "differ", None, "3", 2),
        (_set("bias2", lambda a: a + 1), "differ", None, "3", 2),
    ],
)  # fmt: skip
def test_damage_is_named(
    tmp_path: Path,
    damage: Callable[[Weights], None],
    kind: str,
    hint: str | None,
    apart: str,
    before: int,
) -> None:
    broken = weights()
    damage(broken)
    report = examine(tmp_path, broken)
    comparison = report.comparison
    assert comparison is not None and comparison.apart is not None
    kinds = {pair.relation.kind for pair in comparison.pairs if pair.relation}
    assert kinds == {"equal", kind}
    assert comparison.apart.name == apart
    assert comparison.layers.index(comparison.apart) == before
    assert f"first layer apart: {apart}, relative error" in str(report)
    if hint is None:
        assert report.hints == []
    else:
        assert len([text for text in report.hints if re.search(hint, text)]) == 1


def test_half_precision_is_close(tmp_path: Path) -> None:
    rounded = {k: a.astype(np.float16).astype(np.float32) for k, a in weights().items()}
    comparison = examine(tmp_path, rounded).comparison
    assert comparison is not None and comparison.apart is None
    assert {pair.relation.kind for pair in comparison.pairs if pair.relation} == {"close"}


def test_networks_that_are_written_otherwise(tmp_path: Path) -> None:
    """Tensors and layers come together by content, whatever they are called and in which order."""
    one, two = random(4, 4, 3, 3), random(4, 4, 3, 3, seed=1)
    stem, bias = random(4, 3, 3, 3), np.zeros(4, np.float32)

    def content(swapped: bool, second: np.ndarray) -> Obj:
        branches = [
            convolution(one, bias, 1, padW=1, padH=1, name="one"),
            convolution(second, bias, 1, padW=1, padH=1),
        ]
        return module(
            "nn.Sequential",
            convolution(stem, bias, 1),
            module("nn.ConcatTable", *branches[:: -1 if swapped else 1]),
            module("nn.CAddTable"),
        )

    first = saved(tmp_path, "first", content(False, two))
    second = saved(tmp_path, "second", content(True, two))
    comparison = zoo.inspect(first, against=second).comparison
    assert comparison is not None and comparison.apart is None
    assert [(p.name, p.other) for p in comparison.pairs][2:6:3] == [
        ("one.weight", "one.weight"),
        ("2_2.bias", "2_1.bias"),
    ]
    assert [(layer.name, layer.other) for layer in comparison.layers] == [
        ("1", "1"), ("one", "one"), ("2_2", "2_1"), ("output", "output"),
    ]  # fmt: skip
    second = saved(tmp_path, "second", content(True, -two))
    comparison = zoo.inspect(first, against=second).comparison
    assert comparison is not None and comparison.apart is not None
    assert (comparison.apart.name, comparison.apart.other) == ("2_2", "2_1")


def test_other_presets(tmp_path: Path) -> None:
    net, files = models.lenet5(), [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    for file, scale in zip(files, (1.0, 0.5), strict=True):
        net.preset = Preset((28, 28), None, "L", (0.0,), (scale,))
        zoo.save(net, file)
    report = zoo.inspect(files[0], against=files[1])
    assert report.hints == [
        "photos enter the other otherwise: L, 28x28 squeezed, mean (0.0,), scale (0.5,)"
    ]
    assert "preset: L, 28x28 squeezed, mean (0.0,), scale (1.0,)" in str(report)
    assert str(report.match) == "is lenet5 (modern): 10 of 10 tensors fit"


def test_a_file_beside_a_network_of_ours(tmp_path: Path) -> None:
    """The same network as one file describes it, and as `models` has it."""
    net = models.lenet5().eval()
    w = net.state_dict()

    def conv(name: str, pad: int) -> Obj:
        return convolution(w[f"{name}.weight"], w[f"{name}.bias"], 1, padW=pad, padH=pad)

    def linear(name: str) -> Obj:
        return module("nn.Linear", weight=w[f"{name}.weight"], bias=w[f"{name}.bias"])

    def pool() -> Obj:
        return module("nn.SpatialMaxPooling", kW=2, kH=2)

    content = module(
        "nn.Sequential",
        module("nn.Sequential", conv("conv1", 2), module("nn.ReLU"), pool()),
        module("nn.Sequential", conv("conv2", 0), module("nn.ReLU"), pool()),
        module("nn.Sequential", conv("conv3", 0), module("nn.ReLU")),
        module("nn.View", size=Storage(np.array([120])), numInputDims=3),
        module("nn.Sequential", linear("fc1"), module("nn.ReLU"), linear("fc2")),
    )
    report = zoo.inspect(saved(tmp_path, "lenet", content))
    assert report.match is not None and report.match.exact
    assert report.match.architecture == "lenet5" and report.net is not None
    pairs = pair_up(report.net.state_dict(), w)
    assert [p.other for p in pairs] == list(w)
    x = random(1, 1, 28, 28)
    layers = layers_beside(report.net, net, x, pairs)
    names = ["conv1", "conv2", "conv3", "fc1", "fc2", "output"]
    assert [layer.other for layer in layers] == names
    assert all(layer.error < 1e-5 for layer in layers)
    net.conv3.bias.data[...] += 1
    errors = [layer.error for layer in layers_beside(report.net, net, x, pairs)]
    assert [error > 1e-3 for error in errors] == [False, False, True, True, True, True]


def test_other_classes_and_missing_layers(tmp_path: Path) -> None:
    more = network({**weights(), "fc": random(7, 96), "bias3": random(7)})
    first = saved(tmp_path, "first", more)
    second = saved(tmp_path, "second", network(weights(), name="stem"))
    report = zoo.inspect(first, against=second)
    text = str(report)
    assert "5.weight: shape" in text and "1.weight | stem.weight" not in text  # those are equal
    assert report.comparison is not None and report.comparison.apart is not None
    assert report.comparison.apart.error == float("inf")


def test_reference_activations(tmp_path: Path) -> None:
    w, x = weights(), random(2, 3, 28, 28)
    content = network(w, name="c.1")
    content.fields["modules"] = {i: m for i, m in content.fields["modules"].items() if i < 4}
    path = saved(tmp_path, "net", content)
    first = reference.conv2d(x, w["conv1"], w["bias1"], 2)
    second = reference.conv2d(np.maximum(first, 0), w["conv2"], w["bias2"], 3)
    activations = tmp_path / "activations.npz"
    np.savez(activations, **{"input": x, "c.1": first, "3": second, "output": second})
    comparison = zoo.inspect(path, against=activations).comparison
    assert comparison is not None and comparison.apart is None
    assert [layer.other for layer in comparison.layers] == ["c.1", "3", "output"]
    np.savez(activations, **{"input": x, "c.1": first, "3": second + 1})
    comparison = zoo.inspect(path, against=activations).comparison
    assert comparison is not None and comparison.apart is not None
    assert comparison.apart.name == "3"
    np.savez(activations, input=x, elsewhere=second)
    with pytest.raises(ValueError, match="must have the names of layers"):
        zoo.inspect(path, against=activations)


def test_a_file_that_cannot_be_built(tmp_path: Path) -> None:
    """It is reported with the reason, and still compared, tensor by tensor."""
    w = weights()
    path = saved(tmp_path, "net", module("nn.Sequential", network(w), module("nn.Strange")))
    report = zoo.inspect(path, against=saved(tmp_path, "second", network(w)))
    assert report.net is None and "class=nn.Strange" in report.problem
    assert f"network: {report.problem}" in str(report)
    assert report.comparison is not None
    assert "layers were not compared" in report.comparison.note
    assert [str(p.relation) for p in report.comparison.pairs] == ["equal"] * 6


def test_suspicious_values() -> None:
    tensors = {
        "a.weight": np.zeros((2, 3), np.float32),
        "b.weight": np.array([[1, np.nan]], np.float32),
        "c.running_var": np.array([1, -0.5], np.float32),
        "d.bias": np.zeros(3, np.float32),
    }
    hints = hints_of_weights(tensors, {"backend": "theano"})
    assert [hint.split(":")[0] for hint in hints] == [
        "the file says that Theano wrote it",
        "values that are not finite in b.weight",
        "nothing but zeros in a.weight",
        "variances below 0 in c.running_var",
    ]


# Relations of single arrays.


@pytest.mark.parametrize("shape", [(8, 4, 5, 3), (6, 4), (6,), (4, 4, 2, 2)])
def test_unrelated_arrays_differ(shape: tuple[int, ...]) -> None:
    assert relation(random(*shape), random(*shape, seed=1)).kind == "differ"


def test_axes_of_other_frameworks() -> None:
    kernel, matrix = random(8, 4, 5, 3), random(6, 4)
    hwio = kernel.transpose(2, 3, 1, 0)
    assert relation(hwio, kernel).kind == "axes permuted"
    assert relation(hwio[::-1, ::-1], kernel).kind == "axes permuted and flipped"
    assert relation(kernel[:, :, ::-1, ::-1], hwio).kind == "axes permuted and flipped"
    assert relation(matrix.T, matrix).kind == "axes permuted"
    assert relation(random(8, 4, 1, 1), random(8, 4, 1, 1)).kind == "equal"
    assert relation(random(8, 4, 1, 1), random(8, 4)).kind == "reshaped"
    assert relation(kernel, random(8, 4, 5, 2)).kind == "shape"


def test_broken_numbers_are_no_relation() -> None:
    a = random(3, 4)
    a[1, 1] = np.nan
    assert relation(a, a).kind == "equal"
    assert relation(a, random(3, 4)).kind == "differ"
    assert relation(np.zeros((0, 3)), np.zeros((0, 3))).kind == "equal"
    assert relation(np.zeros(3), np.ones(3)).kind == "differ"


# Which network it is.


def shapes(name: str, num_classes: int = 1000) -> dict[str, tuple[int, ...]]:
    with init.skip_init():
        net = models.get(name, num_classes=num_classes)
    return {name: array.shape for name, array in net.state_dict().items()}


def test_the_networks_find_themselves() -> None:
    for name in ("lenet5", "alexnet", "googlenet", "resnet20", "resnet50", "vgg13_bn"):
        match = nearest(shapes(name, 17))
        assert match is not None and match.exact
        assert (match.architecture, match.variant) == (name, models.variants(name)[0])
        assert str(match).startswith(f"is {name} (")


def test_the_nearest_network() -> None:
    theirs = shapes("resnet18")
    del theirs["layer1.0.bn1.weight"]
    theirs["layer1.0.conv1.weight"] = (64, 64, 5, 5)
    theirs["extra"] = (3,)
    match = nearest({"extra": (3,), **theirs})
    assert match is not None and match.architecture == "resnet18" and not match.exact
    assert match.missing == ("layer1.0.bn1.weight",)
    assert match.unexpected == ("extra",)
    assert match.misshaped == ("layer1.0.conv1.weight (64, 64, 5, 5) instead of (64, 64, 3, 3)",)
    assert (match.fits, match.total) == (100, 102)
    assert "is nearest to resnet18 (torchvision): 100 of 102 tensors fit" in str(match)


def test_other_names_and_axes() -> None:
    """A Keras-like file: HWIO, and (in, out)."""
    theirs = {f"w{i}": tuple(reversed(shape)) for i, shape in enumerate(shapes("vgg16").values())}
    theirs["w2"] = (3, 3, 64, 63)
    match = nearest(theirs)
    assert match is not None and match.architecture == "vgg16" and match.fits == match.total - 1
    assert match.missing == ("features.2.weight (64, 64, 3, 3)",)
    assert match.unexpected == ("w2 (3, 3, 64, 63)",)


def test_nothing_is_near() -> None:
    assert nearest({}) is None
    assert nearest({"a": (12345, 7)}) is None


def test_pairs_without_partners() -> None:
    a, b = {"x": random(2), "y": random(3)}, {"x": random(2), "z": random(5)}
    assert [(p.name, p.other) for p in pair_up(a, b)] == [("x", "x"), ("y", None), (None, "z")]
