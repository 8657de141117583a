"""How windows move over a picture: arguments brought to one form, and output sizes."""

from __future__ import annotations

from typing import Any

from .._arguments import pair

__all__ = [
    "Padding",
    "ceil_mode_of",
    "conv_length",
    "padding_of",
    "pool_lengths",
]

Padding = tuple[tuple[int, int], tuple[int, int]]


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
