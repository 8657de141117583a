"""Files with this library's own names: the network is found by names and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastconv import models, nn, zoo


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in net.state_dict().items()}


@pytest.mark.parametrize("name", [n for n in models.list_models() if not n.startswith("vgg")])
def test_every_network_of_a_state_dict(tmp_path: Path, name: str) -> None:
    with nn.init.skip_init():
        net = models.get(name, num_classes=7)
    archive = zoo.Archive("npz", tmp_path / "a.npz", net.state_dict())
    again = zoo.door.instantiate(archive, None, {})
    assert again.architecture == net.architecture
    assert shapes(again) == shapes(net) and again.preset is None


@pytest.mark.parametrize("name", [n for n in models.list_models() if n.startswith("vgg")])
def test_vggs(tmp_path: Path, name: str) -> None:
    with nn.init.skip_init():
        net = models.get(name)
    archive = zoo.Archive("npz", tmp_path / "a.npz", net.state_dict())
    scheme = zoo.door.scheme_of(archive)
    assert scheme.architecture == name
    # As PyTorch's file it is torchvision's.
    archive = zoo.Archive("pytorch", tmp_path / "a.pth", net.state_dict())
    assert zoo.door.scheme_of(archive).name == f"torchvision {name}"


def test_variants(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    net = models.lenet5(variant="paper")
    np.savez(path, **net.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)
    np.testing.assert_array_equal(zoo.load(path, variant="paper")(x).numpy(), net.eval()(x).numpy())
    assert zoo.load(path).architecture == ("lenet5", {"num_classes": 10, "variant": "modern"})
    assert zoo.load(path, "lenet5").architecture is not None
    with pytest.raises(zoo.FormatError, match="must be those of a known network"):
        zoo.load(path, "resnet20")
    with pytest.raises(ValueError, match="mis-shaped"):
        zoo.load(path, num_classes=3)


def test_unknown_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(zoo.FormatError, match=r"known network \(.*tensors=1: a"):
        zoo.load(path)


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **models.lenet5().state_dict())
    whole = path.read_bytes()
    for length in (60, 1000, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(zoo.FormatError, match="must be a whole .npz"):
            zoo.load(path)
    np.savez(path, a=np.array([object()]))
    with pytest.raises(zoo.FormatError, match="must be a whole .npz"):
        zoo.load(path)


def test_names_of_other_formats_and_other_things(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"zoo.save: the file's name must end in .safetensors"):
        zoo.save(models.lenet5(), tmp_path / "net.pth")
    with pytest.raises(TypeError, match=r"zoo.save: net must be an nn.Module \(type=dict\)"):
        zoo.save({}, tmp_path / "net.safetensors")  # type: ignore[arg-type]
