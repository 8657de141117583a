"""Modules: names, order, modes, hooks, conversion, repr and containers."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from fastconv import Tensor, nn, tensor, use_backend


class Block(nn.Module):
    """A parameter after a child, and a child that is used twice."""

    def __init__(self) -> None:
        self.conv = nn.Conv2d(2, 2, 1, bias=False)
        self.scale = nn.Parameter(np.ones(1, np.float32))
        self.bn = nn.BatchNorm2d(2)
        self.act = nn.ReLU()
        self.again = self.act

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.conv(x)))
        return self.again(x * self.scale)


def picture(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_names_are_in_order_of_definition() -> None:
    net = Block()
    # As in PyTorch: a module's own parameters come before those of its children.
    assert list(net.state_dict()) == [
        "scale",
        "conv.weight",
        "bn.weight",
        "bn.bias",
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
    ]
    names = [name for name, _ in net.named_parameters()]
    assert names == ["scale", "conv.weight", "bn.weight", "bn.bias"]
    assert [name for name, _ in net.named_buffers("net")] == [
        "net.bn.running_mean",
        "net.bn.running_var",
        "net.bn.num_batches_tracked",
    ]
    assert [name for name, _ in net.named_modules()] == ["", "conv", "bn", "act"]
    assert [name for name, _ in net.named_children()] == ["conv", "bn", "act", "again"]
    assert len(list(net.modules())) == 4 and len(list(net.buffers())) == 3
    assert [p.shape for p in net.parameters(recurse=False)] == [(1,)]


def test_shared_parameters_are_listed_once_but_saved_under_every_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert "1.weight" in net.state_dict()


def test_calling_takes_arrays_and_tensors() -> None:
    net = Block()
    x = picture(2, 2, 3, 3)
    with use_backend("reference"):
        out = net(x)
        assert isinstance(out, Tensor) and out.requires_grad and out.shape == (2, 2, 3, 3)
        np.testing.assert_array_equal(net.eval()(x).data, net(tensor(x)).data)


def test_train_eval_and_apply() -> None:
    net = nn.Sequential(Block(), nn.Dropout())
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    seen: list[str] = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Conv2d", "BatchNorm2d", "ReLU", "ReLU", "Block", "Dropout", "Sequential"]


def test_zero_grad_and_freezing() -> None:
    net = Block()
    with use_backend("reference"):
        net(picture(2, 2, 3, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    net.scale.requires_grad = True
    with use_backend("reference"):
        net(picture(2, 2, 3, 3)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is not None] == ["scale"]


def test_forward_hooks() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    seen: list[Any] = []
    handle = net[0].register_forward_hook(lambda m, inputs, out: seen.append((m, inputs, out)))
    x = picture(1, 2)
    with use_backend("reference"):
        out = net(x)
        module, inputs, first = seen[0]
        assert module is net[0] and inputs[0].data is x
        np.testing.assert_array_equal(np.tanh(first.data), out.data)
        handle.remove()
        handle.remove()
        net(x)
        assert len(seen) == 1
        with net[1].register_forward_hook(lambda m, inputs, out: out * 0):
            assert not net(x).data.any()
        assert net(x).data.any()
    assert not nn.Tanh()._forward_hooks


def test_astype() -> None:
    net = Block()
    before = dict(net.state_dict())
    assert net.astype(np.float64) is net
    for name, array in net.state_dict().items():
        integer = name.endswith("num_batches_tracked")
        assert array.dtype == (np.int64 if integer else np.float64)
        np.testing.assert_array_equal(array, before[name])
    with use_backend("reference"):
        assert net(picture(2, 2, 3, 3).astype(np.float64)).dtype == np.float64
    assert net.bn.running_mean.dtype == np.float64
    with pytest.raises(TypeError, match=r"astype: the type must be floating point"):
        net.astype(np.int32)


def test_copies_are_independent() -> None:
    net = Block()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(other.state_dict()) == list(net.state_dict())
        other.scale.data += 1
        assert net.scale.data[0] == 1


def test_buffers() -> None:
    net = nn.Module()
    net.register_buffer("mean", np.zeros(3, np.float32))
    net.register_buffer("none", None)
    assert list(net.state_dict()) == ["mean"]
    net.mean = np.ones(3, np.float32)
    assert net.state_dict()["mean"][0] == 1
    assert not nn.Module()._buffer_names
    with pytest.raises(TypeError, match=r"register_buffer: .* NumPy array \(type=list\)"):
        net.register_buffer("list", [1])


def test_parameters() -> None:
    parameter = nn.Parameter(np.asfortranarray(np.ones((2, 3), np.float32)))
    assert parameter.requires_grad and parameter.data.flags.c_contiguous
    assert not nn.Parameter(np.ones(1), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match=r"Parameter: .* floating point array \(type=int64\)"):
        nn.Parameter(np.ones(1, np.int64))
    with pytest.raises(TypeError, match=r"\(type=list\)"):
        nn.Parameter([1.0])


def test_forward_must_be_written() -> None:
    with pytest.raises(NotImplementedError, match="Module: forward is not written"):
        nn.Module()(np.ones(1, np.float32))


def test_repr_is_as_in_pytorch() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Sequential(nn.Conv2d(8, 8, 3, 2, ((0, 1), (1, 0)), 2, 4), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Linear(8, 10),
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): Conv2d(8, 8, kernel_size=(3, 3), stride=(2, 2), padding=((0, 1), (1, 0)), "
        "dilation=(2, 2), groups=4)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  (3): Linear(in_features=8, out_features=10, bias=True)\n"
        ")"
    )


def test_sequential() -> None:
    relu, tanh = nn.ReLU(), nn.Tanh()
    for net in (
        nn.Sequential(OrderedDict(a=relu, b=tanh)),
        nn.Sequential({"a": relu, "b": tanh}),
        nn.Sequential(a=relu, b=tanh),
    ):
        assert [name for name, _ in net.named_children()] == ["a", "b"]
        assert net.a is relu and net[-1] is tanh and len(net) == 2 and list(net) == [relu, tanh]
    net = nn.Sequential(relu).append(tanh).extend([relu])
    assert list(net[1:]) == [tanh, relu] and isinstance(net[1:], nn.Sequential)
    assert list(net[1:].append(tanh)) == [tanh, relu, tanh]  # "1" and "2" are taken
    net[0] = tanh
    assert net[0] is tanh
    with use_backend("reference"):
        np.testing.assert_array_equal(
            nn.Sequential(relu, tanh)(np.ones((1, 1), np.float32)).data,
            np.tanh(np.ones((1, 1), np.float32)),
        )


def test_module_list() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

    net = Net()
    assert len(net.layers) == 3 and len(net.layers[1:]) == 2
    assert "layers.2.bias" in net.state_dict()


def test_names_of_parts() -> None:
    with pytest.raises(TypeError, match=r"add_module: .* \(name='0', type=int\)"):
        nn.Sequential(3)
    for name in ("", "a.b", "forward", "training"):
        with pytest.raises(ValueError, match=r"add_module: the name must be without dots"):
            nn.Module().add_module(name, nn.ReLU())
