"""Lasagne's files: lists of arrays in the order of the layers, pickled by Python 2 or in .npz.

The order is that of the model zoo's scripts: a network is evaluated here by taking arrays off the
list while its layers are walked through, apart from how the reader does it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import models, nn, no_grad, zoo
from fastconv.autograd import ops, tensor
from fastconv.data import Preset
from pickle_assembly import Call, Name, array_of, pickle_of

RNG = np.random.default_rng(0)


def conv(*shape: int) -> list[np.ndarray]:
    out, *rest = shape
    scale = np.sqrt(2 / np.prod(rest))
    weight = (RNG.standard_normal(shape, np.float32) * scale).astype(np.float32)
    return [weight, RNG.standard_normal(out, np.float32) * np.float32(0.1)]


def dense(inputs: int, outputs: int) -> list[np.ndarray]:
    weight = RNG.standard_normal((inputs, outputs), np.float32) * np.float32(np.sqrt(2 / inputs))
    return [weight, RNG.standard_normal(outputs, np.float32) * np.float32(0.1)]


def norm(channels: int) -> list[np.ndarray]:
    """beta, gamma, mean, 1 / std"""
    beta, mean = RNG.standard_normal((2, channels), np.float32) * np.float32(0.1)
    gamma, inverse = RNG.uniform(0.5, 1.0, (2, channels)).astype(np.float32)
    return [beta, gamma, mean, inverse]


def googlenet() -> list[np.ndarray]:
    widths = [
        (192, 32, 64, 96, 128, 16, 32),
        (256, 64, 128, 128, 192, 32, 96),
        (480, 64, 192, 96, 208, 16, 48),
        (512, 64, 160, 112, 224, 24, 64),
        (512, 64, 128, 128, 256, 24, 64),
        (512, 64, 112, 144, 288, 32, 64),
        (528, 128, 256, 160, 320, 32, 128),
        (832, 128, 256, 160, 320, 32, 128),
        (832, 128, 384, 192, 384, 48, 128),
    ]
    values = [*conv(64, 3, 7, 7), *conv(64, 64, 1, 1), *conv(192, 64, 3, 3)]
    for channels, pool, one, reduce3, three, reduce5, five in widths:
        values += conv(one, channels, 1, 1)
        values += [*conv(reduce3, channels, 1, 1), *conv(three, reduce3, 3, 3)]
        values += [*conv(reduce5, channels, 1, 1), *conv(five, reduce5, 5, 5)]
        values += conv(pool, channels, 1, 1)
    return [*values, *dense(1024, 1000)]


def resnet50() -> list[np.ndarray]:
    values = [*conv(64, 3, 7, 7), *norm(64)]
    channels = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            if block == 0:
                values += [conv(width * 4, channels, 1, 1)[0], *norm(width * 4)]
            values += [conv(width, channels, 1, 1)[0], *norm(width)]
            values += [conv(width, width, 3, 3)[0], *norm(width)]
            values += [conv(width * 4, width, 1, 1)[0], *norm(width * 4)]
            channels = width * 4
    return [*values, *dense(2048, 1000)]


def evaluate_googlenet(values: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    left = list(values)

    def layer(x: Any, **window: Any) -> Any:
        weight, bias = left.pop(0), left.pop(0)
        return ops.relu(ops.conv2d(x, tensor(weight), tensor(bias), **window))

    def pool(x: Any, stride: int = 2, padding: int = 0) -> Any:
        return ops.max_pool2d(x, 3, stride, padding, ceil_mode="caffe")

    def lrn(x: Any) -> Any:  # Lasagne's alpha of 2e-5 is Caffe's 1e-4 over five channels
        return ops.local_response_norm(x, 5, 1e-4, 0.75, 1.0)

    y = lrn(pool(layer(tensor(x), stride=2, padding=3)))
    y = pool(lrn(layer(layer(y), padding=1)))
    for module in range(9):
        one = layer(y)
        three = layer(layer(y), padding=1)
        five = layer(layer(y), padding=2)
        y = ops.concat([one, three, five, layer(pool(y, 1, 1))])
        if module in (1, 6):
            y = pool(y)
    weight, bias = left
    return np.asarray(y.data.mean((2, 3)) @ weight + bias)


def evaluate_resnet50(values: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    left = list(values)

    def take(x: Any, biased: bool = False, **window: Any) -> Any:
        weight = tensor(left.pop(0))
        bias = tensor(left.pop(0)) if biased else None
        y = ops.conv2d(x, weight, bias, **window).data
        beta, gamma, mean, inverse = (left.pop(0)[:, None, None] for _ in range(4))
        return tensor((y - mean) * (gamma * inverse) + beta)

    y = ops.relu(take(tensor(x), True, stride=2, padding=3))
    y = ops.max_pool2d(y, 3, 2, 0, ceil_mode="caffe")
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            shortcut = take(y, stride=stride) if block == 0 else y
            z = ops.relu(take(y, stride=stride))
            z = take(ops.relu(take(z, padding=1)))
            y = ops.relu(ops.add(shortcut, z))
    weight, bias = left
    return np.asarray(y.data.mean((2, 3)) @ weight + bias)


def write(path: Path, values: list[np.ndarray], **more: Any) -> Path:
    model = {key.replace("_", " ").encode(): value for key, value in more.items()}
    path.write_bytes(pickle_of({b"param values": [array_of(v) for v in values], **model}))
    return path


def predicted(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with no_grad():
        return np.asarray(net(x).data)


@pytest.mark.parametrize(
    ("make", "evaluate"), [(googlenet, evaluate_googlenet), (resnet50, evaluate_resnet50)]
)
def test_networks(tmp_path: Path, make: Any, evaluate: Any) -> None:
    values = make()
    mean = np.array([1.0, 2.0, 3.0], np.float32)
    words = [f"class {place}".encode() for place in range(1000)]
    path = write(tmp_path / "a.pkl", values, mean_value=array_of(mean), synset_words=words)
    # What a real unpickler makes of it, so that the sample is known to be a pickle.
    assert pickle.loads(path.read_bytes(), encoding="latin1").keys() == {
        *("param values", "mean value", "synset words")
    }
    net = zoo.load(path)
    assert net.preset == Preset.caffe(mean=(1.0, 2.0, 3.0))
    assert net.classes is not None and net.classes[999] == "class 999"
    x = RNG.standard_normal((1, 3, 64, 64), np.float32)
    expected = evaluate(values, x)
    np.testing.assert_allclose(predicted(net, x), expected, rtol=0, atol=1e-5 * np.ptp(expected))
    np.savez(tmp_path / "a.npz", *values)
    again = zoo.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(predicted(again, x), predicted(net, x))
    assert again.preset is not None and again.preset.order == "BGR"


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_vgg(name: str, tmp_path: Path) -> None:
    # Only where the arrays go: with all of them the file would be half a gigabyte.
    with nn.init.skip_init():
        net = models.get(name, num_classes=5)
    state = net.state_dict()
    state["features.0.weight"][0, 0, 0] = 1, 2, 3
    state["classifier.0.weight"][2, 7] = 4
    tensors = {str(i): a.T if a.ndim == 2 else a for i, a in enumerate(state.values())}
    again = zoo.door.instantiate(zoo.Archive("lasagne", tmp_path, tensors), None, {})
    assert again.architecture is not None and again.architecture[0] == name
    assert again.preset == Preset.caffe() and again.classes is None
    found = again.state_dict()
    assert found["features.0.weight"][0, 0, 0].tolist() == [1, 2, 3]
    assert found["classifier.0.weight"][2, 7] == 4 and found["classifier.6.weight"].shape[0] == 5


def test_caffenet_has_turned_kernels_and_groups_apart(tmp_path: Path) -> None:
    with nn.init.skip_init():
        net = models.alexnet(num_classes=3, variant="caffenet")
    state = {k: RNG.standard_normal(a.shape, np.float32) for k, a in net.state_dict().items()}
    values: list[np.ndarray] = []
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        parts = 2 if name in ("conv2", "conv4", "conv5") else 1
        for w, b in zip(np.split(weight, parts), np.split(bias, parts), strict=True):
            values += [w[:, :, ::-1, ::-1], b]
    for name in ("fc6", "fc7", "fc8"):
        values += [state[f"{name}.weight"].T, state[f"{name}.bias"]]
    tensors = {str(place): value for place, value in enumerate(values)}
    again = zoo.door.instantiate(zoo.Archive("lasagne", tmp_path, tensors), None, {})
    assert again.architecture is not None and again.architecture[1]["variant"] == "caffenet"
    assert again.preset is not None and again.preset.size == (227, 227)
    for name, array in again.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_and_order(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    values = [
        RNG.standard_normal((3, 4)).astype(np.float32),
        np.asfortranarray(RNG.standard_normal((3, 4))),
        np.arange(3).astype(">i2"),
        np.array(3, np.float32),
    ]
    for root in ({"values": values, "mean_image": np.ones((3, 4, 4))}, values):
        path.write_bytes(pickle.dumps(root, protocol))
        archive = zoo.read(path)
        assert archive.format == "lasagne"
        for place, value in enumerate(values):
            found = archive.tensors[str(place)]
            assert (found.dtype, found.shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(found, value)
        wanted = Preset.caffe(mean=(1.0, 1.0, 1.0)) if type(root) is dict else None
        assert archive.preset == wanted


ONE = array_of(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ({"param values": Call(Name("os", "system"), ("touch made",))}, "refused=os.system"),
        ([Call(Name("theano.compile", "x"), ())], "refused=theano.compile.x"),
        ({"a": 1}, "must hold a list of arrays"),
        ([], "must hold a list of arrays"),
        (3, "must hold a list of arrays"),
        ({"values": [ONE, "x"]}, "parameters must be arrays of numbers"),
        ({"values": [ONE], "mean value": "x"}, "must be arrays of numbers"),
        ({"values": [ONE], "mean value": array_of(np.zeros(4))}, "of three channels"),
        ({("a", "b"): [ONE]}, "keys of a dict"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle_of(root))
    with pytest.raises(zoo.FormatError, match=message) as caught:
        zoo.read(path)
    assert str(path) in str(caught.value) and not (tmp_path / "made").exists()


def test_truncated_and_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", [np.zeros((2, 3), np.float32)])
    whole = path.read_bytes()
    for length in range(3, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(zoo.FormatError):
            zoo.read(path)
    path.write_bytes(whole)
    with pytest.raises(zoo.FormatError, match="must be those of a known network"):
        zoo.load(path)


def test_a_batch_norm_without_a_variance(tmp_path: Path) -> None:
    values = resnet50()
    values[5] = np.zeros(64, np.float32)
    tensors = {str(place): value for place, value in enumerate(values)}
    with pytest.raises(zoo.FormatError, match=r"must be positive \(layer=bn1, smallest=0.0"):
        zoo.door.instantiate(zoo.Archive("lasagne", tmp_path, tensors), None, {})
