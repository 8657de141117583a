"""The functions behind ONNX's operators: gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastconv import Tensor
from fastconv.zoo.onnx.functions import (
    arithmetic,
    convolution,
    elementwise,
    movement,
    normalization,
    pooling,
)
from fastconv.zoo.onnx.functions.windows import Window
from gradients import check_gradients


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def window(axes: int, **options: Any) -> Window:
    """Uneven strides and padding; the kernels here have 3 taps an axis."""
    defaults: dict[str, Any] = {
        "stride": (2, 1, 2)[:axes],
        "pads": ((1, 0), (0, 2), (1, 1))[:axes],
        "dilation": (1, 2, 1)[:axes],
    }
    return Window(**{**defaults, **options})


SIZES = (5, 7, 6)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(axes: int, groups: int) -> None:
    x = draw(2, 4, *SIZES[:axes])
    weight, bias = draw(6, 4 // groups, *(3,) * axes, seed=1), draw(6, seed=2)
    check_gradients(
        lambda x, w, b: convolution.conv(x, w, b, window=window(axes), groups=groups),
        x,
        weight,
        bias,
    )
    weight = draw(4, 6 // groups, *(3,) * axes, seed=1)
    for shape in (None, [2 * n + 1 for n in SIZES[:axes]]):
        check_gradients(
            lambda x, w, b, shape=shape: convolution.conv_transpose(
                x,
                w,
                b,
                window=window(axes),
                output_padding=(1, 0, 1)[:axes],
                output_shape=shape,
                groups=groups,
            ),
            x,
            weight,
            bias,
        )


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_poolings(axes: int, ceil_mode: bool) -> None:
    x = draw(2, 3, *SIZES[:axes])
    options: Any = {"kernel": (3,) * axes, "window": window(axes), "ceil_mode": ceil_mode}
    check_gradients(lambda x: pooling.max_pool(x, **options), x)
    for padded in (False, True):
        check_gradients(
            lambda x, padded=padded: pooling.avg_pool(x, count_include_pad=padded, **options), x
        )
    check_gradients(pooling.global_avg_pool, x)
    check_gradients(pooling.global_max_pool, x)


def test_positions_of_maxima() -> None:
    x = draw(2, 3, 5, 7)
    options: Any = {
        "kernel": (2, 3),
        "window": Window((2, 1), ((0, 1), (1, 1)), (1, 1)),
        "ceil_mode": False,
    }
    check_gradients(lambda x: pooling.max_pool_indices(x, column_major=False, **options)[0], x)
    plain = x.astype(np.float32)
    for column_major, order in ((False, "C"), (True, "F")):
        y, at = pooling.max_pool_indices(Tensor(plain), column_major=column_major, **options)
        planes = np.stack([p.ravel(order) for p in plain.reshape(6, 5, 7)]).ravel()
        np.testing.assert_array_equal(planes[at.data], y.data)


@pytest.mark.parametrize("name", sorted(elementwise.UNARY))
def test_derivatives(name: str) -> None:
    if name == "Not":
        return
    options: dict[str, dict[str, float]] = {
        "Celu": {"alpha": 0.7},
        "Elu": {"alpha": 0.7},
        "HardSigmoid": {"alpha": 0.3, "beta": 0.5},
        "Selu": {"alpha": 1.6, "gamma": 1.1},
        "Shrink": {"bias": 0.2, "lambd": 0.5},
        "Swish": {"alpha": 0.7},
        "ThresholdedRelu": {"alpha": 0.5},
    }
    positive = name in ("Log", "Sqrt", "Reciprocal")
    x = np.abs(draw(3, 4)) + 0.5 if positive else 2 * draw(3, 4)
    if elementwise.UNARY[name][1] is None:
        return  # nothing flows through steps
    check_gradients(lambda x: elementwise.unary(x, name=name, **options.get(name, {})), x)


def test_arithmetic() -> None:
    x, y = draw(2, 3, 4), draw(3, 1, seed=1)
    for name in ("Add", "Sub", "Mul"):
        check_gradients(lambda x, y, name=name: arithmetic.arithmetic(x, y, name=name), x, y)
    check_gradients(lambda x, y: arithmetic.arithmetic(x, y, name="Div"), x, np.abs(y) + 1)
    check_gradients(lambda x, y: arithmetic.aligned(x, y, name="Mul", axis=1), x, draw(3))
    check_gradients(lambda x, y: arithmetic.mean(x, y, x), x, y)
    check_gradients(arithmetic.power, np.abs(x) + 0.5, y)
    check_gradients(lambda x, y: arithmetic.extremes(x, y, largest=True), x, y)
    check_gradients(lambda x, y: arithmetic.extremes(x, y, largest=False), x, y)
    for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"):
        for axes, keepdims in (((0, -1), True), ((1,), False), (None, True)):
            check_gradients(
                lambda x, name=name, axes=axes, keepdims=keepdims: arithmetic.reduce(
                    x, axes, name=name, keepdims=keepdims, empty_is_all=True
                ),
                x,
            )
    for shapes in (((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((3,), (2, 3, 4)), ((2, 3), (3,))):
        check_gradients(arithmetic.matmul, draw(*shapes[0]), draw(*shapes[1], seed=1))
    check_gradients(
        lambda a, b, c: arithmetic.gemm(a, b, c, alpha=0.5, beta=2.0, trans_a=True, trans_b=True),
        draw(3, 2),
        draw(4, 3),
        draw(2, 1),
    )


def test_integers_are_divided_towards_zero() -> None:
    x, y = Tensor(np.array([7, -7, 7, -7])), Tensor(np.array([2, 2, -2, -2]))
    found = arithmetic.arithmetic(x, y, name="Div").data
    np.testing.assert_array_equal(found, [3, -3, -3, 3])
    with pytest.raises(ValueError, match="integers cannot be divided by zero"):
        arithmetic.arithmetic(x, Tensor(np.array([0])), name="Div")


def test_movement() -> None:
    x = draw(2, 3, 4)
    check_gradients(lambda x: movement.pad(x, (0, 1, -1, 2, -1, 0)), x)
    for mode in ("edge", "reflect", "wrap"):
        check_gradients(lambda x, mode=mode: movement.pad(x, (0, 1, 2, 0, 0, 1), mode=mode), x)
    check_gradients(lambda x: movement.split(x, (1, 3), axis=-1, parts=2)[1], x)
    check_gradients(lambda x: movement.gather(x, Tensor(np.array([[0, -1, 0]])), axis=1), x)
    check_gradients(lambda x: movement.slice_(x, (0, -1), (9, -9), (1, 2), (2, -3)), x)
    check_gradients(lambda x: movement.expand(x, (5, 1, 3, 1)), x)
    check_gradients(lambda x: movement.tile(x, (1, 2, 3)), x)
    check_gradients(lambda x: movement.place(x, (2, 3, 9), (..., slice(1, 9, 2))), x)
    check_gradients(lambda x: movement.flatten(x, axis=2), x)
    check_gradients(movement.transpose, x)
    condition = Tensor(x[:, :1] > 0)
    check_gradients(lambda x, y: elementwise.where(condition, x, y), x, draw(4, seed=1))
    check_gradients(lambda x, s: elementwise.prelu(x, s), x, draw(3, 1, seed=1))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 2, 3, 4)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    mean, var = draw(3, seed=3), np.abs(draw(3, seed=4)) + 0.5
    check_gradients(
        lambda x, w, b: normalization.batch_norm(x, w, b, Tensor(mean), Tensor(var), epsilon=1e-3),
        draw(*shape),
        draw(3, seed=1),
        draw(3, seed=2),
    )
