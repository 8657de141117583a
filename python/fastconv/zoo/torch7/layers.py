"""Torch7's layers as those of `fastconv.nn`.

Each function gets a layer's fields and how many axes its input has, batch included, and returns
the layers that compute the same in inference, with the weights, and the axes of their output.

Sources: the Lua classes of torch/nn, soumith/cudnn.torch and szagoruyko/imagine-nn, and the C code
of torch/nn, lib/THNN. What the classes do for files of older versions is done here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from ... import nn
from .fields import array, flag, number, pair, refuse, sizes, whole
from .modules import PadChannels, ScaleShift
from .objects import TorchObject

__all__ = ["LAYERS", "Layer"]

Built = tuple[list[nn.Module], int]
Layer = Callable[[TorchObject, int], Built]

_NEGLIGIBLE = 1e-6  # the threshold and the value that Torch's layers have by default


def _maps(module: TorchObject, axes: int) -> None:
    if axes != 4:
        raise refuse(module, "the input must have the axes (N, C, H, W)", axes=axes)


def _convolution(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    channels, filters = whole(module, "nInputPlane"), whole(module, "nOutputPlane")
    groups = whole(module, "groups", 1) if module.name.startswith("cudnn.") else 1
    if channels % groups or filters % groups:
        raise refuse(
            module, "groups must divide the channels", groups=groups, planes=(channels, filters)
        )
    kernel, padding = pair(module, "k"), pair(module, "pad", 0)
    if module.get("padding") is not None:
        padding = (whole(module, "padding", least=0),) * 2
    weight = array(module, "weight", filters, channels // groups, *kernel)
    biased = module.get("bias") is not None
    layer = nn.Conv2d(
        channels, filters, kernel, pair(module, "d"), padding, pair(module, "dilation", 1), groups,
        biased,
    )  # fmt: skip
    layer.weight.data[...] = weight
    if layer.bias is not None:
        layer.bias.data[...] = array(module, "bias", filters)
    return [layer], 4


def _linear(module: TorchObject, axes: int) -> Built:
    weight = module.get("weight")
    shape: tuple[int, ...] = getattr(weight, "shape", ())
    if axes != 2 or len(shape) != 2 or 0 in shape:
        raise refuse(
            module,
            "weight must have the axes (out, in), the input (N, in)",
            weight=shape,
            axes=axes,
        )
    matrix = array(module, "weight", *shape)
    layer = nn.Linear(shape[1], shape[0], module.get("bias") is not None)
    layer.weight.data[...] = matrix
    if layer.bias is not None:
        layer.bias.data[...] = array(module, "bias", shape[0])
    return [layer], 2


def _batch_norm(module: TorchObject, axes: int, spatial: bool) -> Built:
    if axes != (4 if spatial else 2):
        raise refuse(module, "the input must have the axes of the layer", axes=axes)
    mean = module.get("running_mean")
    features = int(getattr(mean, "size", 0))
    means, eps = array(module, "running_mean", features), number(module, "eps", 1e-5)
    if module.get("running_var") is None:
        # Before version 2 it was the inverse of the deviation, eps included, despite its name.
        with np.errstate(divide="ignore", over="ignore"):
            inverse = array(module, "running_std", features).astype(np.float64)
            variances = (inverse**-2 - eps).astype(np.float32)
    else:
        variances = array(module, "running_var", features)
    affine = module.get("weight") is not None
    if features < 1:
        raise refuse(module, "there must be features", features=features)
    layer = nn.BatchNorm2d(features, eps, number(module, "momentum", 0.1), affine)
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean[...], layer.running_var[...] = means, variances
    if layer.weight is not None and layer.bias is not None:
        layer.weight.data[...] = array(module, "weight", features)
        layer.bias.data[...] = array(module, "bias", features)
    # A map of one pixel: the features of a row are normalised as the channels of a map.
    return ([layer] if spatial else [nn.Reshape(0, -1, 1, 1), layer, nn.Flatten()]), axes


def _max_pool(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    ceil = flag(module, "ceil_mode") or module.name.startswith("inn.")
    kernel, stride = _window(module, None)
    # THNN drops a last window that begins in the padding only if there is padding, as Caffe does.
    return [
        nn.MaxPool2d(
            kernel, stride, pair(module, "pad", 0), pair(module, "dilation", 1),
            ceil_mode="caffe" if ceil else False,
        )
    ], 4  # fmt: skip


def _average_pool(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    kernel, stride = _window(module, 1)
    padding, ceil = pair(module, "pad", 0), flag(module, "ceil_mode")
    if module.name.startswith("cudnn."):
        return _full_average(module, kernel, stride, padding, ceil), 4
    # Files from before these fields have none of them.
    counts = module.get("ceil_mode") is None or flag(module, "count_include_pad")
    ceil = ceil or module.name.startswith("inn.")
    layers: list[nn.Module] = [
        nn.AvgPool2d(kernel, stride, padding, "caffe" if ceil else False, counts)
    ]
    if not flag(module, "divide"):
        layers.append(ScaleShift(float(prod(kernel))))  # the layer was a sum
    return layers, 4


def _full_average(
    module: TorchObject,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    ceil: bool,
) -> list[nn.Module]:
    """cuDNN divides by the whole window, wherever it lies."""
    if module.get("divide") is False:
        raise refuse(module, "the sum must be divided", divide=False)
    if not ceil or stride == (1, 1):
        return [nn.AvgPool2d(kernel, stride, padding)]
    # So many zeros more at the end that rounding down gives what rounding up gave.
    (top, left), (more_down, more_right) = padding, (stride[0] - 1, stride[1] - 1)
    zeros = nn.ZeroPad2d((left, left + more_right, top, top + more_down))
    return [zeros, nn.AvgPool2d(kernel, stride)]


def _window(module: TorchObject, stride: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return kernel and stride; a stride that is not there is `stride`, None: the kernel."""
    kernel = pair(module, "k")
    if stride is None:
        return kernel, (whole(module, "dH", kernel[0]), whole(module, "dW", kernel[1]))
    return kernel, pair(module, "d", stride)


def _adaptive_average_pool(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    return [nn.AdaptiveAvgPool2d((whole(module, "H"), whole(module, "W")))], 4


def _response_norm(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    size = whole(module, "size", 5)
    if size % 2 == 0:
        raise refuse(module, "size must be odd", size=size)
    alpha, beta = number(module, "alpha", 1e-4), number(module, "beta", 0.75)
    k = number(module, "K") if module.get("K") is not None else number(module, "k", 1.0)
    return [nn.LocalResponseNorm(size, alpha, beta, k)], 4


def _zero_padding(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    sides = [whole(module, f"pad_{side}", least=0) for side in "lrtb"]
    return [nn.ZeroPad2d(tuple(sides))], 4


def _padding(module: TorchObject, axes: int) -> Built:
    _maps(module, axes)
    dim, inputs = whole(module, "dim"), module.get("nInputDim")
    axis = dim - (1 if inputs is None or inputs == axes else 0)
    count = number(module, "pad")
    if number(module, "value", 0) != 0 or number(module, "index", 1) != 1 or axis not in (1, 2, 3):
        raise refuse(
            module, "zeros must lie at the borders of channels or maps",
            dim=dim, value=module.get("value"), index=module.get("index"),
        )  # fmt: skip
    if not isinstance(count, int) or abs(count) >= 1 << 16:
        raise refuse(module, "pad must be a whole number below 65536", pad=count)
    before, behind = (-count, 0) if count < 0 else (0, count)
    if axis == 1:
        return [PadChannels(before, behind)], 4
    return [nn.ZeroPad2d((0, 0, before, behind) if axis == 2 else (before, behind, 0, 0))], 4


def _threshold(module: TorchObject, axes: int) -> Built:
    threshold, value = number(module, "threshold", 0), number(module, "val", 0)
    if max(abs(threshold), abs(value)) <= _NEGLIGIBLE:
        return [nn.ReLU()], axes  # exact for 0 and 0, else off by no more than that
    if threshold != value:
        raise refuse(
            module, "the output must not jump at the threshold", threshold=threshold, val=value
        )
    return [nn.Clip(min=value)], axes


def _leaky_relu(module: TorchObject, axes: int) -> Built:
    return [nn.LeakyReLU(number(module, "negval", 0.01))], axes


def _prelu(module: TorchObject, axes: int) -> Built:
    count = whole(module, "nOutputPlane", 0, least=0) or 1
    slopes = array(module, "weight", count)
    layer = nn.PReLU(count)
    layer.weight.data[...] = slopes
    return [layer], axes


def _clip(module: TorchObject, axes: int) -> Built:
    low, high = number(module, "min_val", -1), number(module, "max_val", 1)
    if not low <= high:
        raise refuse(module, "min_val must not exceed max_val", min_val=low, max_val=high)
    return [nn.Clip(low, high)], axes


def _clipped_relu(module: TorchObject, axes: int) -> Built:
    ceiling = number(module, "ceiling")
    if not ceiling >= 0:
        raise refuse(module, "ceiling must not be negative", ceiling=ceiling)
    return [nn.Clip(0.0, ceiling)], axes


def _plain(make: Callable[[], nn.Module], module: TorchObject, axes: int) -> Built:
    return [make()], axes


def _identity(module: TorchObject, axes: int) -> Built:
    return [], axes


def _softmax(make: Callable[[], nn.Module], module: TorchObject, axes: int) -> Built:
    if axes not in (2, 4):
        raise refuse(module, "the input must have the axes (N, C) or (N, C, H, W)", axes=axes)
    return [make()], axes


def _dropout(module: TorchObject, axes: int) -> Built:
    """Before version 2, and over whole channels still, Torch scales in inference, not in training.

    Dropout of whole channels becomes one of single elements, which differs in training alone.
    """
    p = number(module, "p", 0.5)
    if not 0 <= p < 1 or flag(module, "stochastic_inference"):
        raise refuse(
            module, "p must be from 0 to below 1, and inference not random",
            p=p, stochastic_inference=module.get("stochastic_inference"),
        )  # fmt: skip
    layers: list[nn.Module] = [nn.Dropout(p)]
    if not flag(module, "v2") and p > 0:
        layers.append(ScaleShift(1 - p))  # in training, this undoes the scaling of ours
    return layers, axes


def _scale(module: TorchObject, axes: int) -> Built:
    return [ScaleShift(scale=float(number(module, "constant_scalar")))], axes


def _shift(module: TorchObject, axes: int) -> Built:
    return [ScaleShift(shift=float(number(module, "constant_scalar")))], axes


def _view(module: TorchObject, axes: int) -> Built:
    """The batch is what remains; here it is always the first axis."""
    shape = sizes(module, "size")
    inputs = module.get("numInputDims")
    if inputs is not None and inputs != axes - 1:
        raise refuse(module, "all axes but the batch's must be viewed", dims=inputs, axes=axes)
    if inputs is None and len(shape) > 1 and -1 in shape:
        if shape[0] != -1:
            raise refuse(module, "the first axis must be the batch's", size=shape)
        shape = shape[1:]  # without the batch, which is written out there
    return _reshaped(module, shape)


def _reshape(module: TorchObject, axes: int) -> Built:
    if module.get("batchMode") is False:
        raise refuse(module, "there must be an axis for the batch", batchMode=False)
    return _reshaped(module, sizes(module, "size"))


def _reshaped(module: TorchObject, shape: list[int]) -> Built:
    if shape.count(-1) > 1 or any(n < 1 and n != -1 for n in shape) or len(shape) > 3:
        raise refuse(module, "one to three sizes must be given, one of them -1 or none", size=shape)
    if shape == [-1]:
        return [nn.Flatten()], 2
    return [nn.Reshape(0, *shape)], len(shape) + 1


def _mean(module: TorchObject, axes: int) -> Built:
    """A mean along the height or width of maps, whose axis then is gone; or along what is left."""
    dim, inputs = number(module, "dimension", 1), module.get("nInputDims")
    if dim < 0:
        dim += axes + 1
    elif inputs is not None and inputs == axes - 1:
        dim += 1
    if module.name == "nn.Sum" and not flag(module, "sizeAverage"):
        raise refuse(module, "it must divide by the size", sizeAverage=module.get("sizeAverage"))
    if axes not in (3, 4) or dim not in range(3, axes + 1) or module.get("squeeze") is False:
        raise refuse(module, "it must be along height or width, and squeeze", dim=dim, axes=axes)
    if axes == 3:
        return [nn.Reshape(0, 0, -1, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()], 2
    return [nn.AdaptiveAvgPool2d((1, None) if dim == 3 else (None, 1)), nn.Reshape(0, 0, -1)], 3


_OF_BOTH: dict[str, Layer] = {  # of nn and cudnn
    "BatchNormalization": partial(_batch_norm, spatial=False),
    "LogSoftMax": partial(_softmax, nn.LogSoftmax),
    "ReLU": _threshold,
    "Sigmoid": partial(_plain, nn.Sigmoid),
    "SoftMax": partial(_softmax, nn.Softmax),
    "SpatialAveragePooling": _average_pool,
    "SpatialBatchNormalization": partial(_batch_norm, spatial=True),
    "SpatialConvolution": _convolution,
    "SpatialCrossMapLRN": _response_norm,
    "SpatialLogSoftMax": partial(_softmax, nn.LogSoftmax),
    "SpatialMaxPooling": _max_pool,
    "SpatialSoftMax": partial(_softmax, nn.Softmax),
    "Tanh": partial(_plain, nn.Tanh),
}
LAYERS: dict[str, Layer] = {
    **{
        f"{package}.{name}": layer
        for package in ("nn", "cudnn")
        for name, layer in _OF_BOTH.items()
    },
    "cudnn.ClippedReLU": _clipped_relu,
    "fbnn.SpatialBatchNormalization": partial(_batch_norm, spatial=True),
    "inn.SpatialAveragePooling": _average_pool,
    "inn.SpatialCrossResponseNormalization": _response_norm,
    "inn.SpatialCrossLRN": _response_norm,
    "inn.SpatialMaxPooling": _max_pool,
    "nn.AddConstant": _shift,
    "nn.Clamp": _clip,
    "nn.Contiguous": _identity,
    "nn.Copy": _identity,
    "nn.Dropout": _dropout,
    "nn.HardTanh": _clip,
    "nn.Identity": _identity,
    "nn.LeakyReLU": _leaky_relu,
    "nn.Linear": _linear,
    "nn.Mean": _mean,
    "nn.MulConstant": _scale,
    "nn.PReLU": _prelu,
    "nn.Padding": _padding,
    "nn.ReLU6": partial(_plain, nn.ReLU6),
    "nn.Reshape": _reshape,
    "nn.SpatialAdaptiveAveragePooling": _adaptive_average_pool,
    "nn.SpatialConvolutionMM": _convolution,
    "nn.SpatialDilatedConvolution": _convolution,
    "nn.SpatialDilatedMaxPooling": _max_pool,
    "nn.SpatialDropout": _dropout,
    "nn.SpatialZeroPadding": _zero_padding,
    "nn.Sum": _mean,
    "nn.Threshold": _threshold,
    "nn.View": _view,
}
