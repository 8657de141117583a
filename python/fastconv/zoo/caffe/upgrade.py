"""Caffe's older ways to describe a network, in the terms of today's."""

from __future__ import annotations

from typing import Any

from ..archive import FormatError
from ..proto.caffe_pb2 import LayerParameter, NetParameter, V1LayerParameter

__all__ = ["layers_of"]

_V1_TYPES = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "NONE": "",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
_V0_TYPES = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "padding": "padding",  # part of the layers that read it, see _absorb_padding
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}
# Today's message and field of what is a field of every V0 layer, by the type it belongs to.
_V0_FIELDS = {
    "Convolution": (
        "convolution_param",
        {
            "num_output": "num_output",
            "biasterm": "bias_term",
            "pad": "pad",
            "kernelsize": "kernel_size",
            "group": "group",
            "stride": "stride",
        },
    ),
    "InnerProduct": (
        "inner_product_param",
        {"num_output": "num_output", "biasterm": "bias_term"},
    ),
    "Pooling": (
        "pooling_param",
        {"pool": "pool", "kernelsize": "kernel_size", "stride": "stride", "pad": "pad"},
    ),
    "Dropout": ("dropout_param", {"dropout_ratio": "dropout_ratio"}),
    "LRN": (
        "lrn_param",
        {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"},
    ),
    "Concat": ("concat_param", {"concat_dim": "concat_dim"}),
    "ImageData": ("image_data_param", {"new_height": "new_height", "new_width": "new_width"}),
}
_V0_TRANSFORM = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size"}


def layers_of(net: NetParameter) -> list[LayerParameter]:
    """Return a network's layers as LayerParameters without blobs, whatever the file's age."""
    if net.layer and net.layers:
        raise FormatError(
            "caffe: a network must have layers of one age "
            f"(layer={len(net.layer)}, layers={len(net.layers)})"
        )
    if net.layer:
        return list(net.layer)
    old = any(layer.HasField("layer") for layer in net.layers)
    layers = [_from_v0(layer) if old else _from_v1(layer) for layer in net.layers]
    return _absorb_padding(layers) if old else layers


def _from_v1(old: V1LayerParameter) -> LayerParameter:
    new = LayerParameter(type=_V1_TYPES[V1LayerParameter.LayerType.Name(old.type)])
    for field, value in old.ListFields():
        if field.name == "param":  # names of shared weights
            for name in value:
                new.param.add(name=name)
        elif field.name not in ("type", "blobs", "layer"):
            _copy(new, field.name, value)
    for name in ("data_param", "image_data_param"):
        data = getattr(new, name)
        for field in ("scale", "mean_file", "crop_size"):
            if data.HasField(field):
                setattr(new.transform_param, field, getattr(data, field))
    return new


def _from_v0(old: V1LayerParameter) -> LayerParameter:
    layer = old.layer
    if layer.type not in _V0_TYPES:
        raise FormatError(
            f"caffe: a layer must be of a type that this library knows "
            f"(layer={layer.name!r}, type={layer.type!r})"
        )
    new = LayerParameter(name=layer.name, type=_V0_TYPES[layer.type])
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    message, names = _V0_FIELDS.get(new.type, ("", {}))
    for name, today in names.items():
        if layer.HasField(name):
            _copy(getattr(new, message), today, getattr(layer, name))
    if new.type == "padding":
        new.convolution_param.pad.append(layer.pad)
    for name, today in _V0_TRANSFORM.items():
        if layer.HasField(name):
            setattr(new.transform_param, today, getattr(layer, name))
    return new


def _absorb_padding(layers: list[LayerParameter]) -> list[LayerParameter]:
    """Make padding layers, which V0 had, the padding of the layers that read them."""
    written: dict[str, LayerParameter] = {}
    kept = []
    for layer in layers:
        sources = [written.get(name) for name in layer.bottom]
        padding = [s for s in sources if s is not None and s.type == "padding"]
        if padding:
            source = padding[0]
            message = _V0_FIELDS.get(layer.type, ("", {}))[0]
            if (
                message not in ("convolution_param", "pooling_param")
                or len(layer.bottom) != 1
                or len(source.bottom) != 1
            ):
                raise FormatError(
                    "caffe: padding must be read by a convolution or a pooling alone "
                    f"(padding={source.name!r}, layer={layer.name!r}, type={layer.type!r})"
                )
            getattr(layer, message).pad[:] = source.convolution_param.pad
            layer.bottom[0] = source.bottom[0]
        if layer.type != "padding":
            kept.append(layer)
        for name in layer.top:
            written[name] = layer
    return kept


def _copy(message: Any, name: str, value: Any) -> None:
    """Set a field from the value of one of another message, which may be repeated there or not."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None and not hasattr(value, "extend"):
        getattr(message, name).CopyFrom(value)
    elif isinstance(getattr(message, name), (str, bytes, int, float)):
        setattr(message, name, value)
    elif hasattr(value, "extend"):
        getattr(message, name).extend(value)
    else:
        getattr(message, name).append(value)
