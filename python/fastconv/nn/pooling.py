"""Pooling layers."""

from __future__ import annotations

from typing import Any

from .._arguments import flag, integer, pair
from ..autograd import Tensor, ops
from ..autograd.geometry import ceil_mode_of, padding_of
from ..autograd.ops.activation import check_joined
from .module import Module

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]


def _check_window(op: str, kernel_size: Any, stride: Any, padding: Any) -> None:
    kernel = pair(op, "kernel_size", kernel_size, 1)
    if stride is not None:
        pair(op, "stride", stride, 1)
    for size, sides in zip(kernel, padding_of(op, padding), strict=True):
        if 2 * max(sides) > size:
            raise ValueError(
                f"{op}: padding must be at most half the window "
                f"(padding={padding!r}, kernel_size={kernel_size!r})"
            )


class MaxPool2d(Module):
    """The maximum of every window: (N, C, H, W) -> (N, C, OH, OW).

    `stride=None` is the kernel size. `ceil_mode` rounds output sizes up: True as PyTorch does,
    which drops a window that would start in the padding on the right; "caffe" as Caffe does, which
    drops it only if the pooling is padded. `padding` is at most half the window. Called with
    `activation="relu"`, it applies a ReLU in the same pass.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        ceil_mode: bool | str = False,
    ) -> None:
        _check_window("MaxPool2d", kernel_size, stride, padding)
        pair("MaxPool2d", "dilation", dilation, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode_of("MaxPool2d", ceil_mode)

    @property
    def window(self) -> tuple[Any, ...]:
        """The arguments of `max_pool2d`, in their order."""
        return (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        check_joined("MaxPool2d", activation)
        return (ops.max_pool2d if activation is None else ops.relu_max_pool2d)(x, *self.window)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of every window: (N, C, H, W) -> (N, C, OH, OW).

    Arguments as in MaxPool2d; `count_include_pad=False` leaves the padding out of the mean.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool | str = False,
        count_include_pad: bool = True,
    ) -> None:
        _check_window("AvgPool2d", kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode_of("AvgPool2d", ceil_mode)
        self.count_include_pad = flag("AvgPool2d", "count_include_pad", count_include_pad)

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        if self.ceil_mode is not False:
            text += f", ceil_mode={self.ceil_mode}"
        return text if self.count_include_pad else text + ", count_include_pad=False"


class AdaptiveAvgPool2d(Module):
    """Means over windows chosen for an output size: (N, C, H, W) -> (N, C, OH, OW).

    `output_size` is an integer or (OH, OW), where None keeps the size; window i covers
    floor(i H / OH) to ceil((i + 1) H / OH), as in PyTorch.
    """

    def __init__(self, output_size: Any) -> None:
        sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
        if len(sizes) not in (1, 2) or (isinstance(output_size, (tuple, list)) and len(sizes) == 1):
            raise ValueError(
                f"AdaptiveAvgPool2d: output_size must be an integer or a pair "
                f"(output_size={output_size!r})"
            )
        for size in sizes:
            if size is not None:
                integer("AdaptiveAvgPool2d", "output_size", size, 1)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
