"""Operations that know their gradient, and the backward pass over the graph they leave behind.

Every recorded operation is a node: an instance of its Function class, which is also the `ctx`
that forward and backward share. A node refers to the nodes that made its inputs, not to the
inputs themselves, so an activation lives only as long as somebody saved it.
"""

from __future__ import annotations

from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .state import kernels, state

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Function", "run_backward"]

_next_order = count().__next__
_order = attrgetter("order")


class Function:
    """A differentiable operation: subclass it with two static methods, `forward` and `backward`.

    `forward(ctx, *args)` gets plain arrays for tensors and everything else as it is; it returns
    one array, or a tuple whose first item is differentiable and whose others (indices, statistics)
    are handed on as they are. `backward(ctx, grad)` gets the gradient of that array and returns
    the gradient of each argument in order, None where there is none; trailing Nones may be left
    out. Call the operation with `apply`.

    `ctx.save_for_backward(*arrays)` keeps arrays, found again in `ctx.saved` and freed by the
    backward pass; anything small may be set as an attribute. `ctx.needs_input_grad[i]` says
    whether argument i needs a gradient, and `ctx.kernels` is the backend.

    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved
    ...         return 2 * x * grad
    """

    # Set by the module `tensor`, which needs this one.
    tensor_type: ClassVar[Any] = None

    # Whether what backward returns is its own, with nobody else, or its argument, once.
    owns_results: ClassVar[bool] = False
    # Whether backward adds the gradient of the first argument to `first`, unless that is None, and
    # returns it.
    adds_to_first: ClassVar[bool] = False

    first: np.ndarray | None = None
    # Whether nobody else has what backward gets: it may be written over.
    owns_grad: bool = False
    kernels: Any
    needs_input_grad: tuple[bool, ...]
    saved: tuple[Any, ...] = ()
    edges: tuple[Function | Tensor | None, ...] | None  # None: freed by a backward pass
    order: int
    retained: Tensor | None = None  # the output, when it asked to keep its gradient

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        raise NotImplementedError

    def save_for_backward(self, *arrays: Any) -> None:
        """Keep arrays for backward, where they are `ctx.saved`."""
        self.saved = arrays

    @classmethod
    def apply(cls, *args: Any) -> Tensor:
        """Run the operation on tensors, arrays and options, and record it if a gradient is due.

        Returns a tensor, or a tuple of it and the arrays that forward returned beside it.
        """
        tensor_type = Function.tensor_type
        ctx = cls()
        ctx.kernels = state.kernels or kernels()
        arrays: list[Any] = []
        if state.grad_enabled:
            edges: list[Any] = []
            for arg in args:
                if isinstance(arg, tensor_type):
                    arrays.append(arg.data)
                    edges.append((arg.node or arg) if arg.requires_grad else None)
                else:
                    arrays.append(arg)
                    edges.append(None)
            needs = tuple([edge is not None for edge in edges])
            record = True in needs
        else:
            for arg in args:
                arrays.append(arg.data if isinstance(arg, tensor_type) else arg)
            needs = (False,) * len(args)
            record = False
        ctx.needs_input_grad = needs
        result = cls.forward(ctx, *arrays)
        extras: tuple[Any, ...] = ()
        if type(result) is tuple:
            result, *rest = result
            extras = tuple(rest)
        out: Tensor = tensor_type(result)
        if record:
            ctx.edges = tuple(edges)
            ctx.order = _next_order()
            out.node = ctx
            out.requires_grad = True
        return (out, *extras) if extras else out  # type: ignore[return-value]


def run_backward(root: Tensor, grad: np.ndarray, retain_graph: bool) -> None:
    """Add the gradients of `root`, weighted by `grad`, to the leaves it was computed from."""
    if root.node is None:
        _accumulate_leaf(root, grad, owned=False, name="backward")
        return
    gradients = {root.node: grad}
    summed: set[Function] = set()
    made: set[Function] = set()
    for node in _reachable(root.node):
        node_grad = gradients.pop(node, None)
        if node_grad is not None:
            _run_node(node, node_grad, gradients, summed, made)
        if not retain_graph:
            node.edges = None
            node.saved = ()
            node.retained = None


def _run_node(
    node: Function,
    grad: np.ndarray,
    gradients: dict[Function, np.ndarray],
    summed: set[Function],
    made: set[Function],
) -> None:
    """Turn the gradient of a node's output into those of its inputs, and add them up.

    `summed` are the nodes whose entry in `gradients` is a sum made here, so that nobody else has
    the array and it may be added to in place; of those in `made`, a node made it that keeps none.
    """
    if node.retained is not None:
        _accumulate_leaf(node.retained, grad, owned=False, name="retain_grad")
    edges = node.edges or ()
    first: Any = edges[0] if node.adds_to_first else None
    node.first = gradients[first] if first in made or first in summed else None
    node.owns_grad = node in made or node in summed
    results = node.backward(node, grad)
    if type(results) is not tuple:
        results = (results,)
    for edge, result in zip(edges, results, strict=False):
        if edge is None or result is None:
            continue
        if type(result) is not np.ndarray:
            result = np.asarray(result)  # NumPy turns arrays without axes into scalars
        if not isinstance(edge, Function):
            # `+` hands the same array to both inputs, reshape a view of it.
            view = isinstance(result.base, np.ndarray) and not node.owns_results
            shared = result is grad or view
            owned = not shared and sum(other is result for other in results) < 2
            _accumulate_leaf(edge, result, owned, type(node).__name__)
        elif edge not in gradients:
            gradients[edge] = result
            if node.owns_results and (node.owns_grad or result is not grad):
                made.add(edge)
        elif result is node.first:
            pass  # where it was added
        elif edge in summed:
            gradients[edge] += result
        else:
            gradients[edge] = _add(node.kernels, gradients[edge], result)
            summed.add(edge)
    node.first = None


def _reachable(root: Function) -> list[Function]:
    """Return the nodes behind `root`, the latest recorded first: each after all its consumers."""
    seen = {root}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.edges is None:
            raise RuntimeError(
                "backward: the graph was freed by an earlier backward; run the forward pass again, "
                f"or keep it with backward(retain_graph=True) (operation={type(node).__name__})"
            )
        for edge in node.edges:
            if isinstance(edge, Function) and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=_order, reverse=True)


def _accumulate_leaf(leaf: Tensor, grad: np.ndarray, owned: bool, name: str) -> None:
    if grad.shape != leaf.data.shape:
        raise ValueError(
            f"backward: a gradient must have the shape of its tensor "
            f"(operation={name}, gradient={grad.shape}, tensor={leaf.data.shape})"
        )
    if leaf.grad is None:
        leaf.grad = grad if owned else grad.copy()
    else:
        leaf.grad += grad


def _add(backend: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.ndim == 4 and x.dtype == y.dtype:
        result: np.ndarray = backend.add(x, y)
        return result
    return np.asarray(x + y)
