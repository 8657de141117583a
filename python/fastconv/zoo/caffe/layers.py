"""Caffe's layers as those of `fastconv.nn`: one function a type.

What a type computes is told by BVLC/caffe, src/caffe/layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from .modules import Absolute, LocalResponseNormWithin, Maximum, ScaleShift, WeightedSum
from .moves import axis_of, concat, flatten, permute, reshape, slices, split
from .site import Site, checked

__all__ = ["BUILDERS"]


def _pair(
    site: Site, param: Any, name: str, default: int | None, least: int, side: str = ""
) -> tuple[int, int]:
    """Return a size for both axes: given once, once an axis, or as *_h and *_w."""
    values = list(getattr(param, name))
    height, width = f"{side or name}_h", f"{side or name}_w"
    if param.HasField(height) or param.HasField(width):
        if values or not (param.HasField(height) and param.HasField(width)):
            raise site.error(
                f"a layer must have {name}, or both {height} and {width}", **{name: values}
            )
        values = [getattr(param, height), getattr(param, width)]
    if not values and default is not None:
        values = [default]
    if len(values) not in (1, 2):
        raise site.error(f"{name} must be one size or two", **{name: values})
    sizes = [checked(site.name, name, value, least) for value in values]
    return sizes[0], sizes[-1]


def _convolution(site: Site) -> None:
    site.check_ends()
    param = site.layer.convolution_param
    if param.axis != 1:
        raise site.error("the axis of the channels must be 1", axis=param.axis)
    site.check_blobs(1 + param.bias_term)
    kernel = _pair(site, param, "kernel_size", None, 1, "kernel")
    transposed = site.layer.type == "Deconvolution"
    shape = site.blobs[0].shape
    outputs, groups = param.num_output, param.group
    fits = len(shape) == 4 and shape[2:] == kernel and 0 not in shape
    if not fits or outputs != (shape[1] * groups if transposed else shape[0]):
        raise site.error(
            "the weights must be those that the layer says",
            num_output=outputs,
            kernel_size=kernel,
            group=groups,
            weights=shape,
        )
    options: dict[str, Any] = {
        "stride": _pair(site, param, "stride", 1, 1),
        "padding": _pair(site, param, "pad", 0, 0),
        "dilation": _dilation(site, param),
        "groups": groups,
        "bias": param.bias_term,
    }
    try:
        module: Any
        if transposed:
            module = nn.ConvTranspose2d(shape[0], outputs, kernel, **options)
        else:
            module = nn.Conv2d(shape[1] * groups, outputs, kernel, **options)
    except ValueError as error:
        raise site.error(str(error)) from error
    site.fill(module, 0, "weight", site.blobs[0])
    if param.bias_term:
        site.fill(module, 1, "bias", site.blob(1, (outputs,)))
    site.put(module)


def _dilation(site: Site, param: Any) -> tuple[int, int]:
    values = [checked(site.name, "dilation", value, 1) for value in param.dilation] or [1]
    if len(values) > 2:
        raise site.error("dilation must be one size or two", dilation=values)
    return values[0], values[-1]


def _inner_product(site: Site) -> None:
    site.check_ends()
    param = site.layer.inner_product_param
    site.check_blobs(1 + param.bias_term)
    outputs = param.num_output
    count = site.blobs[0].size
    if not outputs or not count or count % outputs:
        raise site.error(
            "the weights must be those that the layer says",
            num_output=outputs,
            weights=site.blobs[0].shape,
        )
    inputs = count // outputs
    if param.transpose:
        weight = site.blob(0, (inputs, outputs)).T
    else:
        weight = site.blob(0, (outputs, inputs))
    module = nn.Linear(inputs, outputs, param.bias_term)
    site.fill(module, 0, "weight", weight)
    if param.bias_term:
        site.fill(module, 1, "bias", site.blob(1, (outputs,)))
    shape = site.value().shape
    axis = axis_of(site, param.axis)
    if shape is not None and len(shape) == axis:
        site.put(module)
        return
    flat = f"{site.name}/flat"
    site.wiring.add(flat, nn.Flatten(axis), [site.layer.bottom[0]], flat)
    site.wiring.add(site.name, module, [flat], site.layer.top[0])


def _pooling(site: Site) -> None:
    site.check_ends()
    param = site.layer.pooling_param
    if param.pool == param.STOCHASTIC:
        raise site.error("this library has no stochastic pooling")
    average = param.pool == param.AVE
    window: dict[str, Any] = {}
    if param.global_pooling:
        shape = site.value().shape
        if average:
            site.put(nn.AdaptiveAvgPool2d(1))
            return
        if shape is None or len(shape) != 3:
            raise site.error("the maximum of whole maps needs the size of the input", input=shape)
        window["kernel_size"] = shape[1:]
    else:
        window["kernel_size"] = _pair(site, param, "kernel_size", None, 1, "kernel")
        window["stride"] = _pair(site, param, "stride", 1, 1)
        window["padding"] = _pair(site, param, "pad", 0, 0)
        window["ceil_mode"] = "caffe" if param.round_mode == param.CEIL else False
    try:
        module = (nn.AvgPool2d if average else nn.MaxPool2d)(**window)
    except ValueError as error:
        raise site.error(str(error)) from error
    site.put(module)


def _lrn(site: Site) -> None:
    site.check_ends()
    param = site.layer.lrn_param
    size = checked(site.name, "local_size", param.local_size, 1)
    if size % 2 == 0:
        raise site.error("local_size must be odd", local_size=size)
    if param.norm_region == param.WITHIN_CHANNEL:
        if size > 31:
            raise site.error("local_size must be at most 31 within channels", local_size=size)
        site.put(LocalResponseNormWithin(size, param.alpha, param.beta))
    else:
        site.put(nn.LocalResponseNorm(size, param.alpha, param.beta, param.k))


def _batch_norm(site: Site) -> None:
    site.check_ends()
    param = site.layer.batch_norm_param
    site.check_blobs(3)
    channels = site.blobs[0].size
    if not channels:
        raise site.error("the weights must hold every blob of the layer", blobs=[(0,)])
    factor = site.blob(2, (1,)).astype(np.float64)[0]
    # The sums of what was averaged, and of the weights it was averaged with.
    by = 0.0 if factor == 0 else 1 / factor
    mean, var = (
        (site.blob(i, (channels,)).astype(np.float64) * by).astype(np.float32) for i in (0, 1)
    )
    stored = param.use_global_stats or not param.HasField("use_global_stats")
    shape = site.value().shape
    if shape is not None and len(shape) == 1 and stored:
        flat = nn.Affine(channels)
        flat.weight.data[:] = 1 / np.sqrt(var.astype(np.float64) + param.eps)
        assert flat.bias is not None
        flat.bias.data[:] = -mean * flat.weight.data
        site.put(flat)
        return
    module = nn.BatchNorm2d(channels, param.eps, affine=False, track_running_stats=stored)
    if module.running_mean is not None and module.running_var is not None:
        module.running_mean[:], module.running_var[:] = mean, var
    site.put(module)


def _scale(site: Site) -> None:
    if len(site.layer.bottom) > 1:
        raise site.error("a scale must be learned", inputs=len(site.layer.bottom))
    site.check_ends()
    bias_alone = site.layer.type == "Bias"
    param = site.layer.bias_param if bias_alone else site.layer.scale_param
    biased = not bias_alone and param.bias_term
    site.check_blobs(1 + biased)
    channels = site.blobs[0].size
    if axis_of(site, param.axis) != 1 or param.num_axes != 1 or not channels:
        raise site.error(
            "there must be one factor a channel",
            axis=param.axis,
            num_axes=param.num_axes,
            blob=site.blobs[0].shape,
        )
    first = site.blob(0, (channels,))
    module = _norm_before(site, channels)
    joined = module is not None
    if module is None:
        module = nn.Affine(channels, bias=bias_alone or biased)
    if bias_alone:
        module.weight.requires_grad = joined
        site.fill(module, 0, "bias", first)
    else:
        site.fill(module, 0, "weight", first)
        if biased:
            site.fill(module, 1, "bias", site.blob(1, (channels,)))
    if joined:
        site.wiring.alias(site.name, site.layer.top[0], site.layer.bottom[0])
    else:
        site.put(module)


def _norm_before(site: Site, channels: int) -> Any:
    """Return the batch norm that a scale follows, and alone reads, given factors of its own."""
    node = site.value().node
    if node is None or site.has_uses_left():
        return None
    plain = node.module
    if not isinstance(plain, nn.BatchNorm2d) or plain.affine or plain.num_features != channels:
        return None
    norm = nn.BatchNorm2d(channels, plain.eps, track_running_stats=plain.track_running_stats)
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean[:], norm.running_var[:] = plain.running_mean, plain.running_var
    node.module = norm.eval()
    return norm


def _eltwise(site: Site) -> None:
    site.check_ends(None)
    param = site.layer.eltwise_param
    shapes = [site.value(i).shape for i in range(len(site.layer.bottom))]
    if len(shapes) < 2 or any(shape != shapes[0] for shape in shapes):
        raise site.error("there must be inputs of one shape", inputs=shapes)
    coefficients = tuple(param.coeff)
    if coefficients and (param.operation != param.SUM or len(coefficients) != len(shapes)):
        raise site.error(
            "coefficients must be for a sum, one an input",
            coeff=coefficients,
            inputs=len(shapes),
        )
    if param.operation == param.PROD:
        site.put(nn.Mul())
    elif param.operation == param.MAX:
        site.put(Maximum())
    elif set(coefficients) <= {1.0}:
        site.put(nn.Add())
    elif coefficients == (1.0, -1.0):
        site.put(nn.Sub())
    else:
        site.put(WeightedSum(*coefficients))


def _power(site: Site) -> None:
    site.check_ends()
    param = site.layer.power_param
    if param.power != 1:
        raise site.error("this library has no powers but 1", power=param.power)
    site.put(ScaleShift(param.scale, param.shift))


def _prelu(site: Site) -> None:
    site.check_ends()
    site.check_blobs(1)
    count = site.blobs[0].size
    if not count or (site.layer.prelu_param.channel_shared and count != 1):
        raise site.error("the weights must be those that the layer says", blob=site.blobs[0].shape)
    module = nn.PReLU(count)
    site.fill(module, 0, "weight", site.blob(0, (count,)))
    site.put(module)


def _relu(site: Site) -> None:
    site.check_ends()
    slope = site.layer.relu_param.negative_slope
    site.put(nn.LeakyReLU(slope) if slope else nn.ReLU())


def _clip(site: Site) -> None:
    site.check_ends()
    param = site.layer.clip_param
    if not (param.HasField("min") and param.HasField("max")) or param.min > param.max:
        raise site.error("there must be limits in order", min=param.min, max=param.max)
    site.put(nn.Clip(param.min, param.max))


def _softmax(site: Site) -> None:
    site.check_ends(None)
    name = site.layer.bottom[0]  # a loss reads the labels, too
    axis = axis_of(site, site.layer.softmax_param.axis)
    site.wiring.add(site.name, nn.Softmax(axis), [name], site.layer.top[0])


def _simple(make: Callable[[Any], nn.Module]) -> Callable[[Site], None]:
    def build(site: Site) -> None:
        site.check_ends()
        site.put(make(site.layer))

    return build


BUILDERS: dict[str, Callable[[Site], None]] = {
    "AbsVal": _simple(lambda layer: Absolute()),
    "BatchNorm": _batch_norm,
    "Bias": _scale,
    "Clip": _clip,
    "Concat": concat,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Dropout": _simple(lambda layer: nn.Dropout(layer.dropout_param.dropout_ratio)),
    "Eltwise": _eltwise,
    "Flatten": flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": _prelu,
    "Permute": permute,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Reshape": reshape,
    "Scale": _scale,
    "Sigmoid": _simple(lambda layer: nn.Sigmoid()),
    "Slice": slices,
    "Softmax": _softmax,
    "Split": split,
    "TanH": _simple(lambda layer: nn.Tanh()),
}
