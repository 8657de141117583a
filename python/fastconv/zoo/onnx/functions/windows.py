"""How windows move over any number of axes: padding by rule, and numbers of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AUTO_PAD", "Pads", "Window", "extents", "halves"]

Pads = tuple[tuple[int, int], ...]

AUTO_PAD = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Window:
    """The attributes that convolutions and poolings of ONNX share, one entry an axis.

    pads are (before, after), for auto_pad NOTSET.
    """

    stride: tuple[int, ...]
    pads: Pads
    dilation: tuple[int, ...]
    auto_pad: str = "NOTSET"

    def padding(self, sizes: Sequence[int], kernel: Sequence[int]) -> Pads:
        """Return the padding for an input of these sizes."""
        if self.auto_pad == "NOTSET":
            return self.pads
        if self.auto_pad == "VALID":
            return ((0, 0),) * len(sizes)
        # As many windows as the stride leaves of the input, rounded up.
        totals = (
            max(((n + s - 1) // s - 1) * s + extent - n, 0)
            for n, s, extent in zip(sizes, self.stride, extents(kernel, self.dilation), strict=True)
        )
        return tuple(halves(total, self.auto_pad == "SAME_UPPER") for total in totals)

    def counts(self, sizes: Sequence[int], kernel: Sequence[int], ceil_mode: bool) -> list[int]:
        """Return the number of windows along every axis.

        Rounding up never adds one that starts in the padding behind the input.
        """
        out = []
        for n, s, (before, after), extent in zip(
            sizes,
            self.stride,
            self.padding(sizes, kernel),
            extents(kernel, self.dilation),
            strict=True,
        ):
            room = n + before + after - extent
            # SAME says how many windows there are; nothing is left to round.
            up = ceil_mode and not self.auto_pad.startswith("SAME")
            count = (-(-room // s) if up else room // s) + 1
            if up and (count - 1) * s >= n + before:
                count -= 1
            if count < 1:
                raise ValueError(
                    f"the window must fit in the padded input (sizes={tuple(sizes)}, "
                    f"kernel={tuple(kernel)}, stride={self.stride}, dilation={self.dilation})"
                )
            out.append(count)
        return out

    def exact(self, sizes: Sequence[int], kernel: Sequence[int], counts: Sequence[int]) -> Pads:
        """Return the padding of which that many windows use all; negative where they leave out
        the input's end."""
        return tuple(
            (before, (count - 1) * s + extent - n - before)
            for n, s, (before, _), extent, count in zip(
                sizes,
                self.stride,
                self.padding(sizes, kernel),
                extents(kernel, self.dilation),
                counts,
                strict=True,
            )
        )

    def taps(
        self, sizes: Sequence[int], kernel: Sequence[int], counts: Sequence[int], padded: bool
    ) -> NDArray[Any]:
        """Return how many elements of the input, or with `padded` of the padded input, lie in
        every window."""
        total = np.ones((1,) * len(sizes), np.float32)
        for axis, (n, k, s, d, (before, after), count) in enumerate(
            zip(
                sizes,
                kernel,
                self.stride,
                self.dilation,
                self.padding(sizes, kernel),
                counts,
                strict=True,
            )
        ):
            at = np.arange(count)[:, None] * s - before + np.arange(k) * d
            low, high = (-before, n + after) if padded else (0, n)
            inside = ((at >= low) & (at < high)).sum(1).astype(np.float32)
            total = total * inside.reshape([count if i == axis else 1 for i in range(len(sizes))])
        return total


def extents(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Return the lengths from a window's first tap to its last, both included."""
    return [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]


def halves(total: int, upper: bool) -> tuple[int, int]:
    """Share out a padding; the odd one goes to the end if `upper`."""
    small = total // 2
    return (small, total - small) if upper else (total - small, small)
