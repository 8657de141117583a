"""Which of Keras's layers, of all its versions, are built by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import activations, joins, rows, windows
from .build import Builder
from .config import Layer
from .values import Value

__all__ = ["HANDLERS"]

Handler = Callable[[Builder, Layer, list[Value]], Value]

HANDLERS: Final[dict[str, Handler]] = {
    "Activation": activations.activation,
    "ActivityRegularization": joins.identity,
    "Add": joins.join,
    "AlphaDropout": joins.identity,
    "AtrousConv2D": windows.conv2d,
    "AtrousConvolution2D": windows.conv2d,
    "Average": joins.join,
    "AveragePooling2D": windows.pooling,
    "BatchNormalization": rows.batch_normalization,
    "BatchNormalizationV1": rows.batch_normalization,
    "Concatenate": joins.concatenate,
    "Conv2D": windows.conv2d,
    "Conv2DTranspose": windows.conv2d_transpose,
    "Convolution2D": windows.conv2d,
    "Convolution2DTranspose": windows.conv2d_transpose,
    "Dense": rows.dense,
    "DepthwiseConv2D": windows.depthwise_conv2d,
    "Dropout": joins.identity,
    "Flatten": joins.flatten,
    "GaussianDropout": joins.identity,
    "GaussianNoise": joins.identity,
    "GlobalAveragePooling2D": windows.global_pooling,
    "GlobalMaxPooling2D": windows.global_pooling,
    "LeakyReLU": activations.leaky_relu,
    "MaxPooling2D": windows.pooling,
    "Merge": joins.merge,
    "Multiply": joins.join,
    "Normalization": rows.normalization,
    "PReLU": activations.prelu,
    "Permute": joins.permute,
    "ReLU": activations.relu,
    "Rescaling": rows.rescaling,
    "Reshape": joins.reshape,
    "SeparableConv2D": windows.separable_conv2d,
    "SeparableConvolution2D": windows.separable_conv2d,
    "Softmax": activations.softmax,
    "SpatialDropout2D": joins.identity,
    "Subtract": joins.join,
    "SyncBatchNormalization": rows.batch_normalization,
    "ZeroPadding2D": windows.zero_padding2d,
}
