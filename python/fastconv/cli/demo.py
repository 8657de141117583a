"""`fastconv demo`: a training, a picture of it, and the four large networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .types import OutputFile

if TYPE_CHECKING:
    from .race import Result

__all__ = ["demo"]

_EPOCHS = 15
_LR = 0.1
_NETWORKS = {
    "AlexNet": "alexnet",
    "VGG-16": "vgg16",
    "GoogLeNet": "googlenet",
    "ResNet-50": "resnet50",
}
_ROW = "{:<10}  {:>9}  {:>6}  {:>11}  {:>9}  {:>10}  {:>12}"
_HEAD = ("network", "input", "output", "parameters", "time", "NumPy twin", "times faster")


@click.command(short_help="Train LeNet-5, draw it, run the large networks.")
@click.option(
    "--output", type=OutputFile(".png", ".pdf", ".svg"), default="fastconv-demo.png",
    show_default=True, help="Where the picture goes.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo(output: Path, seed: int) -> None:
    """Train LeNet-5 on digits, draw it, and run AlexNet, VGG-16, GoogLeNet and ResNet-50."""
    import fastconv

    from ..plots.canvas import new_figure

    new_figure(1, 1)  # a missing extra is better known before the training
    click.echo(
        f"fastconv {fastconv.__version__}, {fastconv.get_isa()}, "
        f"{fastconv.get_num_threads()} threads"
    )
    _train_and_draw(output, seed)
    _run_networks()


def _train_and_draw(output: Path, seed: int) -> None:
    import fastconv

    from .. import models, plots
    from ..data import mnist, random_shift
    from ..train import fit

    digits, test = mnist(), mnist(split="test")
    click.echo(f"\nLeNet-5 learns from {len(digits.labels):,} handwritten digits")
    fastconv.manual_seed(seed)
    net = models.lenet5()
    history = fit(net, digits, test, _EPOCHS, lr=_LR, augment=random_shift)
    click.echo(
        f"test accuracy {100 * history.accuracy[-1]:.2f} % on {len(test.labels):,} other digits, "
        f"after {history.seconds:.1f} s"
    )
    plots.demo_sheet(net, history, *test, layers=("act1", "act2"), path=output)
    click.echo(f"picture saved as {output}")


def _run_networks() -> None:
    import numpy as np

    from .race import race

    click.echo("\nFour networks with random weights, one picture each")
    click.echo(_ROW.format(*_HEAD))
    for title, name in _NETWORKS.items():
        click.echo(_row(title, race(name)))
    click.echo(
        "Times are medians of compiled networks, after one run to compare answers. The twin is\n"
        f"fastconv.reference, the same network in float32 on NumPy {np.__version__} and its BLAS."
    )


def _row(title: str, result: Result) -> str:
    return _ROW.format(
        title,
        "x".join(map(str, result.input_shape)),
        "x".join(map(str, result.output_shape)),
        f"{result.parameters:,}",
        f"{1000 * result.seconds:.1f} ms",
        f"{1000 * result.twin_seconds:.0f} ms",
        f"{result.twin_seconds / result.seconds:.1f}x",
    )
