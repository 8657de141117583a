"""`fastconv train`: a network of digits, from random weights to its test accuracy."""

from __future__ import annotations

from pathlib import Path

import click

from .types import ModelName, OutputFile

__all__ = ["train"]

# Few digits need more passes than many to reach a good accuracy.
_EPOCHS_FEW = 15
_EPOCHS_MANY = 8
_MANY = 20_000


@click.command(short_help="Train a network on handwritten digits.")
@click.argument("model", type=ModelName(digits=True))
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path),
    help="Folder with MNIST's IDX files; the default is the sample that ships with fastconv.",
)  # fmt: skip
@click.option("--download", is_flag=True, help="Fetch the full MNIST where it is missing.")
@click.option(
    "--epochs", type=click.IntRange(min=1),
    help=f"Passes over the digits.  [default: {_EPOCHS_FEW}, or {_EPOCHS_MANY} from {_MANY:,} up]",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--lr", type=click.FloatRange(min=0, min_open=True), default=0.1, show_default=True,
    help="Highest learning rate.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="The default is all that are allowed.")
@click.option("--save", type=OutputFile(".npz"), help="Write the weights here.")
def train(
    model: str,
    data: Path | None,
    download: bool,
    epochs: int | None,
    batch_size: int,
    lr: float,
    seed: int,
    threads: int | None,
    save: Path | None,
) -> None:
    """Train MODEL (lenet5) on handwritten digits and report its accuracy on the test digits."""
    import numpy as np

    import fastconv

    from .. import models
    from ..data import mnist, random_shift
    from ..train import fit

    if threads is not None:
        fastconv.set_num_threads(threads)
    digits = mnist(data, "train", download)
    test = mnist(data, "test", download)
    if epochs is None:
        epochs = _EPOCHS_MANY if len(digits.labels) >= _MANY else _EPOCHS_FEW
    click.echo(
        f"{model}: {len(digits.labels):,} digits to learn from, {len(test.labels):,} to test on"
    )
    fastconv.manual_seed(seed)
    net = models.get(model)
    history = fit(net, digits, test, epochs, batch_size, lr, augment=random_shift)
    click.echo(f"{history.steps:,} steps in {history.seconds:.1f} s")
    if save is not None:
        np.savez(save, **net.state_dict())  # type: ignore[arg-type]  # names are not `file`
        click.echo(f"weights saved as {save}")
    click.echo(f"test accuracy {100 * history.accuracy[-1]:.2f} %")
