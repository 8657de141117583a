"""Tensors: what they hold, and how they meet NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastconv import Tensor, tensor, use_backend


def test_properties() -> None:
    x = tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float32, 2)
    assert x.grad is None and not x.requires_grad and x.is_leaf


def test_tensor_shares_arrays_and_keeps_their_type() -> None:
    array = np.zeros(3, np.float64)
    assert tensor(array).data is array
    assert tensor(tensor(array)).data is array
    assert tensor(array).numpy() is array
    assert tensor(np.float64(1)).dtype == np.float64


def test_numbers_and_lists_become_float32() -> None:
    assert tensor([1.0, 2.0]).dtype == np.float32
    assert tensor(1.5).shape == ()
    assert tensor([1, 2]).dtype == np.int64


def test_item_float_and_bool() -> None:
    assert tensor(2.5).item() == 2.5
    assert float(tensor([2.5])) == 2.5
    assert bool(tensor([True]))


def test_int_format_argmax_and_view() -> None:
    assert int(tensor(3.0)) == 3
    assert f"{tensor(2.5):.2f} {tensor([1, 2])}" == "2.50 tensor([1, 2], dtype=int64)"
    x = tensor([[1.0, 3.0], [4.0, 2.0]])
    assert x.argmax().item() == 2
    np.testing.assert_array_equal(x.argmax(1).data, [1, 0])
    assert x.argmax(1, keepdim=True).shape == (2, 1)
    assert (x.view(4).shape, x.view((2, -1, 1)).shape) == ((4,), (2, 2, 1))


def test_numbers_take_the_tensors_type_or_are_refused() -> None:
    assert (tensor([1, 2]) * 2).dtype == np.int64
    assert (1 - tensor([1.5])).dtype == np.float32
    with pytest.raises(TypeError, match=r"integers takes integers \(dtype=int64, value=0.5\)"):
        tensor([1, 2]) * 0.5
    with pytest.raises(TypeError, match=r"tensors, arrays or numbers \(type=NoneType\)"):
        tensor([1.0]) + None


def test_as_an_array() -> None:
    x = tensor([1.0, 4.0])
    assert np.asarray(x) is x.data
    np.testing.assert_array_equal(np.sqrt(x), [1.0, 2.0])
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    copied = np.array(x)
    copied[0] = 9
    assert x.data[0] == 1


@use_backend("reference")
def test_repr() -> None:
    assert repr(tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(tensor(np.array([1.0]), True)) == (
        "tensor([1.], dtype=float64, requires_grad=True)"
    )
    assert "made by Mul" in repr(tensor(np.array([1.0]), True) * 2)


def test_copies_and_pickles() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad and other.data is not x.data
        np.testing.assert_array_equal(other.data, x.data)


def test_errors() -> None:
    with pytest.raises(TypeError, match=r"Tensor: data must be a NumPy array \(type=list\)"):
        Tensor([1.0])
    with pytest.raises(TypeError, match=r"Tensor: a gradient needs floating .* \(dtype=int64\)"):
        tensor([1, 2], requires_grad=True)
