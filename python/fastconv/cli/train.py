"""`fastconv train`: a network of digits or of CIFAR-10, from random weights to its accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .recipes import LR, RECIPES, make_optimizer
from .saving import save_network
from .types import ModelName, OutputFile

if TYPE_CHECKING:
    from ..train import Callback

__all__ = ["train"]

_SCHEDULES = ("one_cycle", "cosine", "step", "constant")
_INTERRUPTED = 130  # the exit status of what Ctrl-C ends


@click.command(short_help="Train a network on handwritten digits or CIFAR-10.")
@click.argument("model", type=ModelName(*RECIPES))
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="Folder with MNIST's IDX files (default: the sample that ships with fastconv), or with "
    "CIFAR-10, plain or as a tar.",
)  # fmt: skip
@click.option("--download", is_flag=True, help="Fetch the full MNIST where it is missing.")
@click.option(
    "--epochs", type=click.IntRange(min=1),
    help="Passes over the pictures.  [default: 15 of few digits, 8 of many, 50 of CIFAR-10]",
)  # fmt: skip
@click.option(
    "--batch-size", type=click.IntRange(min=1),
    help="Pictures in a step.  [default: 64 digits, 128 of CIFAR-10]",
)  # fmt: skip
@click.option(
    "--lr", type=click.FloatRange(min=0, min_open=True),
    help="Highest learning rate.  [default: 0.1, or 0.001 with adam and adamw]",
)  # fmt: skip
@click.option("--optimizer", type=click.Choice(list(LR)), default="sgd", show_default=True)
@click.option(
    "--schedule", type=click.Choice(_SCHEDULES), default=_SCHEDULES[0], show_default=True,
    help="How the learning rate changes.",
)  # fmt: skip
@click.option("--nesterov", is_flag=True, help="Nesterov's momentum, with sgd.")
@click.option(
    "--label-smoothing", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Share of each target that is spread evenly over all classes.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="The default is all that are allowed.")
@click.option(
    "--checkpoint", type=OutputFile(".safetensors"),
    help="Keep here all that is needed to go on, after each epoch and after Ctrl-C.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if it is there.")
@click.option(
    "--log", type=OutputFile(".csv", ".jsonl"),
    help="Write each epoch's loss, accuracy and speed here.",
)  # fmt: skip
@click.option(
    "--plot", type=OutputFile(".png", ".svg", ".pdf"), help="Draw loss and accuracy here."
)
@click.option(
    "--save", type=OutputFile(".safetensors", ".npz"),
    help="Write the network here: .safetensors, for `fastconv predict`, or its weights alone.",
)  # fmt: skip
def train(
    model: str,
    data: Path | None,
    download: bool,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    optimizer: str,
    schedule: str,
    nesterov: bool,
    label_smoothing: float,
    seed: int,
    threads: int | None,
    checkpoint: Path | None,
    resume: bool,
    log: Path | None,
    plot: Path | None,
    save: Path | None,
) -> None:
    """Train MODEL and report its accuracy on the test pictures.

    Networks of 1x28x28, such as lenet5, learn handwritten digits; those of 3x32x32, such as
    resnet20, CIFAR-10, which --data must name. Ctrl-C lets the step under way finish and writes
    the checkpoint; a second one stops at once.
    """
    import fastconv

    from .. import models, nn
    from ..train import fit

    if resume and checkpoint is None:
        raise click.BadParameter("there must be a --checkpoint to resume", param_hint="'--resume'")
    if nesterov and optimizer != "sgd":
        raise click.BadParameter(
            f"{optimizer} has no momentum of that kind", param_hint="'--nesterov'"
        )
    if threads is not None:
        fastconv.set_num_threads(threads)
    recipe = RECIPES[models.input_shape(model)]
    learn, test = recipe.loaders(data, download, batch_size, seed)
    count = len(learn.labels)
    click.echo(
        f"{model}: {count:,} {recipe.pictures} to learn from, {len(test.labels):,} to test on"
    )
    fastconv.manual_seed(seed)
    net = models.get(model)
    net.preset, net.classes = recipe.preset(), recipe.classes()
    if resume and checkpoint is not None and checkpoint.exists():
        click.echo(_place(checkpoint))
    history = fit(
        net,
        learn,
        test,
        epochs or recipe.epochs(count),
        optimizer=make_optimizer(optimizer, net, lr, recipe.weight_decay, nesterov),
        schedule=_schedule(schedule),
        loss=nn.CrossEntropyLoss(label_smoothing=label_smoothing),
        callbacks=[] if log is None else [_log(log)],
        checkpoint=checkpoint,
        resume=resume,
    )
    if history.interrupted:
        click.get_current_context().exit(_INTERRUPTED)
    click.echo(f"{history.steps:,} steps in {history.seconds:.1f} s")
    if plot is not None:
        history.plot(plot)
        click.echo(f"loss and accuracy drawn in {plot}")
    if save is not None:
        save_network(net, save)
        click.echo(f"network saved as {save}")
    click.echo(f"test accuracy {100 * history.accuracy[-1]:.2f} %")


def _place(checkpoint: Path) -> str:
    from ..train import load_checkpoint

    saved = load_checkpoint(checkpoint)
    return f"{checkpoint}: to go on after {saved.epoch} epochs and {saved.step} steps"


def _schedule(name: str) -> Callable[[float], float]:
    from .. import train as training

    # `step` makes schedules; the others are schedules.
    schedule: Callable[..., Any] = getattr(training, name)
    return schedule() if name == "step" else schedule


def _log(path: Path) -> Callback:
    from ..train import CSVLog, JSONLog

    return CSVLog(path) if path.suffix.lower() == ".csv" else JSONLog(path)
