"""How pictures enter Caffe's networks: what data layers say, mean files, and what is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...data import Preset
from ..archive import FormatError
from ..proto.messages import messages, parse
from .blobs import array_of
from .net import is_tested

__all__ = ["picture_size", "preset_of"]

# Data layers whose data are pictures.
_PICTURES = frozenset({"AnnotatedData", "Data", "ImageData", "MemoryData", "WindowData"})
_ILSVRC = (104.0, 117.0, 123.0)
_VGG = Preset.caffe().mean


class _Known(NamedTuple):
    size: int
    mean: tuple[float, ...]
    scale: float = 1.0


# By the names that networks give themselves: BVLC's, He's and VGG's.
_KNOWN = {
    "AlexNet": _Known(227, _ILSVRC),
    "CaffeNet": _Known(227, _ILSVRC),
    "GoogleNet": _Known(224, _ILSVRC),
    "LeNet": _Known(28, (0.0,), 1 / 256),
    "ResNet-50": _Known(224, _ILSVRC),
    "ResNet-101": _Known(224, _ILSVRC),
    "ResNet-152": _Known(224, _ILSVRC),
    "VGG_ILSVRC_16_layers": _Known(224, _VGG),
    "VGG_ILSVRC_19_layers": _Known(224, _VGG),
}


def picture_size(name: str, layers: Sequence[Any]) -> tuple[int, int] | None:
    """Return (height, width) as the data layers, or else the network's name, say."""
    data = _data_layer(layers)
    if data is not None:
        crop = data.transform_param.crop_size
        if crop:
            return crop, crop
        images = data.image_data_param
        if images.new_height and images.new_width:
            return images.new_height, images.new_width
    known = _KNOWN.get(name)
    return None if known is None else (known.size, known.size)


def preset_of(
    name: str, layers: Sequence[Any], shape: tuple[int, ...] | None, folder: Path
) -> Preset | None:
    """Return how pictures become an input of a shape (C, H, W); None where nothing says.

    The mean is that of the data layer, of a mean file beside, or that known for the network's name.
    """
    if shape is None or len(shape) != 3 or shape[0] not in (1, 3):
        return None
    channels, size = shape[0], (shape[1], shape[2])
    known = _KNOWN.get(name)
    if known is not None and len(known.mean) != channels:
        known = None
    data = _data_layer(layers)
    transform = None if data is None else data.transform_param
    scale = 1.0 if known is None else known.scale
    mean: tuple[float, ...] | None = None
    if transform is not None:
        scale = transform.scale
        mean = _stated_mean(transform, channels, folder)
    if mean is None:
        mean = _mean_beside(channels, folder)
    if mean is None and known is not None:
        mean = known.mean
    if mean is None:
        if transform is None or transform.HasField("mean_file"):
            return None
        mean = (0.0,) * channels
    resize = _resize(data, known, size)
    order = "BGR" if channels == 3 else "L"
    return Preset(size, resize, order, mean, (scale,) * channels)


def _resize(data: Any, known: _Known | None, size: tuple[int, int]) -> int | None:
    if data is not None and data.image_data_param.new_height:
        images = data.image_data_param
        square = images.new_height == images.new_width >= max(size)
        return images.new_height if square else None
    # ImageNet's pictures come as 256x256.
    photos = known is not None and known.size > 200
    photos = photos or (data is not None and bool(data.transform_param.crop_size))
    return 256 if photos and min(size) >= 200 and max(size) <= 256 else None


def _data_layer(layers: Sequence[Any]) -> Any:
    """Return the data layer of the phase TEST, or else any."""
    found = [layer for layer in layers if layer.type in _PICTURES]
    return next((layer for layer in found if is_tested(layer)), found[0] if found else None)


def _stated_mean(transform: Any, channels: int, folder: Path) -> tuple[float, ...] | None:
    values = tuple(transform.mean_value)
    if values:
        if len(values) not in (1, channels):
            raise FormatError(
                "caffe: mean_value must be given once, or once a channel "
                f"(mean_value={values}, channels={channels})"
            )
        return values if len(values) == channels else values * channels
    if transform.mean_file:
        # Its folder is that of the machine it was trained on.
        file = folder / Path(transform.mean_file.replace("\\", "/")).name
        if file.is_file():
            mean = _mean_of(file)
            if len(mean) != channels:
                raise FormatError(
                    "caffe: a mean must have the channels of the network "
                    f"(file={file}, channels={len(mean)}, expected={channels})"
                )
            return mean
    return None


def _mean_beside(channels: int, folder: Path) -> tuple[float, ...] | None:
    """Return the mean in the one file in the folder that is called so, if it fits."""
    files = sorted(folder.glob("*mean*.binaryproto"))
    if len(files) != 1:
        return None
    mean = _mean_of(files[0])
    return mean if len(mean) == channels else None


def _mean_of(file: Path) -> tuple[float, ...]:
    """Return the mean of every channel of a mean picture (1, C, H, W) or (C, H, W)."""
    kind = messages("caffe", "a mean picture").BlobProto
    picture = array_of(file.name, parse(f"caffe: {file}", kind, file.read_bytes()))
    if picture.ndim not in (3, 4) or picture.size == 0 or (picture.ndim == 4 and len(picture) != 1):
        raise FormatError(f"caffe: a mean must be one picture (file={file}, shape={picture.shape})")
    channels = picture.reshape(picture.shape[-3:]).mean((1, 2), "float64")
    return tuple(float(value) for value in channels)
