"""How windows move over a picture: arguments brought to one form, and output sizes."""

from __future__ import annotations

import operator
from typing import Any

__all__ = [
    "Padding",
    "ceil_mode_of",
    "conv_length",
    "integer",
    "padding_of",
    "pair",
    "pool_lengths",
]

Padding = tuple[tuple[int, int], tuple[int, int]]


def integer(op: str, name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`."""
    if isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be an integer ({name}={value!r})")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer ({name}={value!r})") from None
    if number < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum} ({name}={value!r})")
    return number


def pair(op: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """Return an integer for both axes, or a pair (height, width), as a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{op}: {name} must be an integer or a pair ({name}={value!r})")
        return integer(op, name, value[0], minimum), integer(op, name, value[1], minimum)
    number = integer(op, name, value, minimum)
    return number, number


def padding_of(op: str, value: Any) -> Padding:
    """Return int | (ph, pw) | ((top, bottom), (left, right)) in the last form."""
    if isinstance(value, (tuple, list)) and any(isinstance(v, (tuple, list)) for v in value):
        if len(value) != 2:
            raise ValueError(
                f"{op}: padding must be an integer, (height, width) or ((top, bottom), "
                f"(left, right)) (padding={value!r})"
            )
        return pair(op, "padding", value[0], 0), pair(op, "padding", value[1], 0)
    height, width = pair(op, "padding", value, 0)
    return (height, height), (width, width)


def ceil_mode_of(op: str, value: Any) -> bool | str:
    """Return a ceil mode after checking that it is one."""
    if value is True or value is False or value == "caffe":
        return value  # type: ignore[no-any-return]
    raise ValueError(f"{op}: ceil_mode must be False, True or 'caffe' (ceil_mode={value!r})")


def conv_length(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """Return how many windows fit along an axis."""
    return (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def pool_lengths(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool | str = False,
) -> tuple[int, int]:
    """Return how many windows a pooling has along both axes.

    Rounding up may leave a last window that starts in the padding on the right: PyTorch drops it,
    Caffe does so only if the pooling is padded at all.
    """
    drops = ceil_mode is True or any(map(any, padding))
    lengths = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + sum(p) - d * (k - 1) - 1
        if not ceil_mode:
            lengths.append(room // s + 1)
            continue
        length = -(-room // s) + 1
        if drops and (length - 1) * s >= n + p[0]:
            length -= 1
        lengths.append(length)
    return lengths[0], lengths[1]
