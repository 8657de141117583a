"""Exported networks against ONNX's own evaluation of the files, written apart from this library."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")

from compiler.networks import Apply, layered, pictures, randomise  # noqa: E402
from fastconv import models, nn, zoo  # noqa: E402
from fastconv.compiler.kernels import RECORDED  # noqa: E402
from fastconv.data import Preset  # noqa: E402
from fastconv.zoo import metadata  # noqa: E402
from fastconv.zoo.writers.onnx_file import write_model  # noqa: E402
from fastconv.zoo.writers.onnx_nodes import GraphWriter  # noqa: E402
from zoo.onnx_export import LAYERS, assert_same_answers, exported  # noqa: E402


class LRN(onnx.reference.op_run.OpRun):  # type: ignore[name-defined, misc]
    """Written from the operator's definition; the package's own mixes up batch and channels."""

    op_domain = ""

    def _run(self, x: np.ndarray, alpha: Any, beta: Any, bias: Any, size: Any) -> Any:
        channels = x.shape[1]
        squares = np.zeros_like(x)
        for c in range(channels):
            first = max(0, c - (size - 1) // 2)
            last = min(channels - 1, c + size // 2)
            squares[:, c] = (x[:, first : last + 1] ** 2).sum(1)
        return (x / (bias + alpha / size * squares) ** beta,)


def evaluate(path: Path, x: np.ndarray) -> np.ndarray:
    evaluator = onnx.reference.ReferenceEvaluator(str(path), new_ops=[LRN])
    result: np.ndarray = evaluator.run(None, {evaluator.input_names[0]: x})[0]
    return result


# The package's own evaluation of a transposed convolution knows no groups.
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"transposed conv in groups"}))
def test_layers(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    assert_same_answers(evaluate, randomise(make()), tmp_path / "net.onnx", shape)


@pytest.mark.parametrize("opset", [13, 18, onnx.defs.onnx_opset_version()])
def test_other_opsets(opset: int, tmp_path: Path) -> None:
    net = Apply(lambda self, x: self.pool(x).mean(3).sum(1), pool=nn.AvgPool2d(2, ceil_mode=True))
    shape = (1, 3, 5, 7)
    model = assert_same_answers(evaluate, net, tmp_path / "net.onnx", shape, opset=opset)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]


def test_networks(tmp_path: Path) -> None:
    assert_same_answers(evaluate, randomise(models.lenet5()), tmp_path / "a.onnx", (1, 1, 28, 28))
    net = randomise(models.resnet20())
    assert_same_answers(evaluate, net, tmp_path / "b.onnx", (1, 3, 8, 8))


def test_all_that_tracing_records_has_operators() -> None:
    writer = GraphWriter.__dict__
    dropped = {"dropout", "to_channels_last", "to_contiguous"}
    recorded_as = {
        "batch_norm_training": None,  # refused
        "clip": "activation",
        "conv2d_backward_input": "conv_transpose2d",
        "gemm": "linear",
        "global_avg_pool2d": "adaptive_avg_pool2d",
        "leaky_relu": "activation",
        "relu": "activation",
    }
    for name in RECORDED.keys() - dropped:
        kind = recorded_as.get(name, name)
        assert kind is None or kind in writer, name


def test_names_and_sizes(tmp_path: Path) -> None:
    net = nn.Sequential(
        conv=nn.Conv2d(3, 4, 3),
        norm=nn.BatchNorm2d(4),
        scale=nn.Affine(4),
        relu=nn.PReLU(4),
        flat=nn.Flatten(),
        fc=nn.Linear(16, 2),
    )
    model = exported(
        randomise(net), tmp_path / "net.onnx", (2, 3, 4, 4), input_name="x", output_name="y"
    )
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert shapes == {
        "conv.weight": [4, 3, 3, 3],
        "conv.bias": [4],
        "norm.weight": [4],
        "norm.bias": [4],
        "norm.running_mean": [4],
        "norm.running_var": [4],
        "scale.weight": [1, 4, 1, 1],
        "scale.bias": [1, 4, 1, 1],
        "relu.weight": [4, 1, 1],
        "fc.weight": [2, 16],
        "fc.bias": [2],
    }
    assert [(node.name, node.op_type) for node in model.graph.node] == [
        ("conv/Conv", "Conv"),
        ("norm/BatchNormalization", "BatchNormalization"),
        ("scale/Mul", "Mul"),
        ("scale/Add", "Add"),
        ("relu/PRelu", "PRelu"),
        ("flat/Flatten", "Flatten"),
        ("fc/Gemm", "Gemm"),
    ]
    assert [sizes(value) for value in model.graph.input] == [("x", ["N", 3, 4, 4])]
    assert [sizes(value) for value in model.graph.output] == [("y", ["N", 2])]
    assert (model.producer_name, model.ir_version) == ("fastconv", 8)


def sizes(value: Any) -> tuple[str, list[Any]]:
    return value.name, [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_one_weight_in_two_shapes_and_in_part(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        w = self.part.weight
        return (x * w.reshape(1, 3, 1, 1) + w.reshape(3, 1, 1)) * w.data[:1] + w.data[::2].sum()

    net = randomise(Apply(forward, part=nn.PReLU(3)))
    model = assert_same_answers(evaluate, net, tmp_path / "net.onnx", (2, 3, 4, 4))
    names = [tensor.name for tensor in model.graph.initializer]
    assert names[0] == "part.weight" and len(set(names)) == 4


def test_parameters_called_like_input_and_output(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.input = nn.Parameter(np.array([2], np.float32))
            self.output = nn.Parameter(np.array([3], np.float32))

        def forward(self, x: Any) -> Any:
            return x * self.input + self.output

    message = r"^export_onnx: input_name and output_name must not be names of the state dict"
    with pytest.raises(ValueError, match=message):
        zoo.export_onnx(Net(), tmp_path / "net.onnx", (1, 2))
    names = {"input_name": "x", "output_name": "y"}
    assert_same_answers(evaluate, Net(), tmp_path / "net.onnx", (1, 2), **names)


def test_a_fixed_batch(tmp_path: Path) -> None:
    net = Apply(lambda self, x: x + float(len(x)))
    message = (
        r"^export_onnx: a layer depends on the number of pictures; dynamic_batch=False writes "
        r"the network for that number alone \(network=Apply, batch=2\)"
    )
    with pytest.raises(ValueError, match=message):
        zoo.export_onnx(net, tmp_path / "net.onnx", (2, 5))
    assert not list(tmp_path.iterdir())
    model = exported(net, tmp_path / "net.onnx", (2, 5), dynamic_batch=False)
    assert [sizes(value) for value in model.graph.input] == [("input", [2, 5])]
    x = pictures(2, 5)
    np.testing.assert_array_equal(evaluate(tmp_path / "net.onnx", x), layered(net, x))


def test_metadata(tmp_path: Path) -> None:
    net = models.lenet5()
    net.preset = Preset((28, 28), 32, "L", (33.3,), (1 / 78.6,), "bicubic")
    net.classes = tuple("zéroonetwos78")
    model = exported(net, tmp_path / "net.onnx", (1, 28, 28), license="CC0-1.0")
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata.preset_in(entries) == net.preset
    assert metadata.classes_in(entries) == net.classes
    assert entries[metadata.LICENSE] == "CC0-1.0"
    assert json.loads(entries["fastconv.preset"])["mean"] == [33.3]
    architecture = ("lenet5", {"variant": "paper"})
    entries = metadata.metadata_of(models.lenet5(), architecture=architecture)
    assert entries == {"fastconv.architecture": '["lenet5", {"variant": "paper"}]'}
    assert metadata.architecture_in(entries) == architecture


@pytest.mark.parametrize(
    "key, text, message",
    [
        ("fastconv.preset", "{", r"fastconv.preset must hold JSON \(found='{'\)"),
        ("fastconv.preset", "[" * 100_000, r"fastconv.preset must hold JSON"),
        ("fastconv.preset", "[]", r"fastconv.preset must hold a preset's fields"),
        ("fastconv.preset", '{"a": 1}', r"fastconv.preset must hold a preset's fields"),
        ("fastconv.preset", '{"size": 3}', r"fastconv.preset must hold a preset's fields"),
        ("fastconv.preset", '{"order": "X"}', r"reason=Preset: order must be one of"),
        ("fastconv.classes", '{"a": 1}', r"fastconv.classes must hold a list of texts"),
        ("fastconv.classes", '["a", 1]', r"fastconv.classes must hold a list of texts"),
        (
            "fastconv.architecture",
            '"lenet5"',
            r"fastconv.architecture must hold a name and options",
        ),
        ("fastconv.architecture", '["a", []]', r"fastconv.architecture must hold a name and opt"),
    ],
)
def test_damaged_metadata(key: str, text: str, message: str) -> None:
    readers = (metadata.preset_in, metadata.classes_in, metadata.architecture_in)
    assert [read({}) for read in readers] == [None, None, None]
    with pytest.raises(zoo.FormatError, match=message):
        for read in readers:
            read({key: text})


REFUSED: list[tuple[Any, tuple[int, ...], dict[str, Any], type[Exception], str]] = [
    (nn.LocalResponseNorm(4), (1, 8, 2, 2), {}, ValueError, r"agree for odd sizes only \(layer=0 "),
    (nn.Softmax(0), (2, 3), {}, ValueError, r"0 \(Softmax\) takes the softmax over the batch"),
    (nn.Permute(1, 0), (2, 3), {}, ValueError, r"0 \(Permute\) moves the first axis, the batch"),
    (nn.Permute(0, 2, 1), (2, 3), {}, ValueError, r"0 \(Permute\) does not fit its input"),
    (nn.Conv2d(3, 4, 3), (3, 2, 2), {}, ValueError, r"0 \(Conv2d\) does not fit its input: conv2d"),
    (nn.ReLU(), (3,), {"opset": 12}, ValueError, r"opset must be from 13 to \d+, .* \(opset=12\)"),
    (nn.ReLU(), (3,), {"opset": 10_000}, ValueError, r"opset must be from 13"),
    (nn.ReLU(), (3,), {"opset": "17"}, TypeError, r"opset must be an integer"),
    (nn.ReLU(), (3,), {"dynamic_batch": 2}, TypeError, r"dynamic_batch must be"),
    (nn.ReLU(), (3,), {"input_name": ""}, ValueError, r"must be two different texts"),
    (nn.ReLU(), (3,), {"input_name": "output"}, ValueError, r"must be two different texts"),
    (nn.ReLU(), (0,), {}, ValueError, r"input_shape must be at least 1"),
    (nn.ReLU(), (1, 2, 3, 4, 5), {}, ValueError, r"input_shape must be \(N, C, H, W\)"),
]


@pytest.mark.parametrize("layer, shape, options, error, message", REFUSED)
def test_refused(
    layer: nn.Module,
    shape: tuple[int, ...],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(error, match=f"^export_onnx: .*{message}"):
        zoo.export_onnx(nn.Sequential(layer), path, shape, **options)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bad_targets(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "net.onnx"):
        with pytest.raises(
            ValueError, match=r"^export_onnx: the file must lie in an existing folder"
        ):
            zoo.export_onnx(models.lenet5(), path)
    with pytest.raises(TypeError, match=r"^export_onnx: net must be a Module \(type=int\)"):
        zoo.export_onnx(3, tmp_path / "net.onnx")  # type: ignore[arg-type]


def test_too_large(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    tensors = {"a": np.broadcast_to(np.float32(0), (1 << 15, 1 << 14))}
    with pytest.raises(ValueError, match=r"must be smaller than 2 GiB \(bytes=2147483\d{3}\)"):
        write_model(tmp_path / "net.onnx", model, tensors)
    assert not list(tmp_path.iterdir())


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'fastconv\[zoo\]'"):
        zoo.export_onnx(models.lenet5(), tmp_path / "net.onnx")


def test_training_goes_on(tmp_path: Path) -> None:
    net = models.lenet5()
    before = {name: array.copy() for name, array in net.state_dict().items()}
    zoo.export_onnx(net, tmp_path / "net.onnx")
    assert all(module.training for module in net.modules())
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
