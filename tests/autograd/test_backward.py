"""The backward pass: order, accumulation, freeing, errors, and functions of one's own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from fastconv import Tensor, no_grad, tensor, use_backend
from fastconv.autograd import Function, enable_grad, ops


@pytest.fixture(autouse=True)
def reference_backend() -> Any:
    with use_backend("reference"):
        yield


def leaf(*values: float) -> Tensor:
    return tensor(np.array(values), requires_grad=True)


def test_gradients_of_a_diamond_are_summed() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y * y + y * 2 + y
    z.sum().backward()
    np.testing.assert_allclose(x.grad, 3 * (2 * 3 * x.data + 3))


def test_order_is_topological_when_a_long_path_meets_a_short_one() -> None:
    x = leaf(1.0)
    y = x * 2
    z = y
    for _ in range(5):
        z = z * 1
    (y + z).backward()
    np.testing.assert_allclose(x.grad, [4.0])


def test_a_chain_longer_than_the_recursion_limit() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 0
    y.backward()
    np.testing.assert_allclose(x.grad, [1.0])


def test_leaves_accumulate_over_backward_passes() -> None:
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    np.testing.assert_allclose(x.grad, [5.0, 5.0])


def test_leaves_do_not_share_gradient_arrays() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    upstream = np.ones(2)
    (x + y).backward(upstream)
    assert x.grad is not None
    x.grad *= 10
    np.testing.assert_allclose(y.grad, [1.0, 1.0])
    np.testing.assert_allclose(upstream, [1.0, 1.0])

    a = tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    b = tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    ops.add(a, b, activation="relu").sum().backward()
    assert a.grad is not None
    a.grad *= 10
    np.testing.assert_allclose(b.grad, 1.0)


def test_a_gradient_summed_in_place_spoils_no_other() -> None:
    # y's gradient arrives as the array that x's is too, and is then added to.
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = w * 1
    z = (x + y) + y * 2 + y * 3
    z.sum().backward()
    np.testing.assert_allclose(x.grad, [1.0, 1.0])
    np.testing.assert_allclose(w.grad, [6.0, 6.0])


def test_only_leaves_keep_gradients_unless_asked() -> None:
    x = leaf(1.0, 2.0)
    y, z = x * 2, x * 3
    z.retain_grad()
    (y * z).sum().backward()
    assert y.grad is None
    np.testing.assert_allclose(z.grad, y.data)
    assert not y.is_leaf and x.is_leaf
    with pytest.raises(ValueError, match=r"retain_grad: the tensor does not require a gradient"):
        tensor(1.0).retain_grad()


def test_backward_of_a_leaf_itself() -> None:
    x = leaf(2.0)
    x.backward()
    x.backward()
    np.testing.assert_allclose(x.grad, [2.0])


def test_second_backward_raises_and_changes_nothing() -> None:
    x = leaf(1.0)
    y = x * x
    loss = y * 2
    other = y * 3
    loss.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward.*operation=Mul"):
        loss.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward"):
        other.backward()
    np.testing.assert_allclose(x.grad, [4.0])


def test_retained_graph_can_be_used_again() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad, [12.0])


def test_saved_arrays_are_freed_by_backward() -> None:
    x = leaf(1.0)
    y = x * 2
    z = y * y
    assert z.node is not None and z.node.saved
    z.backward()
    assert z.node.saved == () and z.node.edges is None


def test_the_tape_keeps_no_activation_that_nobody_saved() -> None:
    x = tensor(np.ones((1, 2, 4, 4)), requires_grad=True)
    y = ops.to_channels_last(x + 1)  # saves nothing
    data = weakref.ref(y.data)
    z = ops.relu(y)  # saves its own output
    del y
    assert data() is None
    z.sum().backward()
    np.testing.assert_allclose(x.grad, 1.0)


def test_a_graph_needs_no_garbage_collector() -> None:
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * 2
        z = ops.sum(y * y)
        node = weakref.ref(z.node)
        del y, z
        assert node() is None
    finally:
        gc.enable()


def test_no_grad_records_nothing() -> None:
    x = leaf(1.0)
    with no_grad():
        y = x * 2
        with enable_grad():
            z = x * 2
    assert not y.requires_grad and y.node is None and z.requires_grad

    @no_grad()
    def double(x: Tensor) -> Tensor:
        return x * 2

    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_detached_tensors_stop_gradients() -> None:
    x = leaf(2.0)
    y = (x * x).detach()
    assert not y.requires_grad
    (x * y).backward()
    np.testing.assert_allclose(x.grad, [4.0])


def test_backward_errors() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"backward: the tensor does not require a gradient"):
        tensor(1.0).backward()
    with pytest.raises(ValueError, match=r"grad is needed for more than one element \(shape=\(2,"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"must have the tensor's shape \(grad=\(3,\), tensor=\(2"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(TypeError, match=r"type \(grad=float32, tensor=float64\)"):
        (x * 2).backward(np.ones(2, np.float32))
    with pytest.raises(TypeError, match=r"type \(grad=list"):
        (x * 2).backward([1.0, 1.0])  # type: ignore[arg-type]
    (x * 2).backward(tensor(np.ones(2)))
    np.testing.assert_allclose(x.grad, [2.0, 2.0])


class Scale(Function):
    """x * factor, and the number of its elements beside it."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        return x * factor, x.size

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.factor  # nothing for the factor


def test_functions_of_ones_own() -> None:
    x = leaf(1.0, 2.0)
    y, count = Scale.apply(x, 3.0)
    assert count == 2
    y.sum().backward()
    np.testing.assert_allclose(x.grad, [3.0, 3.0])


def test_a_gradient_of_another_shape_names_the_function() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return np.ones(5)

    with pytest.raises(ValueError, match=r"operation=Wrong, gradient=\(5,\), tensor=\(2,\)"):
        Wrong.apply(leaf(1.0, 2.0)).sum().backward()


def test_functions_are_written_whole() -> None:
    class Empty(Function):
        pass

    with pytest.raises(NotImplementedError):
        Empty.apply(leaf(1.0))


def test_needs_input_grad() -> None:
    seen: list[Any] = []

    class Spy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, z: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return x + y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad, None, None

    Spy.apply(leaf(1.0), tensor(np.ones(1)), 3)
    with no_grad():
        Spy.apply(leaf(1.0), tensor(np.ones(1)), 3)
    assert seen == [(True, False, False), (False, False, False)]
