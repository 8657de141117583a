"""Every operation: its value is the kernel's, its gradient that of finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import reference, tensor, use_backend
from fastconv.autograd import is_grad_enabled, ops
from gradients import check_gradients


@pytest.fixture(autouse=True)
def reference_backend() -> Any:
    with use_backend("reference"):
        yield


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def test_conv2d_with_pooling() -> None:
    x, weight, bias = draw(2, 3, 8, 7), draw(4, 3, 3, 3, seed=1), draw(4, seed=2)
    window, pooling = (1, 1, 1, 1), (2, 2, 0, 1, False)
    for activation in (None, "relu"):
        check_gradients(
            lambda x, w, b, how=activation: ops.conv2d_max_pool2d(x, w, b, window, pooling, how),
            x,
            weight,
            bias,
        )
        with use_backend("reference"):
            joined = ops.conv2d_max_pool2d(x, weight, bias, window, pooling, activation).data
            apart = ops.conv2d(x, weight, bias, *window, activation=activation)
            np.testing.assert_array_equal(joined, ops.max_pool2d(apart, *pooling).data)
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d: activation must be None or 'relu'"):
        ops.conv2d_max_pool2d(x, weight, bias, window, pooling, "tanh")


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), ((2, 1), (1, 2), 1, 2), (2, ((0, 1), (2, 1)), (1, 2), 1)],
)
def test_conv2d(stride: Any, padding: Any, dilation: Any, groups: int) -> None:
    x, weight, bias = draw(2, 4, 7, 6), draw(6, 4 // groups, 3, 2, seed=1), draw(6, seed=2)

    def conv(x: Any, weight: Any, bias: Any = None) -> Any:
        return ops.conv2d(x, weight, bias, stride, padding, dilation, groups)

    check_gradients(conv, x, weight, bias)
    check_gradients(conv, x, weight)
    with use_backend("reference"):
        out = conv(x, weight, bias).data
    expected = reference.conv2d(x, weight, bias, stride, padding, dilation, groups)
    np.testing.assert_array_equal(out, expected)


def test_conv2d_computes_only_needed_gradients() -> None:
    calls: list[str] = []

    class Spy:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(reference, name)

    weight = tensor(draw(2, 1, 3, 3), requires_grad=True)
    with use_backend(Spy()):
        ops.conv2d(draw(1, 1, 5, 5), weight).sum().backward()
    assert calls == ["conv2d", "conv2d_backward_weight"]
    assert weight.grad is not None


def test_conv2d_with_relu() -> None:
    x, weight, bias = draw(2, 3, 6, 5), draw(4, 3, 3, 3, seed=1), draw(4, seed=2)
    check_gradients(lambda x, w, b: ops.conv2d(x, w, b, 1, 1, activation="relu"), x, weight, bias)
    with use_backend("reference"):
        joined = ops.conv2d(x, weight, bias, 1, 1, activation="relu").data
        apart = ops.relu(ops.conv2d(x, weight, bias, 1, 1)).data
    np.testing.assert_array_equal(joined, apart)
    for call in (ops.conv2d, lambda x, w, **how: ops.batch_norm_training(x, **how)):
        with pytest.raises(ValueError, match=r"activation must be None or 'relu' \(.*'tanh'\)"):
            call(x, weight, activation="tanh")


@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "dilation", "groups"),
    [
        (1, 0, 0, 1, 1),
        ((2, 3), (1, 2), 1, 1, 2),
        (2, ((0, 1), (2, 1)), (0, 1), (1, 2), 1),
        (1, 1, 2, 3, 2),
        (1, 0, (0, 2), 3, 1),
    ],
)
def test_conv_transpose2d(
    stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int
) -> None:
    x, weight, bias = draw(2, 4, 4, 5), draw(4, 6 // groups, 3, 2, seed=1), draw(6, seed=2)

    def conv(x: Any, weight: Any, bias: Any = None) -> Any:
        return ops.conv_transpose2d(
            x, weight, bias, stride, padding, output_padding, groups, dilation
        )

    check_gradients(conv, x, weight, bias)
    check_gradients(conv, x, weight)
    # What a convolution reads from its input for an output, the transposed one writes there.
    sh, sw = (stride, stride) if isinstance(stride, int) else stride
    dh, dw = (dilation, dilation) if isinstance(dilation, int) else dilation
    whole = np.zeros((2, 6, 40, 40))
    for n, c, h, w in np.ndindex(*x.shape):
        for o, i, j in np.ndindex(*weight.shape[1:]):
            at = c // (4 // groups) * (6 // groups) + o
            whole[n, at, h * sh + i * dh, w * sw + j * dw] += x[n, c, h, w] * weight[c, o, i, j]
    out = conv(x, weight, bias).data
    top, left = {0: (0, 0), 1: (1, 1), (1, 2): (1, 2)}.get(padding, (0, 2))
    expected = whole[:, :, top : top + out.shape[2], left : left + out.shape[3]]
    np.testing.assert_allclose(out, expected + bias[:, None, None], atol=1e-12)


def test_conv_transpose2d_refuses_what_does_not_fit() -> None:
    x, weight = draw(1, 4, 3, 3), draw(4, 2, 3, 3)
    for arguments, message in [
        ((x[0], weight), r"x \(N, C, H, W\) and weight"),
        ((x, weight[:2]), r"must fit, and groups divide C"),
        ((x, weight, draw(3)), r"bias must have one value per output channel \(expected=2"),
        ((x, weight, None, 1, 3), r"the output must not be empty"),
        ((x, weight, None, 0), r"stride must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            ops.conv_transpose2d(*arguments)


def test_linear_and_gemm() -> None:
    check_gradients(ops.linear, draw(3, 5), draw(4, 5, seed=1), draw(4, seed=2))
    check_gradients(ops.linear, draw(2, 3, 5), draw(4, 5, seed=1))
    check_gradients(lambda a, b: a @ b, draw(3, 5), draw(5, 4, seed=1))
    for trans_a in (False, True):
        for trans_b in (False, True):
            a = draw(5, 3) if trans_a else draw(3, 5)
            b = draw(4, 5) if trans_b else draw(5, 4)
            check_gradients(
                lambda a, b, ta=trans_a, tb=trans_b: ops.gemm(a, b, trans_a=ta, trans_b=tb), a, b
            )
    with use_backend("reference"):
        product = draw(3, 5) @ tensor(draw(5, 4, seed=1))
    np.testing.assert_allclose(product.data, draw(3, 5) @ draw(5, 4, seed=1))


@pytest.mark.parametrize("ceil_mode", [False, True, "caffe"])
def test_pooling(ceil_mode: Any) -> None:
    x = draw(2, 3, 8, 7)
    check_gradients(lambda x: ops.max_pool2d(x, 3, 2, 1, 1, ceil_mode), x)
    check_gradients(lambda x: ops.max_pool2d(x, (3, 2), None, ((1, 0), (0, 1))), x)
    check_gradients(lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode), x)
    check_gradients(lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode, False), x)
    check_gradients(lambda x: ops.adaptive_avg_pool2d(x, (3, 2)), x)
    check_gradients(ops.global_avg_pool2d, x)


def test_max_pool2d_asks_for_indices_only_to_differentiate() -> None:
    returned: list[bool] = []

    class Spy:
        def max_pool2d(self, *args: Any) -> Any:
            returned.append(len(args) > 6 and args[6])
            return reference.max_pool2d(*args)

    with use_backend(Spy()):
        ops.max_pool2d(draw(1, 1, 4, 4), 2)
        ops.max_pool2d(tensor(draw(1, 1, 4, 4), requires_grad=True), 2)
    assert returned == [False, True]


def test_normalisation() -> None:
    x, weight, bias = draw(3, 5, 4, 3), draw(5, seed=1), draw(5, seed=2)
    check_gradients(lambda x: ops.local_response_norm(x, 3, 0.5, 0.75, 2.0), x)
    check_gradients(lambda x, w, b: ops.batch_norm_training(x, w, b)[0], x, weight, bias)
    check_gradients(lambda x: ops.batch_norm_training(x)[0], x)
    residual = draw(*x.shape)
    for activation in (None, "relu"):
        check_gradients(
            lambda x, w, b, r, f=activation: ops.batch_norm_training(
                x, w, b, residual=r, activation=f
            )[0],
            x,
            weight,
            bias,
            residual,
        )
    mean, var = draw(5, seed=3), draw(5, seed=4) ** 2
    check_gradients(lambda x, w, b: ops.batch_norm(x, mean, var, w, b), x, weight, bias)
    check_gradients(lambda x: ops.batch_norm(x, mean, var), x)


def test_activations() -> None:
    x = draw(3, 4, 3, 2)
    check_gradients(ops.relu, x)
    check_gradients(lambda x: ops.leaky_relu(x, 0.1), x)
    check_gradients(ops.prelu, x, draw(1, seed=1))
    check_gradients(ops.prelu, x, draw(4, seed=1))
    check_gradients(ops.sigmoid, x)
    check_gradients(ops.tanh, x)
    check_gradients(lambda x: ops.clip(x, -0.5, 0.7), x)
    check_gradients(lambda x: ops.clip(x, max=0.2), x)
    for dim in (1, -1):
        check_gradients(lambda x, d=dim: ops.softmax(x, d), x)
        check_gradients(lambda x, d=dim: ops.log_softmax(x, d), x)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction: str) -> None:
    target = np.array([1, 0, -100, 3])
    check_gradients(lambda x: ops.cross_entropy(x, target, reduction), draw(4, 5))
    check_gradients(lambda x: ops.cross_entropy(x, target, reduction, -100, 0.2), draw(4, 5))
    check_gradients(lambda x, y: ops.mse_loss(x, y, reduction), draw(4, 5), draw(4, 5, seed=1))
    with use_backend("reference"):
        loss = ops.mse_loss(draw(4, 5), draw(4, 5, seed=1), reduction).data
    squares = (draw(4, 5) - draw(4, 5, seed=1)) ** 2
    expected = squares if reduction == "none" else getattr(np, reduction)(squares)
    np.testing.assert_allclose(loss, expected)


def test_mse_loss_errors() -> None:
    with pytest.raises(ValueError, match=r"mse_loss: x and target must have the same shape"):
        ops.mse_loss(draw(2, 3), draw(3, 2))
    with pytest.raises(ValueError, match=r"mse_loss: reduction must be .* \(reduction='max'\)"):
        ops.mse_loss(draw(2), draw(2), "max")


def test_dropout_takes_its_seed_from_the_generator() -> None:
    import fastconv

    x = np.ones((4, 5, 6, 3))
    check_gradients(lambda x: ops.dropout(x, 0.3, 7), draw(4, 5, 6, 3))
    with use_backend("reference"):
        fastconv.manual_seed(1)
        first, second = ops.dropout(x).data, ops.dropout(x).data
        fastconv.manual_seed(1)
        again = ops.dropout(x).data
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    assert set(np.unique(first)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4, 5), (3, 1, 1)), ((2, 1, 4), (3, 1)), ((), (2, 3))],
)
def test_arithmetic_broadcasts(x_shape: Any, y_shape: Any) -> None:
    x, y = np.asarray(draw(*x_shape)), np.asarray(2.0 + draw(*y_shape, seed=1) ** 2)
    check_gradients(lambda x, y: x + y, x, y)
    check_gradients(lambda x, y: x - y, x, y)
    check_gradients(lambda x, y: x * y, x, y)
    check_gradients(lambda x, y: x / y, x, y)
    check_gradients(lambda x: -x, x)


def test_arithmetic_with_numbers_and_arrays_keeps_the_type() -> None:
    x = tensor(np.full((2, 3), 2.0, np.float32), requires_grad=True)
    ones = np.ones((2, 3), np.float32)
    with use_backend("reference"):
        for out, value in [
            (x + 1, 3),
            (1 + x, 3),
            (x - np.float64(1), 1),
            (1 - x, -1),
            (x * 3, 6),
            (3 * x, 6),
            (x / 2, 1),
            (1 / x, 0.5),
            (ones + x, 3),
            (ones - x, -1),
            (ones * x, 2),
            (ones / x, 0.5),
        ]:
            assert out.dtype == np.float32
            assert (out.data == value).all()
            out.sum().backward()
    assert x.grad is not None
    # Of the twelve: 1 + 1 + 1 - 1 + 3 + 3 + 1/2 - 1/4 + 1 - 1 + 1 - 1/4.
    np.testing.assert_allclose(x.grad, 9.0)


def test_residual_addition() -> None:
    x, y = draw(2, 3, 4, 5), draw(2, 3, 4, 5, seed=1)
    check_gradients(lambda x, y: ops.add(x, y, activation="relu"), x, y)
    with pytest.raises(ValueError, match=r"add: activation must be None or 'relu'"):
        ops.add(x, y, activation="tanh")


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_sums(dim: Any, keepdim: bool) -> None:
    x = draw(2, 3, 4)
    check_gradients(lambda x: x.sum(dim, keepdim), x)
    check_gradients(lambda x: x.mean(dim, keepdim), x)
    np.testing.assert_allclose(
        tensor(x).mean(dim, keepdim).data, x.mean(axis=dim, keepdims=keepdim)
    )


def test_moving_elements() -> None:
    x = draw(2, 3, 4, 5)
    check_gradients(lambda x: x.reshape(6, -1), x)
    check_gradients(lambda x: x.reshape((4, 30)), x)
    check_gradients(lambda x: x.flatten(1), x)
    check_gradients(lambda x: x.flatten(1, 2), x)
    check_gradients(lambda x: x.flatten(), x)
    check_gradients(lambda x: x[:, 1:, ::2], x)
    check_gradients(lambda x: x[np.array([0, 1, 0])], x)
    check_gradients(lambda x: x[1, 2, 3, 4], x)
    check_gradients(lambda x: ops.pad(x, ((1, 0), (2, 3)), 1.5), x)
    check_gradients(ops.to_channels_last, x)
    check_gradients(ops.to_contiguous, x)
    check_gradients(lambda x, y: ops.concat([x, y]), x, draw(2, 1, 4, 5, seed=1))
    check_gradients(lambda x, y: ops.concat([x, y, x], dim=-1), x, draw(2, 3, 4, 2, seed=1))


def test_flatten_is_in_logical_order_whatever_the_memory() -> None:
    x = draw(2, 3, 4, 5)
    channels_last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    with use_backend("reference"):
        np.testing.assert_array_equal(ops.flatten(channels_last, 1).data, x.reshape(2, -1))


def test_flatten_errors() -> None:
    for start, end in [(2, 1), (4, 4), (-5, 1), (0, 7)]:
        with pytest.raises(ValueError, match=r"flatten: start_dim and end_dim must be axes"):
            ops.flatten(draw(1, 2, 3, 4), start, end)


def test_operations_have_the_names_and_arguments_of_the_kernels() -> None:
    import inspect

    assert is_grad_enabled()
    for name in ops.__all__:
        kernel = getattr(reference, name, None)
        if kernel is None:
            continue
        own = list(inspect.signature(getattr(ops, name)).parameters)
        theirs = [p for p in inspect.signature(kernel).parameters if p in own]
        assert own == theirs, name


@pytest.mark.parametrize("dims", [(-1, 0, 1), (2, -3, -2), (1, 2, 0)])
def test_permute_counts_axes_from_the_end(dims: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((3, 3, 3))
    check_gradients(lambda t: ops.permute(t, dims), x)
    assert ops.permute(tensor(x), dims).shape == (3, 3, 3)


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1])
def test_powers(exponent: float) -> None:
    x = 0.5 + np.random.default_rng(0).random((3, 4))
    check_gradients(lambda t: t**exponent, x)
    y = tensor(x.astype(np.float32)) ** exponent
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, x**exponent, rtol=1e-6)
    with pytest.raises(TypeError, match=r"pow: the exponent must be a number \(type=list\)"):
        tensor(x) ** [2]  # type: ignore[operator]
