"""torchvision's networks, saved by PyTorch in its ways, compute here what they compute there."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastconv import no_grad, zoo
from fastconv.data import Preset

pytestmark = pytest.mark.donor
torch = pytest.importorskip("torch")

from torch_networks import Basic, Bottle, GoogLeNet, ResNet, alexnet, randomized, vgg  # noqa: E402

ZIP, STREAM = True, False


def save(value: Any, path: Path, layout: bool = ZIP) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=layout)
    return path


def compare(net: Any, theirs: Any, size: int = 64) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    with no_grad(), torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x)).numpy()
        found = net(x).numpy()
    assert not net.training
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def googlenet() -> Any:
    """torchvision's, with transform_input: pictures enter normalised by ImageNet's statistics."""

    class Transformed(GoogLeNet):
        def forward(self, x: Any) -> Any:
            mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
            std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
            return super().forward(((x * std + mean) - 0.5) / 0.5)[0]

    return Transformed(False)


@pytest.mark.parametrize(
    ("name", "build", "layout", "size"),
    [
        ("alexnet", alexnet, ZIP, 64),
        ("vgg11", lambda: vgg(11, False), ZIP, 64),
        ("vgg16_bn", lambda: vgg(16, True), STREAM, 32),
        ("googlenet", googlenet, ZIP, 64),
        ("googlenet", googlenet, STREAM, 64),
        ("resnet18", lambda: ResNet(Basic, [2, 2, 2, 2]), STREAM, 64),
        ("resnet34", lambda: ResNet(Basic, [3, 4, 6, 3]), ZIP, 64),
        ("resnet50", lambda: ResNet(Bottle, [3, 4, 6, 3]), ZIP, 64),
        ("resnet101", lambda: ResNet(Bottle, [3, 4, 23, 3]), ZIP, 32),
    ],
)
def test_networks(tmp_path: Path, name: str, build: Any, layout: bool, size: int) -> None:
    theirs = randomized(build())
    net = zoo.load(save(theirs.state_dict(), tmp_path / "a.pth", layout))
    assert net.architecture is not None and net.architecture[0] == name
    assert net.preset == Preset.imagenet()
    assert net.classes is not None and net.classes[0] == "tench"
    compare(net, theirs, size)


def test_auxiliary_heads_are_kept_when_asked(tmp_path: Path) -> None:
    theirs = randomized(googlenet())
    net = zoo.load(save(theirs.state_dict(), tmp_path / "a.pth"), aux_logits=True)
    mine = net.state_dict()
    assert mine.keys() == theirs.state_dict().keys()
    weight = theirs.aux2.fc1.weight.detach().numpy()
    np.testing.assert_array_equal(mine["aux2.fc1.weight"], weight)


def test_a_fine_tuned_head_and_old_batch_norms(tmp_path: Path) -> None:
    theirs = ResNet(Basic, [2, 2, 2, 2])
    theirs.fc = torch.nn.Linear(512, 7)
    theirs = randomized(theirs)
    old = {k: v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    net = zoo.load(save(old, tmp_path / "a.pth"))
    assert net.classes is None
    compare(net, theirs)


@pytest.mark.parametrize("layout", [ZIP, STREAM])
def test_checkpoints_parameters_and_optimizers(tmp_path: Path, layout: bool) -> None:
    theirs = randomized(ResNet(Basic, [2, 2, 2, 2]))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    theirs(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    parallel = torch.nn.DataParallel(theirs)
    parameters = OrderedDict((f"module.{k}", v) for k, v in theirs.named_parameters())
    buffers = OrderedDict((f"module.{k}", v) for k, v in theirs.named_buffers())
    for name, state in (("state", parallel.state_dict()), ("own", {**parameters, **buffers})):
        checkpoint = {
            "epoch": 3,
            "arch": "resnet18",
            "best": torch.tensor(0.5),
            "device": torch.device("cpu"),
            "dtype": torch.float32,
            "shape": torch.Size([1, 2]),
            "accuracy": np.float64(0.5),
            "optimizer": optimizer.state_dict(),
            "state_dict": state,
        }
        compare(zoo.load(save(checkpoint, tmp_path / f"{name}.pth", layout)), theirs, 32)


@pytest.mark.parametrize("layout", [ZIP, STREAM])
def test_every_kind_of_tensor(tmp_path: Path, layout: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8) * 50
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 bool complex64"
    tensors = {name: x.abs().to(getattr(torch, name)) for name in kinds.split()}
    tensors.update(
        turned=x.t(), part=x[1:5:2, 3:], row=x[2], number=x[0, 0], empty=torch.empty(0, 3),
        half=tensors["float16"].t(), parameter=torch.nn.Parameter(x), again=x,
        last=x.reshape(1, 2, 3, 8).contiguous(memory_format=torch.channels_last),
    )  # fmt: skip
    found = zoo.read(save(tensors, tmp_path / "a.pt", layout)).tensors
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape), name
        np.testing.assert_array_equal(found[name], expected)
    assert np.shares_memory(found["again"], found["turned"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_weights(tmp_path: Path, dtype: str) -> None:
    theirs = randomized(ResNet(Basic, [2, 2, 2, 2])).to(getattr(torch, dtype))
    net = zoo.load(save(theirs.state_dict(), tmp_path / "a.pth"))
    assert all(p.dtype == np.float32 for p in net.parameters())
    compare(net, theirs.float())


@pytest.mark.parametrize("layout", [ZIP, STREAM])
def test_whole_modules_are_refused(tmp_path: Path, layout: bool) -> None:
    # The stream warns of sources that it cannot find, which does not matter here.
    path = save(torch.nn.Linear(2, 3), tmp_path / "a.pth", layout)
    with pytest.raises(zoo.FormatError, match=r"refused=torch\.nn.*Linear.*save its state_dict"):
        zoo.load(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), tmp_path / "a.pt")
    with pytest.raises(zoo.FormatError, match="TorchScript"):
        zoo.load(tmp_path / "a.pt")


def test_our_files_are_theirs_and_theirs_ours(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    theirs = randomized(ResNet(Basic, [2, 2, 2, 2]))
    for metadata in (None, {"format": "pt"}):
        safetensors.save_file(theirs.state_dict(), tmp_path / "a.safetensors", metadata)
        net = zoo.load(tmp_path / "a.safetensors")
        assert net.preset == Preset.imagenet()
        compare(net, theirs)
    zoo.save(net, tmp_path / "b.safetensors")
    twin = ResNet(Basic, [2, 2, 2, 2])
    twin.load_state_dict(safetensors.load_file(tmp_path / "b.safetensors"))
    compare(net, twin)
    theirs = theirs.bfloat16()
    safetensors.save_file(theirs.state_dict(), tmp_path / "c.safetensors")
    compare(zoo.load(tmp_path / "c.safetensors"), theirs.float())
