"""Gradients of tensors and networks against finite differences, in float64 on the NumPy twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv
from compare import check_gradient
from fastconv import Tensor, nn, tensor, use_backend
from fastconv.autograd import no_grad

__all__ = ["check_gradients", "check_network"]


def check_gradients(function: Callable[..., Tensor], *arrays: Any, seed: int = 0) -> None:
    """Check the gradient of function(*tensors) by each floating point array."""
    rng = np.random.default_rng(seed)
    tensors = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    with use_backend("reference"):
        out = function(*tensors)
        upstream = rng.standard_normal(out.shape)
        out.backward(upstream)
        for i, leaf in enumerate(tensors):
            if not leaf.requires_grad:
                continue

            def with_value(value: Any, i: int = i) -> Any:
                values = [*tensors[:i], tensor(value), *tensors[i + 1 :]]
                with no_grad():
                    return function(*values).data

            assert leaf.grad is not None, f"argument {i} has no gradient"
            check_gradient(with_value, leaf.data, leaf.grad, upstream, what=f"argument {i}")


def check_network(
    net: nn.Module,
    x: Any,
    loss: Callable[[Any], Tensor],
    *,
    seed: int = 0,
    only: tuple[str, ...] | None = None,
) -> None:
    """Check the gradient of loss(net(x)) by the input and by every parameter (or `only` these)."""
    net.astype(np.float64)
    one = np.ones(())

    def run(value: Any) -> Tensor:
        fastconv.manual_seed(seed)  # the same masks every time
        return loss(net(value))

    with use_backend("reference"):
        picture = tensor(x.astype(np.float64), requires_grad=True)
        run(picture).backward()
        assert picture.grad is not None
        with no_grad():
            check_gradient(lambda v: run(v).data, picture.data, picture.grad, one, what="input")
            for name, parameter in net.named_parameters():
                assert parameter.grad is not None, f"{name} has no gradient"
                if only is not None and name not in only:
                    continue

                def with_value(value: Any, parameter: Any = parameter) -> Any:
                    kept, parameter.data = parameter.data, value
                    try:
                        return run(picture).data
                    finally:
                        parameter.data = kept

                check_gradient(with_value, parameter.data, parameter.grad, one, what=name)
