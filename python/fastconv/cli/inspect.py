"""`fastconv inspect`: what is in a file of weights."""

from __future__ import annotations

from pathlib import Path

import click

from .types import ZooFile

__all__ = ["inspect"]


@click.command(short_help="Print what a file of weights holds, and where it differs from another.")
@click.argument("file", type=ZooFile())
@click.option(
    "--against", type=ZooFile(),
    help="Another file of the same network, or an .npz of reference activations.",
)  # fmt: skip
@click.option("--weights", type=ZooFile(), help="Second file of formats with two.")
def inspect(file: Path, against: Path | None, weights: Path | None) -> None:
    """Print what FILE is, its tensors, the network it fits, and hints.

    FILE is of any zoo: Caffe, Keras, ONNX, PyTorch, TensorFlow, Torch7 and others. With --against,
    tensors are compared in pairs, and layers by their outputs on one random picture. An .npz with
    the array "input" holds the outputs of layers, under their names.
    """
    from .. import zoo

    click.echo(str(zoo.inspect(file, against, weights)))
