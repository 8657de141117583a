"""`fastconv summary`: the layers of a network."""

from __future__ import annotations

import click

from .types import ModelName, Shape

__all__ = ["summary"]


@click.command(short_help="Print the layers of a network and what they cost.")
@click.argument("model", type=ModelName())
@click.option("--variant", help="Which published version; the default is the network's own.")
@click.option("--shape", type=Shape(), help="Input size; the default is the network's own.")
def summary(model: str, variant: str | None, shape: tuple[int, ...] | None) -> None:
    """Print each layer's output size, parameters, multiply-accumulates and memory.

    MODEL is a network's name, such as resnet50.
    """
    from .. import models
    from ..summary import summary as summarize

    known = models.variants(model)
    if variant is not None and variant not in known:
        raise click.BadParameter(
            f"{model} has no variant {variant!r}; choose from {', '.join(known)}",
            param_hint="'--variant'",
        )
    # A network with one variant has no such argument.
    net = models.get(model, variant=variant) if variant and len(known) > 1 else models.get(model)
    click.echo(str(summarize(net, shape or models.input_shape(model, variant))))
