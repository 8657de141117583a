"""`fastconv finetune`: a network on a folder of one's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .saving import save_network
from .types import ModelName, OutputFile, ZooFile

if TYPE_CHECKING:
    from ..train.finetune import Run

__all__ = ["finetune"]

_ROW = "{:<10}  {:>8}  {:>10}  {:>8}"


@click.command(short_help="Train a network on folders of pictures, from weights or from scratch.")
@click.argument("model", type=ModelName())
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True,
    help="Folder or tar that holds train/CLASS/*.jpg and val/CLASS/*.jpg.",
)  # fmt: skip
@click.option(
    "--weights", type=ZooFile(),
    help="Weights of MODEL to start from, of any zoo, .npz, or a checkpoint; a head of another "
    "number of classes is left out.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--lr", type=click.FloatRange(min=0, min_open=True), default=0.02, show_default=True,
    help="Highest learning rate of the head.",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option(
    "--size", type=click.IntRange(min=8),
    help="Side of the pictures; the default is that of the weights, or the network's own.",
)  # fmt: skip
@click.option(
    "--freeze", metavar="LAYER",
    help="The frozen network learns from this layer on; the default is its head.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="The default is all that are allowed.")
@click.option(
    "--report", type=OutputFile(".png", ".pdf", ".svg", ".html"), help="Draw the results here."
)
@click.option(
    "--save", type=OutputFile(".safetensors", ".npz"),
    help="Write the best network here: .safetensors, for `fastconv predict`, or its weights alone.",
)  # fmt: skip
def finetune(
    model: str,
    data: Path,
    weights: Path | None,
    epochs: int,
    lr: float,
    batch_size: int,
    size: int | None,
    freeze: str | None,
    seed: int,
    threads: int | None,
    report: Path | None,
    save: Path | None,
) -> None:
    """Train MODEL from scratch, with frozen layers and fine-tuned, side by side, and compare.

    Without --weights there is nothing to freeze or to fine-tune: only the network from scratch.
    """

    import fastconv

    from .. import models
    from ..train.finetune import compare_starts
    from ..train.folders import folder_loaders
    from ..zoo.doctor.report import preset_text
    from ..zoo.pretrained import read_pretrained

    if report is not None:
        from ..plots.canvas import new_figure

        new_figure(1, 1)  # a missing extra is better known before the training
    if threads is not None:
        fastconv.set_num_threads(threads)
    channels = models.input_shape(model)[0]
    if channels != 3:
        raise click.BadParameter(
            f"{model} takes pictures of {channels} channel", param_hint="MODEL"
        )
    known = None if weights is None else read_pretrained(weights, model)
    options = {} if known is None else known.options
    preset = None if known is None else known.preset
    if preset is not None and preset.order == "L":
        raise click.BadParameter(
            f"{weights} takes grey pictures, {model} coloured ones", param_hint="'--weights'"
        )
    if size is not None:
        sides = size, size
    elif preset is not None:
        sides = preset.size
    else:
        sides = models.input_shape(model, options.get("variant"))[1:]
    loaders = folder_loaders(data, sides, batch_size, seed, preset=preset)
    classes = loaders.classes
    click.echo(
        f"{model}, pictures of {'x'.join(map(str, sides))}: {len(loaders.train.labels):,} to "
        f"learn from, {len(loaders.val.labels):,} to test on, {len(classes)} classes"
    )
    if weights is None:
        click.echo("no --weights: only from scratch; there is nothing to freeze or to fine-tune")
    else:
        says = "as in" if preset is not None else "ImageNet's, for want of a preset in"
        click.echo(f"pictures enter as {preset_text(loaders.preset)}, {says} {weights.name}")
    comparison = compare_starts(
        lambda: models.get(model, **{**options, "num_classes": len(classes)}),
        loaders.train,
        loaders.val,
        None if known is None else known.weights,
        epochs=epochs,
        lr=lr,
        freeze=freeze,
        plain=loaders.plain,
        classes=classes,
        preset=loaders.preset,
        seed=seed,
        report=click.echo,
    )
    click.echo(_table(comparison.runs))
    if save is not None:
        best = comparison.best
        if known is not None and best.name != "scratch":
            best.net.license = known.license
        save_network(best.net, save)
        click.echo(f"weights of {best.name} saved as {save}")
    if report is not None:
        from .. import plots

        title = f"{model} on {data.name}"
        draw = plots.finetune_page if report.suffix.lower() == ".html" else plots.finetune_sheet
        draw(comparison, classes, title, preset=loaders.preset, path=report)
        click.echo(f"report saved as {report}")


def _table(runs: Sequence[Run]) -> str:
    lines = [_ROW.format("start", "training", "validation", "time")]
    lines += [
        _ROW.format(
            run.name,
            f"{run.history.train_accuracy[-1]:.1%}",
            f"{run.accuracy:.1%}",
            f"{run.history.seconds:.1f} s",
        )
        for run in runs
    ]
    return "\n".join(lines)
