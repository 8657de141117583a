"""`fastconv predict`: what is on photos."""

from __future__ import annotations

from pathlib import Path

import click

from .types import ZooFile

__all__ = ["predict"]

_NAME = 40  # characters of a class's name


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
def predict(file: Path, photos: tuple[Path, ...], top: int, weights: Path | None) -> None:
    """Load the network in FILE, and print the most probable classes of each PHOTO."""
    from .. import zoo

    net = zoo.load(file, weights=weights)
    for photo in photos:  # one by one: a batch of large networks takes much memory
        if len(photos) > 1:
            click.echo(f"{photo}:")
        for number, name, probability in net.predict(photo, top=top):
            click.echo(f"{probability:7.2%}  {number:>4}  {name[:_NAME]}")
