"""Calling a compiled network: layouts, out=, batches, threads, pickles, bytes, bad arguments."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastconv
from compare import layouts
from compiler.networks import Apply, assert_agree, layered, pictures, randomise
from fastconv import _core, models, nn
from fastconv.compiler import CompiledNetwork
from fastconv.data import Preset

NORMAL = (255 * np.array([0.485, 0.456, 0.406]), 1 / (255 * np.array([0.229, 0.224, 0.225])))


def small(**options: Any) -> tuple[nn.Module, CompiledNetwork]:
    """A network of maps, for input (2, 3, 9, 8) and output (2, 4, 4, 3)."""
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2, 2)))
    return net, fastconv.compile(net, (2, 3, 9, 8), **options)


def test_sizes() -> None:
    _, compiled = small()
    assert compiled.input_shape == (2, 3, 9, 8)
    assert compiled.output_shape == (2, 4, 3, 3)
    assert compiled.arena_bytes >= 4 * 2 * 4 * 7 * 6
    assert fastconv.compile(models.lenet5()).input_shape == (1, 1, 28, 28)
    assert fastconv.compile(models.lenet5(), [1, 28, 28]).output_shape == (1, 10)
    assert fastconv.compile(nn.Linear(3, 2), (3,)).input_shape == (1, 3)
    assert fastconv.compile(nn.Linear(3, 2), (5, 3)).output_shape == (5, 2)


def test_every_layout_gives_the_same_bits() -> None:
    net, compiled = small()
    x = pictures(2, 3, 9, 8)
    expected = compiled(x)
    assert_agree(expected, layered(net, x))
    for name, array in layouts(x):
        before = array.copy()
        np.testing.assert_array_equal(compiled(array), expected, err_msg=name)
        np.testing.assert_array_equal(array, before)


def test_results_are_new_and_channels_last() -> None:
    _, compiled = small()
    x = pictures(2, 3, 9, 8)
    y = compiled(x)
    kept = y.copy()
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous and y.flags.writeable
    compiled(-x)
    np.testing.assert_array_equal(y, kept)


def test_out() -> None:
    _, compiled = small()
    x = pictures(2, 3, 9, 8)
    out = fastconv.functional.to_channels_last(np.full(compiled.output_shape, np.nan, np.float32))
    assert compiled(x, out=out) is out
    np.testing.assert_array_equal(out, compiled(x))
    # Unaligned memory, and rows of a wider array that has only one.
    lenet = fastconv.compile(randomise(models.lenet5()), (1, 1, 28, 28))
    x = pictures(1, 1, 28, 28)
    for out in (np.full(11, np.nan, np.float32)[1:].reshape(1, 10), np.zeros((3, 10), "f4")[:1]):
        assert lenet(x, out=out) is out
        np.testing.assert_array_equal(out, lenet(x))


@pytest.mark.parametrize("networks", [1, 3])
def test_several_python_threads_at_once(networks: int) -> None:
    with nn.init.skip_init():
        net = randomise(models.googlenet())
    compiled = [fastconv.compile(net, (1, 3, 64, 64)) for _ in range(networks)]
    xs = [pictures(1, 3, 64, 64, seed=seed) for seed in range(12)]
    expected = [compiled[0](x) for x in xs]

    def run(i: int) -> np.ndarray:
        return compiled[i % networks](xs[i % len(xs)])

    with ThreadPoolExecutor(6) as pool:
        for i, y in enumerate(pool.map(run, range(120))):
            np.testing.assert_array_equal(y, expected[i % len(xs)])


def test_other_batches() -> None:
    net, compiled = small()
    for batch in (1, 5, 2, 5, 3):
        x = pictures(batch, 3, 9, 8)
        assert_agree(compiled(x), layered(net, x))
    assert compiled(np.zeros((0, 3, 9, 8), np.float32)).shape == (0, 4, 3, 3)
    assert compiled.input_shape == (2, 3, 9, 8)
    # Many sizes: old ones are forgotten, and come back.
    for batch in (*range(1, 14), 1, 2):
        assert len(compiled(pictures(batch, 3, 9, 8))) == batch


def test_other_batches_of_all_that_walks_along_axes() -> None:
    ops = fastconv.autograd.ops
    table = pictures(6, 1, 3)

    def forward(self: Any, x: Any) -> Any:
        x = self.up(x)
        x = x * ops.sigmoid(x.mean((2, 3), keepdim=True)) - x.sum(1, keepdim=True)
        x = ops.permute(x.reshape(len(x), 2, 3, 10, 8), (0, 2, 1, 3, 4)).reshape(x.shape)
        x = x[:, :, 1::2, :3][:, np.array([4, 0, 0, 1, 5, 2])] / (table * table + 1)
        return self.fc(x).mean(3)

    net = randomise(Apply(forward, up=nn.ConvTranspose2d(4, 6, 4, 2, 1), fc=nn.Linear(3, 2)))
    compiled = fastconv.compile(net, (2, 4, 5, 4))
    for batch in (1, 5, 2):
        x = pictures(batch, 4, 5, 4)
        assert_agree(compiled(x), layered(net, x))
    other = pickle.loads(pickle.dumps(compiled))
    np.testing.assert_array_equal(other(x), compiled(x))


def test_other_batches_from_several_threads() -> None:
    net, compiled = small()
    xs = [pictures(batch, 3, 9, 8) for batch in range(1, 7)]
    with ThreadPoolExecutor(6) as pool:
        for x, y in zip(xs * 5, pool.map(compiled, xs * 5), strict=True):
            assert_agree(y, layered(net, x))


def test_other_batches_refused() -> None:
    _, compiled = small(batch="error")
    message = (
        r"must have the compiled batch; batch='recompile' takes others too \(expected=2, batch"
    )
    with pytest.raises(ValueError, match=message):
        compiled(pictures(3, 3, 9, 8))
    assert compiled(pictures(2, 3, 9, 8)).shape == (2, 4, 3, 3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_pickles(copied: Any) -> None:
    net = randomise(models.get("googlenet", variant="torchvision", transform_input=True))
    compiled = fastconv.compile(net, (2, 3, 64, 64), preset=NORMAL)
    x = pictures(2, 3, 64, 64)
    expected = compiled(x)
    other = copied(compiled)
    single = compiled(x[:1])
    for parameter in net.parameters():
        parameter.data[...] = 0
    assert repr(other) == repr(compiled)
    np.testing.assert_array_equal(other(x), expected)
    np.testing.assert_array_equal(other(x[:1]), single)
    bytes_ = np.zeros((2, 3, 64, 64), np.uint8)
    np.testing.assert_array_equal(other(bytes_), compiled(bytes_))


def test_training_afterwards_is_noticed() -> None:
    net, compiled = small()
    x = pictures(3, 3, 9, 8)
    expected = compiled(x[:2])
    net[0].weight.data *= 2
    np.testing.assert_array_equal(compiled(x[:2]), expected)
    message = r"compile: the network's weights have changed since it was compiled"
    with pytest.raises(ValueError, match=message):
        compiled(x)
    with pytest.raises(ValueError, match=message):
        pickle.dumps(compiled)
    assert not np.array_equal(fastconv.compile(net, (2, 3, 9, 8))(x[:2]), expected)


@pytest.mark.parametrize("channels, preset", [(3, NORMAL), (3, (0, 1)), (1, (33.3, 0.003))])
def test_pictures_of_bytes(channels: int, preset: Any) -> None:
    net = randomise(nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU()))
    compiled = fastconv.compile(net, (2, channels, 7, 9), preset=preset)
    x = np.random.default_rng(0).integers(0, 256, (2, channels, 7, 9), np.uint8)
    mean, scale = (np.reshape(v, (-1, 1, 1)) for v in preset)
    floats = ((x - mean) * scale).astype(np.float32)
    expected = compiled(floats)
    assert_agree(expected, layered(net, floats))
    lines = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    for array in (x, lines.transpose(0, 3, 1, 2), np.asfortranarray(x), np.flip(np.flip(x).copy())):
        np.testing.assert_array_equal(compiled(array), expected)
    np.testing.assert_array_equal(compiled(lines), expected)
    np.testing.assert_array_equal(compiled(lines[::-1]), expected[::-1])
    one = compiled(lines[:1])
    np.testing.assert_array_equal(one, expected[:1])
    np.testing.assert_array_equal(compiled(x[:1]), expected[:1])


PRESETS = [
    Preset.imagenet(12, 14),
    Preset.caffe(12, 14),
    Preset((12, 12), None, "BGR", (1, 2, 3), (0.1, -0.2, 0.3)),
    Preset((12, 12), None, "L", (33.3,), (0.003,)),
]


@pytest.mark.parametrize("preset", PRESETS, ids=["imagenet", "caffe", "scaled", "grey"])
def test_the_networks_preset(preset: Preset) -> None:
    channels = len(preset.mean)
    net = randomise(nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU()))
    net.preset = preset
    compiled = fastconv.compile(net, preset=net.preset)
    photos = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), np.uint8)
    if preset.order == "L":
        photos[:] = photos[:, :, :, :1]  # of grey photos luma is what they hold
    # Photos that need no resizing: what is left of the preset is order, mean and scale.
    plain = dataclasses.replace(preset, resize=None).batch(photos)
    expected = layered(net, plain[:1])
    cut = photos[:1, :, :, :channels]
    given = cut.copy()
    for x in (cut, np.ascontiguousarray(cut), np.ascontiguousarray(cut.transpose(0, 3, 1, 2))):
        assert_agree(compiled(x), expected)
        assert_agree(pickle.loads(pickle.dumps(compiled))(x), expected)
    np.testing.assert_array_equal(cut, given)
    assert_agree(compiled(plain[:1]), expected)  # what is prepared already
    # Another batch, and into an array.
    assert_agree(compiled(photos[:, :, :, :channels]), layered(net, plain))
    out = compiled(cut)
    assert compiled(cut, out=out) is out
    with pytest.raises(ValueError, match=r"compiled shape .*shape=\(1, 9, 12, "):
        compiled(cut[:, :9])


def test_a_network_of_a_zoo_on_a_photo() -> None:
    net = randomise(models.get("alexnet", variant="caffe", num_classes=5)).eval()
    net.preset = Preset.caffe(227)
    photo = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    cut = photo[14:241, 14:241]
    compiled = fastconv.compile(net, (1, 3, 227, 227), preset=net.preset)
    assert_agree(compiled(cut[None]), layered(net, net.preset.batch([photo])))


def test_bf16_halves_linear_weights() -> None:
    net = randomise(nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 50)))
    x = pictures(2, 300)
    compiled = fastconv.compile(net, x.shape, weights="bf16")
    error = np.abs(compiled(x) - layered(net, x)).max() / np.abs(layered(net, x)).max()
    assert 1e-6 < error < 1e-2
    assert "bf16" in repr(compiled)


def test_the_networks_own_threads() -> None:
    # In a process of its own: elsewhere a count was set for all.
    code = (
        "import numpy as np, fastconv; "
        "net = fastconv.models.lenet5().eval(); "
        "x = np.ones((3, 1, 28, 28), np.float32); "
        "compiled = [fastconv.compile(net, x.shape, threads=n) for n in (1, 2, 3, None)]; "
        "before = fastconv.get_num_threads(); "
        "results = {c(x).tobytes() for c in compiled}; "
        "assert len(results) == 1; "
        "assert fastconv.get_num_threads() == before; "
        "assert '1 thread,' in str(compiled[0].profile(repeats=1)) "
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_table() -> None:
    net = nn.Sequential(
        conv=nn.Conv2d(3, 8, 3, stride=2), norm=nn.BatchNorm2d(8), relu=nn.ReLU6(), fc=nn.Flatten()
    )
    net.append(nn.Linear(8 * 3 * 3, 5))
    compiled = fastconv.compile(net, (2, 3, 8, 8))
    assert repr(compiled).splitlines() == [
        "CompiledNetwork of Sequential, 2x3x8x8 -> 2x5",
        "-" * 80,
        "layer  step                algorithm  output   parameters   MACs          memory",
        "-" * 80,
        "conv   conv 3x3/2 + relu6  direct     2x8x3x3         224  3,888  576 B at 1,536",
        "4      linear                         2x5             365    720          output",
        "-" * 80,
        "2 steps, 589 parameters, 4,608 MACs; arena 2.1 KiB for 616 B of results",
    ]


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    _, compiled = small()
    compiled.print()
    assert capsys.readouterr().out == repr(compiled) + "\n"


def bad_calls() -> list[tuple[Any, Any, type[Exception], str]]:
    x = pictures(2, 3, 9, 8)
    read_only = fastconv.functional.to_channels_last(np.zeros((2, 4, 3, 3), np.float32))
    read_only.flags.writeable = False
    return [
        ([1.0], None, TypeError, r"x must be a NumPy array \(type=list\)"),
        (fastconv.tensor(x), None, TypeError, r"x must be a NumPy array \(type=Tensor\)"),
        (x.astype(np.float64), None, TypeError, r"x must be float32; convert .* \(dtype=float64\)"),
        (x.astype(np.uint8), None, TypeError, r"need a network compiled with a preset"),
        (x.astype(">f4"), None, TypeError, r"x must be float32"),
        (x[0], None, ValueError, r"shape \(expected=\(2, 3, 9, 8\), shape=\(3, 9, 8\)\)"),
        (
            x[:, :2],
            None,
            ValueError,
            r"x must have the compiled shape \(expected=\(2, 3, 9, 8\), sh",
        ),
        (x[:, :, 1:], None, ValueError, r"x must have the compiled shape"),
        (x, 3, TypeError, r"out must be a NumPy array \(type=int\)"),
        (x, np.zeros((2, 4, 3, 3)), TypeError, r"out must be float32 \(dtype=float64\)"),
        (x, np.zeros((2, 4, 9), "f4"), ValueError, r"out must have the output's shape \(expected="),
        (x, np.zeros((2, 4, 3, 3), "f4"), ValueError, r"out must have channels-last memory"),
        (x, read_only, ValueError, r"out must be writable"),
    ]


@pytest.mark.parametrize("x, out, error, message", bad_calls())
def test_bad_calls(x: Any, out: Any, error: type[Exception], message: str) -> None:
    net, compiled = small()
    with pytest.raises(error, match=rf"^compile: .*{message}"):
        compiled(x, out=out)
    good = pictures(2, 3, 9, 8)
    assert_agree(compiled(good), layered(net, good))


def test_out_must_be_apart() -> None:
    compiled = fastconv.compile(nn.Sequential(nn.ReLU()), (2, 6))
    memory = np.zeros((3, 6), np.float32)
    with pytest.raises(ValueError, match=r"compile: out must not overlap x"):
        compiled(memory[:2], out=memory[1:])
    with pytest.raises(ValueError, match=r"compile: out must be C-contiguous"):
        compiled(memory[:2], out=np.zeros((6, 2), np.float32).T)
    assert compiled(memory[:2], out=np.zeros((2, 6), np.float32)).shape == (2, 6)


@pytest.mark.parametrize(
    "arguments, options, error, message",
    [
        ((len, (1, 2)), {}, TypeError, r"net must be a Module \(type=builtin_function_or_method\)"),
        ((nn.ReLU(),), {}, ValueError, r"give input_shape, .* \(network=ReLU\)"),
        ((nn.ReLU(), 3), {}, TypeError, r"input_shape must be a tuple of sizes \(input_shape=3\)"),
        ((nn.ReLU(), (1, 2.0)), {}, TypeError, r"input_shape must be an integer"),
        ((nn.ReLU(), (1, 0)), {}, ValueError, r"input_shape must be at least 1"),
        ((nn.ReLU(), (1,) * 5), {}, ValueError, r"input_shape must be \(N, C, H, W\)"),
        ((nn.ReLU(), (3,)), {"winograd": 1}, TypeError, r"winograd must be True or False"),
        (
            (nn.ReLU(), (3,)),
            {"threads": 0},
            ValueError,
            r"threads must be at least 1 \(threads=0\)",
        ),
        ((nn.ReLU(), (3,)), {"threads": 1.5}, TypeError, r"threads must be an integer"),
        ((nn.ReLU(), (3,)), {"weights": "int8"}, ValueError, r"weights must be 'fp32' or 'bf16'"),
        ((nn.ReLU(), (3,)), {"batch": "any"}, ValueError, r"batch must be 'recompile' or 'error'"),
        ((nn.ReLU(), (3,)), {"preset": (0, 1)}, ValueError, r"a preset is for pictures"),
        ((nn.ReLU(), (3, 2, 2)), {"preset": 1}, TypeError, r"preset must be None, \(mean, scale"),
        ((nn.ReLU(), (1, 2, 2)), {"preset": Preset.caffe()}, ValueError, r"values=3, channels=1"),
        ((nn.ReLU(), (3, 2, 2)), {"preset": (0, [1])}, ValueError, r"one value per channel"),
        (
            (nn.ReLU(), (3, 2, 2)),
            {"preset": (0, "a")},
            TypeError,
            r"scale of preset must be a numb",
        ),
        ((nn.ReLU(), (1, 2, 2)), {"preset": ([np.inf], 1)}, ValueError, r"mean .* must be finite"),
    ],
)
def test_bad_compilations(
    arguments: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"^compile: .*{message}"):
        fastconv.compile(*arguments, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_no_memory_for_the_arena() -> None:
    code = """
import re, resource
import numpy as np, fastconv
from fastconv import nn
fastconv.set_num_threads(1)
net = nn.Sequential(nn.Conv2d(1, 1024, 1), nn.MaxPool2d(256)).eval()
compiled = fastconv.compile(net, (1, 1, 256, 256))
x = np.zeros((1, 1, 256, 256), np.float32)
used = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20), resource.RLIM_INFINITY))
try:
    compiled(x)
except MemoryError as error:
    assert f"compile: no memory for the arena (bytes={compiled.arena_bytes})" in str(error), error
else:
    raise AssertionError("there was memory")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert compiled(x).shape == (1, 1024, 1, 1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_core_checks_views() -> None:
    shape = (1, 2, 3, 3)
    input = _core.View("arena", 0, 2, (1, 3, 3, 2))

    def network() -> _core.Network:
        return _core.Network(input, shape, shape, 32, 0)

    def view(memory: str = "arena", offset: int = 0, pixel: int = 2, c: int = 2) -> _core.View:
        return _core.View(memory, offset, pixel, (1, 3, 3, c))

    conv = _core.PackedConv2d(
        np.zeros((2, 2, 1, 1), np.float32), None, (1, 1), (0, 0, 0, 0), (1, 1), 1, None
    )
    for x, y, message in [
        (view(offset=15), view("output"), r"a view must lie in its memory"),
        (view(offset=-1), view("output"), r"sizes must not be negative"),
        (view("input"), view("input"), r"the input must not be written to"),
        (view(pixel=1), view("output"), r"pixels of a view must not overlap"),
        (view(c=1), view("output"), r"must have fitting channels"),
        (view(pixel=2**40), view("output"), r"a view must lie in its memory"),
        (view(pixel=2**62), view("output"), r"the size of an array overflows 64 bits"),
    ]:
        with pytest.raises(ValueError, match=message):
            network().add_conv2d(conv, x, None, y)
        with pytest.raises(ValueError):
            network().add_activation("relu", x, y)
    with pytest.raises(ValueError, match=r"the step needs dense views"):
        network().add_activation("relu", view(pixel=3), view("output"))
    with pytest.raises(ValueError, match=r"must have fitting pixel strides"):
        network().add_conv2d(conv, view("input"), view(pixel=3), view("output"))
    small = _core.View("output", 0, 2, (1, 1, 1, 2))
    network().add_conv2d(conv, view("input"), None, small, True)
    with pytest.raises(ValueError, match=r"must have fitting heights"):
        network().add_conv2d(conv, view("input"), None, view("output"), True)
    with pytest.raises(ValueError, match=r"with pooling, there must be no residual"):
        network().add_conv2d(conv, view("input"), small, small, True)
    axes = [(9, 2, 2), (2, 1, 1)]
    for arguments, message in [
        ((axes, view("input"), view(), None), None),
        (([(9, 2, 0), (2, 1, 1)], view("input"), None, np.ones(2, np.float32)), None),
        (([(9, 2, 2), (1, 1, 1)], view("input"), view(), None), r"must have fitting sizes"),
        (([(9, 2, 2), (2, 1, 2)], view("input"), view(), None), r"an operand must lie in its mem"),
        (([(9, 2**62, 2), (2, 1, 1)], view("input"), view(), None), r"overflows 64 bits"),
        (([(9, 2, -2), (2, 1, 1)], view("input"), view(), None), r"sizes must not be negative"),
        ((axes, view("input"), None, np.ones(17, np.float32)), r"an operand must lie in its mem"),
        ((axes, view("input"), None, None), r"an operand must lie in its memory"),
        ((axes, view("input"), view(pixel=3), None), r"the step needs dense views"),
        ((axes, view("input"), view(offset=15), None), r"a view must lie in its memory"),
        (([], view("input"), view(), None), r"must have fitting sizes"),
    ]:
        if message is None:
            network().add_arithmetic("mul", *arguments, view("output"))
        else:
            with pytest.raises(ValueError, match=message):
                network().add_arithmetic("mul", *arguments, view("output"))
    with pytest.raises(ValueError, match=r"function must be add, sub, mul or div \(function=pow\)"):
        network().add_arithmetic("pow", axes, view("input"), view(), None, view("output"))
    with pytest.raises(TypeError, match=r"constant has the wrong dtype"):
        network().add_arithmetic("mul", axes, view("input"), None, np.ones(18), view("output"))
    for first in (1, -1, 2**62):
        with pytest.raises(ValueError, match=r"an operand must lie|must not be negative"):
            network().add_gather(axes, first, view("input"), view("output"))
    for channels, message in [
        ([0, 2], r"channels must be those of x \(channel=2, channels=2\)"),
        ([-1, 0], r"channels must be those of x"),
        ([0], r"must have fitting channels"),
    ]:
        with pytest.raises(ValueError, match=message):
            network().add_take(channels, view("input"), view("output"))
    with pytest.raises(ValueError, match=r"a view must lie in its memory"):
        _core.Network(input, shape, shape, 17, 0)
    # What was refused left the network as it was.
    good = network()
    with pytest.raises(ValueError):
        good.add_activation("relu", view(offset=15), view("output"))
    good.add_activation("relu", view("input"), view("output"))
    x = pictures(*shape)
    np.testing.assert_array_equal(good.run(x), np.maximum(x, 0))


def test_arithmetic_gives_the_same_bits_at_any_number_of_threads() -> None:
    def forward(self: Any, x: Any) -> Any:
        gate = fastconv.autograd.ops.sigmoid(x.mean((2, 3), keepdim=True))
        return (x * gate)[:, :, 1:].reshape(len(x), 8, -1) / 3

    net, x = Apply(forward), pictures(3, 8, 40, 33)
    results = [fastconv.compile(net, x.shape, threads=n)(x) for n in (1, 2, 3)]
    assert_agree(results[0], layered(net, x))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_a_layer_by_itself() -> None:
    net = randomise(Apply(lambda self, x: self.fc(x), fc=nn.Linear(4, 3)))
    x = pictures(1, 4)
    assert_agree(fastconv.compile(net, (4,))(x), layered(net, x))


def test_no_memory_for_weights_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any) -> Any:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr("fastconv.compiler.packing.Packer.linear", exhausted)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(MemoryError, match=r"compile: .*packed weights \(layer=1, step=linear\)"):
        fastconv.compile(net, (1, 3, 2, 2))


@pytest.mark.parametrize("spare", [-1, 0])
def test_weights_that_caches_do_not_keep_come_from_memory(
    spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay, pack = [], _core.PackedConv2d

    def packed(*args: Any) -> Any:
        stay.append(args[-1])
        return pack(*args)

    net = nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False))
    floats = 16 * 3 * 9 + 16 * 16 * 9
    monkeypatch.setattr("fastconv.compiler.packing._core.PackedConv2d", packed)
    monkeypatch.setattr(
        "fastconv.compiler.packing._core.kept_weight_bytes", lambda: 4 * floats + spare
    )
    fastconv.compile(net, (1, 3, 9, 9))
    assert stay == 2 * [spare == 0]
