"""Concatenations and slices: which are places in memory, and which need copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compiler.networks import Apply, check, graph_of, steps
from fastconv import nn
from fastconv.autograd import ops


def conv(channels: int, width: int, kernel: int = 1) -> nn.Module:
    return nn.Conv2d(channels, width, kernel, padding=kernel // 2)


def joined(forward: Callable[..., Any], copies: int = 0, **parts: nn.Module) -> None:
    """The network gives the right numbers, and copies so many values."""
    net = Apply(forward, **parts)
    assert steps(net, (2, 6, 5, 7)).get("copy", 0) == copies
    assert not steps(net, (2, 6, 5, 7)).get("concat")
    check(net, (2, 6, 5, 7))


def test_producers_write_slices() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = ops.concat([self.a(x), ops.max_pool2d(x, 3, 1, 1), self.b(x)])
        return self.c(y)

    joined(forward, a=conv(6, 3, 3), b=conv(6, 5, 3), c=conv(14, 4, 3))


def test_nested() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = ops.concat([self.a(x), self.b(x)])
        return ops.concat([self.c(x), y, ops.avg_pool2d(y, 3, 1, 1)])

    joined(forward, a=conv(6, 3, 3), b=conv(6, 5, 3), c=conv(6, 4, 3))


def test_what_a_slice_cannot_hold_is_copied() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = self.a(x)
        # The input, a norm that writes no slices, a value that is there already, one that a norm
        # reads.
        return ops.concat([x, ops.local_response_norm(x, 3), y, y, self.b(y), self.c(x)])

    def with_norm(self: Any, x: Any) -> Any:
        y = self.a(x)
        return ops.concat([y, ops.local_response_norm(y, 3)])

    joined(forward, copies=3, a=conv(6, 3, 3), b=conv(3, 2), c=conv(6, 2))
    joined(with_norm, copies=2, a=conv(6, 3, 3))


def test_one_value_in_two_concatenations() -> None:
    def forward(self: Any, x: Any) -> Any:
        a, b = self.a(x), self.b(x)
        return self.c(ops.concat([a, b])) + self.d(ops.concat([b, a]))

    # Memory holds a, b and a again: the second concatenation begins in the first.
    parts = {"a": conv(6, 3, 3), "b": conv(6, 5, 3), "c": conv(8, 4), "d": conv(8, 4)}
    joined(forward, copies=1, **parts)


def test_dense_connections() -> None:
    def forward(self: Any, x: Any) -> Any:
        for norm, part in ((self.n1, self.c1), (self.n2, self.c2)):
            x = ops.concat([x, part(ops.relu(norm(x)))])
        return x

    # Norms read whole buffers, so each join but the last is copied into the next.
    parts = {"n1": nn.BatchNorm2d(6), "c1": conv(6, 4, 3), "n2": nn.BatchNorm2d(10)}
    joined(forward, copies=2, c2=conv(10, 4, 3), **parts)


def test_residual_beside_slices() -> None:
    def forward(self: Any, x: Any) -> Any:
        a = self.a(x)
        y = ops.concat([self.b(x), a + self.c(x)])
        return ops.concat([y, a + self.d(y)])

    parts = {"a": conv(6, 6, 3), "b": conv(6, 2, 3), "c": conv(6, 6, 3), "d": conv(8, 6, 3)}
    joined(forward, copies=2, **parts)


def test_slices_of_channels() -> None:
    def forward(self: Any, x: Any) -> Any:
        a, b = x[:, :2], self.a(x)
        left, right = b[:, :3], b[:, 3:, :]
        return ops.concat([self.b(left), ops.relu(right), self.c(a), left[:, 1:], x[..., :]])

    parts = {"a": conv(6, 7, 3), "b": conv(3, 2, 3), "c": conv(2, 2)}
    # relu reads rows without gaps; it, the slice that lies elsewhere, and the input are copied.
    joined(forward, copies=4, **parts)


def test_slices_of_the_input_where_they_were() -> None:
    def partial(self: Any, x: Any) -> Any:
        return self.b(ops.concat([self.a(x[:, :2]), x[:, 2:]]))

    joined(partial, copies=1, a=conv(2, 2, 3), b=conv(6, 4))
    joined(lambda self, x: ops.concat([x[:, 2:], x[:, 2:]]), copies=2)
    joined(lambda self, x: ops.concat([x[:, :2], x[:, 2:]]), copies=2)
    joined(lambda self, x: ops.concat([x]), copies=1)


def test_the_output_is_a_slice() -> None:
    joined(lambda self, x: self.a(x)[:, 2:5], copies=1, a=conv(6, 7, 3))
    joined(lambda self, x: x[:, 2:5], copies=1)


def test_the_output_is_the_input() -> None:
    joined(lambda self, x: x, copies=1)
    net = Apply(lambda self, x: x.reshape(x.shape[0], 5, 7))
    check(net, (3, 1, 5, 7))


@pytest.mark.parametrize("dim", [2, 3])
def test_along_other_axes(dim: int) -> None:
    def forward(self: Any, x: Any) -> Any:
        return ops.concat([self.a(x), ops.relu(x), self.a(ops.concat([x, x], dim))], dim)

    check(Apply(forward, a=conv(6, 6, 3)), (2, 6, 5, 7))


def test_rows() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = ops.concat([self.a(x), ops.concat([x, self.b(x)])])
        return ops.concat([self.c(y), y])

    parts = {"a": nn.Linear(6, 3), "b": nn.Linear(6, 5), "c": nn.Linear(14, 4)}
    check(Apply(forward, **parts), (3, 6))


def branches(order: str) -> nn.Module:
    """An Inception module whose 1x1 branch comes at some place of the concatenation."""

    def forward(self: Any, x: Any) -> Any:
        named = {
            "a": ops.relu(self.a(x)),
            "b": self.b(ops.relu(self.reduce_b(x))),
            "c": self.c(ops.relu(self.reduce_c(x))),
            "d": self.d(ops.max_pool2d(x, 3, 1, 1)),
        }
        return self.last(ops.concat([named[key] for key in order]))

    parts = {"a": conv(6, 4), "reduce_b": conv(6, 3), "b": conv(3, 5, 3), "reduce_c": conv(6, 2)}
    rest = {"c": conv(2, 3, 5), "d": conv(6, 2), "last": conv(14, 3)}
    return Apply(forward, **parts, **rest)


@pytest.mark.parametrize("order, count", [("abcd", 5), ("bacd", 6), ("dcba", 6)])
def test_siblings_become_one_convolution(order: str, count: int) -> None:
    net = branches(order)
    assert steps(net, (2, 6, 5, 7)) == {"conv2d": count, "max_pool2d": 1}
    layers = [node.layer for node in graph_of(net, (2, 6, 5, 7)).nodes]
    assert ("(reduce_b, reduce_c, a)" if count == 5 else "(reduce_b, reduce_c)") in layers
    check(net, (2, 6, 5, 7))


def test_siblings_that_differ_stay_apart() -> None:
    def forward(self: Any, x: Any) -> Any:
        return ops.relu(self.a(x)) + self.b(x) + self.c(x)[:, :, :]

    parts = {"a": conv(6, 4), "b": conv(6, 4), "c": conv(6, 4)}
    net = Apply(forward, **parts)
    assert steps(net, (1, 6, 5, 7))["conv2d"] == 3
    check(net, (1, 6, 5, 7))


def test_the_whole_module_at_the_end() -> None:
    # The concatenation is the output, so the first branch cannot lie in a wider picture.
    def forward(self: Any, x: Any) -> Any:
        return ops.concat([self.a(x), self.b(self.reduce_b(x)), self.c(self.reduce_c(x))])

    parts = {"a": conv(6, 4), "reduce_b": conv(6, 3), "b": conv(3, 5, 3), "reduce_c": conv(6, 2)}
    joined(forward, c=conv(2, 3, 5), **parts)
