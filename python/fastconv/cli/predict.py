"""`fastconv predict`: what is on photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .types import ZooFile

if TYPE_CHECKING:
    from ..data import Preset

__all__ = ["predict"]

_NAME = 40  # characters of a class's name
_PRESETS = ("imagenet", "caffe", "0-1")
_SIZE = (224, 224)  # where the network does not say


@click.command(short_help="Name what is on photos, with a network of any zoo.")
@click.argument("file", type=ZooFile())
@click.argument(
    "photos", metavar="PHOTO...", nargs=-1, required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to name."
)
@click.option("--weights", type=ZooFile(), help="Second file of formats with two.")
@click.option(
    "--preset", type=click.Choice(_PRESETS),
    help="How photos become the input, where the file does not say: torchvision's RGB, Caffe's BGR "
    "less VGG's mean, or bytes / 255.",
)  # fmt: skip
def predict(
    file: Path, photos: tuple[Path, ...], top: int, weights: Path | None, preset: str | None
) -> None:
    """Load the network in FILE, and print the most probable classes of each PHOTO."""
    from .. import zoo

    net = zoo.load(file, weights=weights)
    if preset is not None:
        net.preset = _preset(preset, net.input_shape)
    if net.preset is None:
        raise click.UsageError(
            f"{file.name} does not say how photos become the network's input: give --preset "
            f"({', '.join(_PRESETS)})"
        )
    for photo in photos:  # one by one: a batch of large networks takes much memory
        if len(photos) > 1:
            click.echo(f"{photo}:")
        for number, name, probability in net.predict(photo, top=top):
            click.echo(f"{probability:7.2%}  {number:>4}  {name[:_NAME]}")


def _preset(name: str, shape: tuple[int, ...] | None) -> Preset:
    """Return a preset for pictures (C, H, W).

    The colours of "imagenet" and "caffe" come with a crop: of a side of 256, where 224 is cut out.
    """
    from ..data import Preset

    channels, *size = shape if shape is not None and len(shape) == 3 else (3, *_SIZE)
    if channels != 3 and (name, channels) != ("0-1", 1):
        raise click.BadParameter(
            f"{name} is not for pictures of {channels} channels", param_hint="'--preset'"
        )
    height, width = size
    if name == "0-1":
        order = "RGB" if channels == 3 else "L"
        zeros, scale = (0.0,) * channels, (1 / 255,) * channels
        return Preset((height, width), None, order, zeros, scale)
    preset = Preset.imagenet() if name == "imagenet" else Preset.caffe()
    return replace(preset, size=(height, width), resize=round(max(size) * 256 / 224))
