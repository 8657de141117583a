"""`fastconv convert`: a network of any zoo as another file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .types import OutputFile, Shape, ZooFile

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["convert"]


@click.command(short_help="Write a network of any zoo as safetensors, ONNX or .npz.")
@click.argument("source", metavar="IN", type=ZooFile())
@click.argument("target", metavar="OUT", type=OutputFile(".safetensors", ".onnx", ".npz"))
@click.option("--weights", type=ZooFile(), help="Second file of formats with two.")
@click.option(
    "--input-shape", type=Shape(),
    help="Size of the pictures, for ONNX; the default is the network's own.",
)  # fmt: skip
def convert(
    source: Path, target: Path, weights: Path | None, input_shape: tuple[int, ...] | None
) -> None:
    """Load the network in IN and write it to OUT.

    .safetensors keeps what belongs to the weights, how photos enter and what outputs are called;
    .onnx is the network itself for other programs; .npz holds the arrays alone.
    """
    from .. import zoo

    kind = target.suffix.lower()
    if input_shape is not None and kind != ".onnx":
        raise click.BadParameter("only .onnx files have one", param_hint="'--input-shape'")
    net = zoo.load(source, weights=weights)
    if kind == ".safetensors":
        from ..zoo.writers.safetensors import save

        save(net, target)
    elif kind == ".onnx":
        shape = input_shape or _own_shape(net)
        from ..zoo.writers.onnx import export_onnx

        export_onnx(net, target, shape)
    else:
        import numpy as np

        np.savez(target, **net.state_dict())  # type: ignore[arg-type]  # names are not `file`
    click.echo(f"{type(net).__name__} of {source.name} saved as {target}")


def _own_shape(net: Module) -> tuple[int, ...]:
    """Return (channels, height, width) of the pictures that a network takes."""
    if hasattr(net, "input_shape"):
        return tuple(net.input_shape)
    if net.preset is None:
        raise click.UsageError(
            "the network does not say what size of pictures it takes: give --input-shape"
        )
    return (1 if net.preset.order == "L" else 3, *net.preset.size)
