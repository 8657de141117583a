"""The one test helper: `check` compares a kernel with its twin, `check_twin` the twin with others.

    check("conv2d", x, weight, bias, stride=2)

calls `fastconv.functional.conv2d` in float32 and `fastconv.reference.conv2d` in float64 and
compares shape, dtype, values and every gradient; on small arrays it also has the twin's gradients
checked by finite differences. What it knows of each operation is in operations.py.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastconv import reference
from operations import OPERATIONS, Rounding

__all__ = [
    "assert_close",
    "check",
    "check_gradient",
    "check_twin",
    "layouts",
    "tolerance",
]

EPSILON = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)  # kernels may flush what is smaller to zero
ROUNDINGS = 4  # epsilons that one operation may be off
SMALL = 4096  # elements up to which `check` has finite differences taken

# The operations whose results are channels-last whatever the input's layout.
CHANNELS_LAST = frozenset(
    {
        "adaptive_avg_pool2d",
        "avg_pool2d",
        "batch_norm",
        "batch_norm_training",
        "conv2d",
        "global_avg_pool2d",
        "local_response_norm",
        "max_pool2d",
        "to_channels_last",
    }
)


def tolerance(reduction_length: int, scale: Any) -> Any:
    """How far a float32 sum of that many terms may be off, if its partial sums are about `scale`.

    Each addition is off by up to half an epsilon of its partial sum, and the errors add up like
    a random walk: with the root of their number.
    """
    return ROUNDINGS * EPSILON * np.sqrt(max(reduction_length, 1)) * scale + TINY


def assert_close(
    actual: Any,
    expected: Any,
    rounding: Rounding = (1, 0.0),
    *,
    exact: bool = False,
    uniform: bool = False,
    slack: float = 1.0,
    what: str = "result",
) -> None:
    """Assert shape, dtype (float32, or equal integers), non-finite pattern and values.

    rounding is (terms added up, sum of their absolute values). Partial sums are as large as the
    result if the terms share a sign, else about that sum divided by the root of the length.
    """
    assert isinstance(actual, np.ndarray), f"{what}: {type(actual).__name__} is no array"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} != {expected.shape}"
    if not np.issubdtype(expected.dtype, np.floating):
        assert actual.dtype == expected.dtype, f"{what}: dtype {actual.dtype}"
        np.testing.assert_array_equal(actual, expected, err_msg=what)
        return
    assert actual.dtype == np.float32, f"{what}: dtype {actual.dtype}"
    with np.errstate(over="ignore"):
        narrow = expected.astype(np.float32)
    finite = np.isfinite(narrow)
    np.testing.assert_array_equal(
        np.where(finite, 0, narrow), np.where(np.isfinite(actual), 0, actual), err_msg=what
    )
    length, magnitude = rounding
    scale = np.abs(_finite(expected)) + _finite(magnitude) / np.sqrt(max(length, 1))
    if uniform:
        scale = np.max(scale, initial=0.0)
    allowed = np.broadcast_to(0.0 if exact else slack * tolerance(length, scale), actual.shape)
    error = np.abs(np.where(finite, actual, 0).astype(np.float64) - np.where(finite, expected, 0))
    if (error > allowed).any():
        worst = np.unravel_index(np.argmax(error - allowed), error.shape)
        raise AssertionError(
            f"{what}: {np.count_nonzero(error > allowed)} of {error.size} values are off, worst at "
            f"{tuple(int(i) for i in worst)}: {actual[worst]!r} instead of {expected[worst]!r}, "
            f"error {error[worst]:.3g} > {allowed[worst]:.3g}"
        )


def check(
    name: str,
    *args: Any,
    grads: bool | tuple[str, ...] = True,
    torch: Callable[..., Any] | None = None,
    slack: float = 1.0,
    seed: int = 0,
    **kwargs: Any,
) -> None:
    """Compare `functional.<name>(*args, **kwargs)` and its gradients with the float64 twin.

    grads: True (all that exist), False, or argument names such as ("x", "weight"). Gradients are
    those of the operation without its fused activation and residual. torch: a callable that
    computes the same from tensors of the positional arguments; used where torch is installed.
    slack multiplies the tolerance, for a documented loss of precision.
    """
    functional = importlib.import_module("fastconv.functional")
    operation = OPERATIONS[name]
    arguments = _bind(name, args, kwargs)
    before = copy.deepcopy((args, kwargs))
    outputs = _tuple(getattr(functional, name)(*args, **kwargs))
    _assert_same((args, kwargs), before, f"{name} changed its input")
    if name in CHANNELS_LAST and outputs[0].ndim == 4:
        channels_last = outputs[0].transpose(0, 2, 3, 1).flags.c_contiguous
        assert channels_last, f"{name}: the result is not channels-last"

    wide_args, wide_kwargs = _wide(args), _wide(kwargs)
    wide = _bind(name, wide_args, wide_kwargs)
    with np.errstate(all="ignore"):
        expected = _tuple(getattr(reference, name)(*wide_args, **wide_kwargs))
        assert len(outputs) == len(expected), f"{name}: {len(outputs)} results"
        roundings: tuple[Rounding, ...] = ((1, 0.0),) * len(expected)
        if operation.rounding:
            roundings = operation.rounding(_finite(wide), _finite(expected))
        loose = {"uniform": operation.uniform, "slack": slack}
        for i, rounding in enumerate(roundings):
            what = name if i == 0 else f"{name}, result {i}"
            exact = operation.exact and getattr(arguments, "activation", None) is None
            assert_close(outputs[i], expected[i], rounding, exact=exact, what=what, **loose)

        if operation.backward and grads:
            upstream = np.random.default_rng(seed).standard_normal(outputs[0].shape)
            upstream = np.asarray(upstream, np.float32)
            gradients = operation.backward(functional, upstream, outputs, arguments)
            known = (np.asarray(upstream, np.float64), _wide(outputs))
            wanted = operation.backward(reference, *known, wide)
            backward_roundings: dict[str, Rounding] = {}
            if operation.backward_rounding:
                backward_roundings = operation.backward_rounding(*_finite(known), _finite(wide))
            for key, gradient in gradients.items():
                if grads is True or key in grads:
                    rounding = backward_roundings.get(key, (1, 0.0))
                    what = f"gradient of {name} by {key}"
                    assert_close(gradient, wanted[key], rounding, what=what, **loose)

    arrays = [a for a in _leaves((args, kwargs)) if np.issubdtype(a.dtype, np.floating)]
    small = sum(a.size for a in arrays) <= SMALL and outputs[0].size <= SMALL
    differences = small and all(np.isfinite(a).all() for a in arrays)
    twin = {"torch": torch, "differences": differences}
    check_twin(name, *args, grads=grads, seed=seed, **twin, **kwargs)


def check_twin(
    name: str,
    *args: Any,
    grads: bool | tuple[str, ...] = True,
    torch: Callable[..., Any] | None = None,
    differences: bool = True,
    seed: int = 0,
    **kwargs: Any,
) -> None:
    """Check `reference.<name>`'s gradients by finite differences, and with torch all it gives."""
    args, kwargs = _wide(args), _wide(kwargs)
    arguments = _bind(name, args, kwargs)
    rng = np.random.default_rng(seed)
    if differences and grads:
        _check_differences(name, _off_kinks(arguments, rng), grads, rng)
    if torch and importlib.util.find_spec("torch"):
        _check_torch(name, torch, args, kwargs, arguments, grads, rng)


def _check_differences(
    name: str, arguments: SimpleNamespace, grads: bool | tuple[str, ...], rng: Any
) -> None:
    backward = OPERATIONS[name].backward
    if backward is None:
        return
    for extra in ("activation", "residual"):
        if hasattr(arguments, extra):
            setattr(arguments, extra, None)

    def forward(**changed: Any) -> tuple[Any, ...]:
        return _tuple(getattr(reference, name)(**{**vars(arguments), **changed}))

    outputs = forward()
    upstream = rng.standard_normal(outputs[0].shape)
    for key, gradient in backward(reference, upstream, outputs, arguments).items():
        x = getattr(arguments, key)
        if x is not None and (grads is True or key in grads):
            check_gradient(
                lambda value, key=key: forward(**{key: value})[0],
                x,
                gradient,
                upstream,
                what=f"gradient of the twin {name} by {key}",
            )


def check_gradient(
    function: Callable[[Any], Any],
    x: Any,
    gradient: Any,
    upstream: Any,
    *,
    seed: int = 0,
    what: str = "gradient",
) -> None:
    """Assert, by central differences, that `gradient` is that of (upstream * f(x)).sum(), float64.

    Differences are taken along random directions: each one involves every element. One of three
    steps has to agree: a long one may cross a kink, a short one drowns in rounding.
    """
    assert gradient.shape == x.shape, f"{what}: shape {gradient.shape} != {x.shape}"
    assert gradient.dtype == x.dtype, f"{what}: dtype {gradient.dtype}"
    rng = np.random.default_rng(seed)
    for _ in range(2):
        direction = rng.standard_normal(x.shape)
        claimed = (gradient * direction).sum()
        for step in (1e-6, 1e-7, 1e-8):
            change = function(x + step * direction) - function(x - step * direction)
            terms = upstream * change / (2 * step)
            scale = np.abs(terms).sum() + np.abs(gradient * direction).sum()
            if abs(terms.sum() - claimed) <= 1e-6 * scale + 1e-9:
                break
        else:
            raise AssertionError(f"{what}: {claimed} claimed, {terms.sum()} measured")


def _check_torch(
    name: str,
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    arguments: SimpleNamespace,
    grads: bool | tuple[str, ...],
    rng: Any,
) -> None:
    torch = importlib.import_module("torch")

    def tensor(value: Any) -> Any:
        if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
            return [tensor(v) for v in value]
        if not isinstance(value, np.ndarray):
            return value
        if not np.issubdtype(value.dtype, np.floating):
            return torch.tensor(value.astype(np.int64))
        return torch.tensor(value, requires_grad=True)

    tensors = [tensor(value) for value in args]
    theirs = _tuple(function(*tensors))
    ours = _tuple(getattr(reference, name)(*args, **kwargs))
    for mine, other in zip(ours, theirs, strict=False):
        values = other.detach().numpy()
        assert mine.shape == values.shape, f"{name}: torch has shape {values.shape}"
        np.testing.assert_allclose(mine, values, rtol=1e-9, atol=1e-10, err_msg=f"{name}, torch")

    backward = OPERATIONS[name].backward
    fused = any(getattr(arguments, e, None) is not None for e in ("activation", "residual"))
    if backward is None or not grads or fused:
        return
    upstream = rng.standard_normal(ours[0].shape)
    theirs[0].backward(torch.tensor(upstream))
    gradients = backward(reference, upstream, ours, arguments)
    for key, other in zip(vars(arguments), tensors, strict=False):
        if key in gradients and (grads is True or key in grads):
            what = f"gradient of {name} by {key}, torch"
            values = other.grad.numpy()
            np.testing.assert_allclose(gradients[key], values, rtol=1e-9, atol=1e-10, err_msg=what)


def layouts(x: Any) -> Iterator[tuple[str, Any]]:
    """The same values in every memory layout that a kernel may be given, each with its name."""
    yield "C", x.copy(order="C")
    yield "Fortran", x.copy(order="F")
    if x.ndim == 4:
        yield "channels-last", x.transpose(0, 2, 3, 1).copy(order="C").transpose(0, 3, 1, 2)
    backwards = (slice(None, None, -1),) * x.ndim
    yield "negative strides", x[backwards].copy(order="C")[backwards]
    roomy = np.full([2 * size + 1 for size in x.shape], np.nan, x.dtype)
    inside = roomy[tuple(slice(1, None, 2) for _ in x.shape)]
    inside[...] = x
    yield "slice", inside
    read_only = x.copy(order="C")
    read_only.flags.writeable = False
    yield "read-only", read_only


def _bind(name: str, args: Any, kwargs: Any) -> SimpleNamespace:
    """The arguments by name, with the twin's defaults."""
    bound = inspect.signature(getattr(reference, name)).bind(*args, **kwargs)
    bound.apply_defaults()
    return SimpleNamespace(**bound.arguments)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` on every array in nested tuples, lists, dicts and namespaces."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, tuple | list):
        return type(value)(_map(function, v) for v in value)
    if isinstance(value, dict):
        return {k: _map(function, v) for k, v in value.items()}
    if isinstance(value, SimpleNamespace):
        return SimpleNamespace(**_map(function, vars(value)))
    return value


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    _map(found.append, value)
    return found


def _wide(value: Any) -> Any:
    return _map(lambda a: a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a, value)


def _finite(value: Any) -> Any:
    """Zeros for what is not finite: it has no say in how exact the rest must be."""
    return _map(
        lambda a: np.where(np.isfinite(a), a, 0) if np.issubdtype(a.dtype, np.floating) else a,
        value,
    )


def _off_kinks(arguments: SimpleNamespace, rng: Any) -> SimpleNamespace:
    """Other arguments of that size, without ties and zeros: no derivative may exist there."""

    def moved(a: Any) -> Any:
        if not np.issubdtype(a.dtype, np.floating):
            return a
        return a + 0.5 * max(np.abs(a).max(initial=0.0), 1e-3) * rng.random(a.shape)

    result: SimpleNamespace = _map(moved, arguments)
    return result


def _assert_same(left: Any, right: Any, message: str) -> None:
    for a, b in zip(_leaves(left), _leaves(right), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=message)
