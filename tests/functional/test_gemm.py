"""gemm and linear against their twins, around the register tiles of every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import check, layouts
from fastconv import functional as F
from fastconv import get_num_threads, set_num_threads
from threads import assert_same_bits

pytestmark = pytest.mark.usefixtures("every_isa")

# Below, at and above the tiles' sizes (rows 4, 6, 14; columns 8, 16, 32) and their halves.
EDGES = [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 28, 29, 31, 32, 33, 48, 49, 63, 64, 65]


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", EDGES)
def test_every_edge_of_the_tile(n: int, thread_counts: int) -> None:
    for m in EDGES:
        check("gemm", array(m, 9), array(9, n))


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (5, 40, 33), (17, 10, 64), (61, 67, 130)])
def test_transposes(m: int, n: int, k: int, trans_a: bool, trans_b: bool) -> None:
    a = array(*((k, m) if trans_a else (m, k)))
    b = array(*((n, k) if trans_b else (k, n)))
    check("gemm", a, b, trans_a=trans_a, trans_b=trans_b)


@pytest.mark.parametrize("activation", [None, "relu", ("leaky_relu", 0.1), ("clip", -1.0, 2.0)])
@pytest.mark.parametrize("m", [3, 40])
@pytest.mark.parametrize("trans_b", [False, True])
def test_epilogue(m: int, activation: object, trans_b: bool) -> None:
    n, k = 37, 21
    b = array(n, k) if trans_b else array(k, n)
    check(
        "gemm",
        array(m, k),
        b,
        alpha=0.5,
        beta=-2.0,
        c=array(m, n, seed=1),
        trans_b=trans_b,
        bias=array(n, seed=2),
        residual=array(m, n, seed=3),
        activation=activation,
    )
    check("linear", array(m, k), array(n, k), array(n, seed=2), activation)


def test_deep_and_wide_products_are_blocked() -> None:
    check("gemm", array(30, 9000), array(9000, 40))  # several blocks of k
    check("gemm", array(700, 130), array(130, 300))  # several strips of rows
    check("gemm", array(40, 2048), array(2048, 48))  # rows that share an L1 set
    check("gemm", array(1024, 40), array(1024, 48), trans_a=True)
    check("gemm", array(70, 1100), array(70, 45), trans_a=True)
    check("gemm", array(1100, 70), array(70, 45))  # so many rows that B is packed as a whole


@pytest.mark.parametrize("trans_a", [False, True])  # read in place, and from strips
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("k", [700, 1024])  # rows that share an L1 set may be copied
@pytest.mark.parametrize("n", [1200, 1210])  # whole vectors of columns, and not
def test_blocks_of_depth_and_columns(
    k: int, n: int, trans_a: bool, trans_b: bool, thread_counts: int
) -> None:
    m = 75
    check(
        "gemm",
        array(k, m) if trans_a else array(m, k),
        array(n, k) if trans_b else array(k, n),
        alpha=0.5,
        beta=2.0,
        c=array(m, n, seed=1),
        trans_a=trans_a,
        trans_b=trans_b,
        bias=array(n, seed=2),
        residual=array(m, n, seed=3),
        activation="relu",
    )


@pytest.mark.parametrize("m", [1, 2, 3, 5, 16, 17, 64])
@pytest.mark.parametrize("n, k", [(10, 84), (33, 100), (4, 3), (130, 257)])
def test_linear(m: int, n: int, k: int, thread_counts: int) -> None:
    check("linear", array(m, k), array(n, k), array(n, seed=1))
    packed = F.pack_linear(array(n, k), array(n, seed=1), "relu")(array(m, k))
    expected = F.linear(array(m, k), array(n, k), array(n, seed=1), "relu")
    np.testing.assert_allclose(packed, expected, atol=1e-4, rtol=1e-5)


def test_a_vector_takes_panels_with_all_of_a_deep_k() -> None:
    n, k = 130, 9001  # several blocks of k, and several panels
    x, weight, bias = array(1, k), array(n, k, seed=1), array(n, seed=2)
    packed = F.pack_linear(weight, bias)
    expected = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(packed(x), expected, atol=1e-3, rtol=0)  # of sums of some 100
    assert_same_bits(lambda: packed(x))


def test_linear_takes_any_leading_axes() -> None:
    check("linear", array(2, 3, 5), array(7, 5))
    check("linear", array(5), array(7, 5))
    assert F.linear(array(0, 5), array(7, 5)).shape == (0, 7)
    assert F.linear(array(2, 0, 5), array(7, 5)).shape == (2, 0, 7)
    assert F.pack_linear(array(7, 5))(array(0, 5)).shape == (0, 7)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_products(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    np.testing.assert_array_equal(F.gemm(array(m, k), array(k, n)), np.zeros((m, n), np.float32))


def test_nothing_to_sum_still_has_an_epilogue() -> None:
    out = F.gemm(array(2, 0), array(0, 3), bias=np.arange(3, dtype=np.float32))
    np.testing.assert_array_equal(out, [[0, 1, 2], [0, 1, 2]])


@given(
    m=st.integers(0, 70),
    n=st.integers(0, 70),
    k=st.integers(0, 70),
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    seed=st.integers(0, 9),
)
def test_any_product(m: int, n: int, k: int, trans_a: bool, trans_b: bool, seed: int) -> None:
    a = array(*((k, m) if trans_a else (m, k)), seed=seed)
    b = array(*((n, k) if trans_b else (k, n)), seed=seed + 1)
    check("gemm", a, b, trans_a=trans_a, trans_b=trans_b, bias=array(n), activation="relu")


def test_layouts_change_nothing() -> None:
    a, b = array(19, 23), array(23, 34)
    expected = F.gemm(a, b)
    for label, other in layouts(a):
        np.testing.assert_allclose(F.gemm(other, b), expected, rtol=1e-5, atol=1e-5, err_msg=label)
    for label, other in layouts(b):
        np.testing.assert_allclose(F.gemm(a, other), expected, rtol=1e-5, atol=1e-5, err_msg=label)


def test_same_bits_at_any_thread_count() -> None:
    before = get_num_threads()
    a, b, w = array(150, 333), array(333, 170), array(90, 333)
    try:
        results = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            results.append((F.gemm(a, b), F.linear(a[:5], w), F.linear_backward_bias(a)))
    finally:
        set_num_threads(before)
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_nan_and_inf_reach_only_their_row_and_column() -> None:
    a, b = np.ones((20, 5), np.float32), np.ones((5, 40), np.float32)
    a[3, 2], b[1, 7] = np.nan, np.inf
    check("gemm", a, b, grads=False)
    check("gemm", a, b, activation="relu", grads=False)


def test_beta_zero_never_reads_c() -> None:
    c = np.full((3, 4), np.nan, np.float32)
    assert np.isfinite(F.gemm(array(3, 2), array(2, 4), c=c)).all()


@pytest.mark.parametrize(
    "error, message, call",
    [
        (TypeError, "gemm: a must be a NumPy array", lambda: F.gemm([[1.0]], array(1, 1))),
        (
            TypeError,
            r"gemm: a must be float32.*dtype=int64",
            lambda: F.gemm(np.ones((2, 2), np.int64), array(2, 2)),
        ),
        (
            TypeError,
            r"gemm: b must be float32.*dtype=float64",
            lambda: F.gemm(array(2, 2), np.ones((2, 2))),
        ),
        (
            ValueError,
            r"gemm: a must have 2 axes \(shape=\(2,\)\)",
            lambda: F.gemm(array(2), array(2, 2)),
        ),
        (
            ValueError,
            r"gemm: op\(a\) must have as many columns .*\(2, 3\).*\(4, 5\)",
            lambda: F.gemm(array(2, 3), array(4, 5)),
        ),
        (
            ValueError,
            r"gemm: c is needed where beta is not 0 \(beta=1.0\)",
            lambda: F.gemm(array(2, 3), array(3, 2), beta=1.0),
        ),
        (
            ValueError,
            r"gemm: c has the wrong shape",
            lambda: F.gemm(array(2, 3), array(3, 2), beta=1.0, c=array(3, 3)),
        ),
        (
            ValueError,
            r"gemm: bias has the wrong shape \(expected=\(2,\)",
            lambda: F.gemm(array(2, 3), array(3, 2), bias=array(3)),
        ),
        (
            ValueError,
            "gemm: residual has the wrong shape",
            lambda: F.gemm(array(2, 3), array(3, 2), residual=array(3, 3)),
        ),
        (
            ValueError,
            "gemm: activation must be",
            lambda: F.gemm(array(2, 3), array(3, 2), activation="swish"),
        ),
        (
            ValueError,
            r"linear: the last axis of x must be in_features",
            lambda: F.linear(array(2, 3), array(4, 5)),
        ),
        (
            ValueError,
            r"linear: x must have at least 1 axis",
            lambda: F.linear(np.ones((), np.float32), array(4, 5)),
        ),
        (
            ValueError,
            r"linear: the last axis of x must be in_features \(x=\(2, 3\), in_features=5\)",
            lambda: F.pack_linear(array(4, 5))(array(2, 3)),
        ),
    ],
)
def test_errors(error: type[Exception], message: str, call: object) -> None:
    with pytest.raises(error, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("m, n, k", [(1, 10, 84), (2, 7, 33), (5, 64, 100), (40, 9, 17), (0, 3, 4)])
def test_bf16_weights_are_rounded_and_nothing_else(m: int, n: int, k: int) -> None:
    x, weight, bias = array(m, k), array(n, k, seed=1), array(n, seed=2)
    bits = weight.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    expected = F.linear(x, rounded.view(np.float32), bias, "relu")
    ours = F.pack_linear(weight, bias, "relu", weights="bf16")(x)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_bf16_keeps_nan_and_infinity() -> None:
    weight = np.array([[np.nan], [np.inf], [-np.inf], [3e38]], np.float32)
    y = F.pack_linear(weight, weights="bf16")(np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(np.isnan(y), [[True, False, False, False]])
    assert y[0, 1] == np.inf and y[0, 2] == -np.inf and np.isfinite(y[0, 3])
    with pytest.raises(ValueError, match=r"linear: weights must be fp32 or bf16 \(weights=fp16\)"):
        F.pack_linear(weight, weights="fp16")


@pytest.mark.parametrize("m", [1, 13, 14, 29, 64])
@pytest.mark.parametrize("trans_b", [False, True])
def test_few_rows_of_a_large_matrix(m: int, trans_b: bool, thread_counts: int) -> None:
    # Larger than L2 and with no size round: blocks of k and of columns are cut short.
    rng = np.random.default_rng(0)
    k, n = 1037, 3011
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if trans_b else (k, n)).astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    c, residual = rng.standard_normal((2, m, n)).astype(np.float32)
    exact = a.astype(np.float64) @ (b.T if trans_b else b)
    bound = 1e-5 * np.abs(exact).max()
    y = F.gemm(a, b, trans_b=trans_b)
    np.testing.assert_allclose(y, exact, rtol=0, atol=bound)
    y = F.gemm(
        a,
        b,
        alpha=0.5,
        beta=2.0,
        c=c,
        trans_b=trans_b,
        bias=bias,
        residual=residual,
        activation="relu",
    )
    expected = np.maximum(0.5 * exact + 2.0 * c + bias + residual, 0)
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)


def test_few_rows_of_a_large_matrix_same_bits() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 1500)).astype(np.float32)
    b = rng.standard_normal((1500, 1100)).astype(np.float32)
    assert_same_bits(lambda: F.gemm(a, b))
