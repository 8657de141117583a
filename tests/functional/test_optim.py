"""Optimizer steps against their twins, on every instruction set, at any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare import assert_close, layouts
from fastconv import functional, reference
from threads import assert_same_bits

SGD = {
    "plain": {"lr": 0.1},
    "decay": {"lr": 0.1, "weight_decay": 0.05},
    "caffe": {"lr": 0.1, "lr_in_velocity": True},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "first": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "first": True},
    "dampened": {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05},
    "nesterov": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": True},
    "caffe momentum": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "lr_in_velocity": True},
    "caffe nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "lr_in_velocity": True},
}
ADAM = {
    "plain": {"step": 1, "lr": 0.1},
    "decay": {"step": 7, "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3},
    "decoupled": {"step": 7, "lr": 0.1, "eps": 1e-3, "weight_decay": 0.3, "decoupled": True},
}
# Around the widths of vectors (4, 8, 16), none at all, and more than a thread's worth.
SIZES = [[size] for size in (0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33)] + [[5, 0, 40_003, 16, 1, 9000]]


def draw(sizes: list[int], seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size).astype(np.float32) for size in sizes]


def compare(
    name: str, arrays: list[list[Any]], options: dict[str, Any], unread: int | None = None
) -> None:
    """Run the kernel and its twin; all arrays that change must agree, all others stay."""
    wide = [[a.astype(np.float64) for a in group] for group in arrays]
    ours = [[a.copy() for a in group] for group in arrays]
    if unread is not None:
        for array in ours[unread]:
            array.fill(np.nan)
    getattr(functional, name)(*ours, **options)
    getattr(reference, name)(*wide, **options)
    for index, (group, expected, before) in enumerate(zip(ours, wide, arrays, strict=True)):
        for mine, twin, start in zip(group, expected, before, strict=True):
            if index == 1:
                np.testing.assert_array_equal(mine, start)
            assert_close(mine, twin, (1, 4.0), what=f"{name}, argument {index}")


@pytest.mark.parametrize("options", SGD.values(), ids=SGD)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sgd(options, sizes, every_isa, thread_counts):
    arrays = [draw(sizes, seed) for seed in range(3)]
    if "momentum" in options:
        compare("sgd_step", arrays, options, unread=2 if options.get("first") else None)
    else:
        compare("sgd_step", arrays[:2], {"velocities": None, **options})


@pytest.mark.parametrize("options", ADAM.values(), ids=ADAM)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_adam(options, sizes, every_isa, thread_counts):
    arrays = [draw(sizes, seed) for seed in range(4)]
    arrays[3] = [np.abs(a) for a in arrays[3]]
    compare("adam_step", arrays, options)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.999])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_average(decay, sizes, every_isa, thread_counts):
    compare("average_step", [draw(sizes, 0), draw(sizes, 1)], {"decay": decay})


@pytest.mark.parametrize("sizes", [*SIZES, [64], [130, 63]], ids=str)
def test_sum_of_squares(sizes, every_isa, thread_counts):
    arrays = draw(sizes, 0)
    wide = [a.astype(np.float64) for a in arrays]
    expected = sum((a * a).sum() for a in wide)
    assert functional.sum_of_squares(arrays) == pytest.approx(expected, rel=1e-6)
    assert reference.sum_of_squares(wide) == pytest.approx(expected, rel=1e-12)
    for array in arrays:
        array[-1:] = np.nan
    assert np.isnan(functional.sum_of_squares(arrays)) == (sum(sizes) > 0)


def test_many_shapes_in_one_call():
    shapes: list[tuple[int, ...]] = [(), (3,), (2, 5), (4, 3, 3, 3), (2, 0, 3)]
    rng = np.random.default_rng(0)
    params, grads = ([np.asarray(rng.random(s), np.float32) for s in shapes] for _ in range(2))
    expected = [p - np.float32(0.5) * g for p, g in zip(params, grads, strict=True)]
    functional.sgd_step(params, grads, None, 0.5)
    for p, e in zip(params, expected, strict=True):
        np.testing.assert_allclose(p, e, rtol=1e-6)
    functional.sgd_step([], [], None, 0.5)


def test_gradients_in_any_layout(every_isa):
    start, grad = (a.reshape(6, 5, 3, 2) for a in draw([180, 180], 3))
    expected = start - np.float32(0.5) * grad
    for layout, other in layouts(grad):
        p = start.copy()
        functional.sgd_step([p], [other], None, 0.5)
        np.testing.assert_allclose(p, expected, rtol=1e-6, err_msg=layout)
        functional.average_step([p], [other], 0.0)
        np.testing.assert_allclose(p, grad, rtol=1e-6, atol=1e-6, err_msg=layout)
        assert functional.sum_of_squares([other]) == pytest.approx((grad**2).sum(), rel=1e-5)


def test_same_bits_at_any_thread_count(every_isa):
    sizes = [3, 70_001, 8, 130, 50_000, 1]

    def sgd() -> Any:
        params, grads, velocities = (draw(sizes, seed) for seed in range(3))
        functional.sgd_step(params, grads, velocities, 0.1, 0.9, 0.2, 0.01)
        return (*params, *velocities)

    def adam() -> Any:
        params, grads, means, squares = (draw(sizes, seed) for seed in range(4))
        squares = [a * a for a in squares]
        functional.adam_step(params, grads, means, squares, 3, 0.1, weight_decay=0.01)
        return (*params, *means, *squares)

    def average() -> Any:
        averages = draw(sizes, 0)
        functional.average_step(averages, draw(sizes, 1), 0.99)
        return tuple(averages)

    def squares() -> Any:
        return np.float64(functional.sum_of_squares(draw(sizes, 0)))

    for function in (sgd, adam, average, squares):
        assert_same_bits(function)


A, B = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
ERRORS = [
    (
        lambda f: f.sgd_step([A], [], None, 0.1),
        ValueError,
        "sgd_step: there must be as many grads as arrays to change (grads=0, arrays=1)",
    ),
    (
        lambda f: f.adam_step([A], [A], [A], [A, A], 1, 0.1),
        ValueError,
        "adam_step: there must be as many exp_avg_sqs as arrays to change "
        "(exp_avg_sqs=2, arrays=1)",
    ),
    (
        lambda f: f.sgd_step([A], [A], None, 0.1, 0.9),
        ValueError,
        "sgd_step: momentum needs velocities (momentum=0.9)",
    ),
    (
        lambda f: f.adam_step([A], [A], [B], [B], 0, 0.1),
        ValueError,
        "adam_step: step must be at least 1 (step=0)",
    ),
]
NATIVE_ERRORS = [
    (
        lambda f: f.sgd_step([A, A], [B, B[:1]], None, 0.1),
        ValueError,
        "sgd_step: grads must have the shapes of the arrays to change "
        "(index=1, expected=(2, 3), shape=(1, 3))",
    ),
    (
        lambda f: f.sgd_step([A.T], [B.T], None, 0.1),
        ValueError,
        "sgd_step: params must be in C order, as they change in place "
        "(index=0, shape=(3, 2), strides=(4, 12))",
    ),
    (
        lambda f: f.average_step([A.astype(np.float64)], [B], 0.1),
        TypeError,
        "average_step: params must be float32; convert it with astype (dtype=float64)",
    ),
    (
        lambda f: f.average_step([A], [None], 0.1),
        TypeError,
        "average_step: params must be a NumPy array (type=NoneType)",
    ),
    (
        lambda f: f.sgd_step([A], [B], None, "0.1"),
        TypeError,
        "sgd_step: lr must be a number (lr='0.1')",
    ),
    (
        lambda f: f.sgd_step([np.broadcast_to(np.float32(0), (1,))], [B[0, :1]], None, 0.1),
        ValueError,
        "sgd_step: params is read-only",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors_of_both(call, error, message):
    for module in (functional, reference):
        with pytest.raises(error) as raised:
            call(module)
        assert str(raised.value) == message


@pytest.mark.parametrize("call, error, message", NATIVE_ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call(functional)
    assert str(raised.value) == message
