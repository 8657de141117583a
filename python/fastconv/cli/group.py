"""The group of commands, and how errors leave it: as one line."""

from __future__ import annotations

from typing import Any

import click

from .convert import convert
from .demo import demo
from .finetune import finetune
from .info import info
from .inspect import inspect
from .predict import predict
from .summary import summary
from .train import train

__all__ = ["commands"]

# What users can bring about: bad values and files, missing extras, a diverging training.
_EXPECTED = (
    ValueError,
    OSError,
    ImportError,
    FloatingPointError,
    OverflowError,
    MemoryError,
)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # of no interest: click ends quietly
        except _EXPECTED as error:
            text = str(error) or type(error).__name__
            raise click.ClickException(" ".join(text.split())) from error


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import fastconv

        click.echo(f"fastconv {fastconv.__version__}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Print the version and exit.",
)  # fmt: skip
def commands() -> None:
    """Convolutional networks on CPUs."""


for _command in (info, summary, train, finetune, inspect, predict, convert, demo):
    commands.add_command(_command)
