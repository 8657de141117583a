"""`fastconv info`: what runs here."""

from __future__ import annotations

import click

__all__ = ["info"]


@click.command()
def info() -> None:
    """Print version, instruction sets, threads and build."""
    import platform

    import numpy as np

    import fastconv

    rows = {
        "version": fastconv.__version__,
        "instruction set": f"{fastconv.get_isa()} (of {', '.join(fastconv.available_isas())})",
        "threads": str(fastconv.get_num_threads()),
    }
    for name, value in fastconv.build_info().items():
        if name != "version":
            shown = {True: "yes", False: "no"}.get(value, value) if value in (True, False) else value
            rows[name.replace("_", " ")] = str(shown)
    rows["Python"] = platform.python_version()
    rows["NumPy"] = np.__version__
    width = max(map(len, rows))
    for name, text in rows.items():
        click.echo(f"{name:<{width}}  {text}")
