"""`fastconv convert`: a network of any zoo as another file."""

from __future__ import annotations

from pathlib import Path

import click

from .saving import save_network
from .types import OutputFile, Shape, ZooFile

__all__ = ["convert"]


@click.command(short_help="Write a network of any zoo as safetensors, ONNX or .npz.")
@click.argument("source", metavar="IN", type=ZooFile())
@click.argument("target", metavar="OUT", type=OutputFile(".safetensors", ".onnx", ".npz"))
@click.option("--weights", type=ZooFile(), help="Second file of formats with two.")
@click.option(
    "--input-shape", type=Shape(),
    help="Size of the pictures, for ONNX; the default is the network's own.",
)  # fmt: skip
@click.option(
    "--license", metavar="TEXT",
    help="Licence of the weights, for safetensors and ONNX; the default is what IN says.",
)  # fmt: skip
def convert(
    source: Path,
    target: Path,
    weights: Path | None,
    input_shape: tuple[int, ...] | None,
    license: str | None,
) -> None:
    """Load the network in IN and write it to OUT.

    .safetensors keeps what belongs to the weights, how photos enter, what outputs are called and
    the licence; .onnx is the network itself for other programs; .npz holds the arrays alone.
    """
    from .. import zoo

    kind = target.suffix.lower()
    if input_shape is not None and kind != ".onnx":
        raise click.BadParameter("only .onnx files have one", param_hint="'--input-shape'")
    if license is not None and kind == ".npz":
        raise click.BadParameter(".npz files have no place for it", param_hint="'--license'")
    net = zoo.load(source, weights=weights)
    if kind != ".onnx" and net.architecture is None:
        click.echo(
            f"{source.name} describes a network of its own, and {kind} files hold weights alone: "
            "write .onnx to keep its layers",
            err=True,
        )
    if kind == ".onnx":
        from ..zoo.writers.onnx import export_onnx

        export_onnx(net, target, input_shape, license=license)
    else:
        save_network(net, target, license)
    click.echo(f"{type(net).__name__} of {source.name} saved as {target}")
