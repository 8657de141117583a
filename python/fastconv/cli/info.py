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

    build = fastconv.build_info()
    isas = fastconv.available_isas()
    rows = {
        "version": fastconv.__version__,
        "instruction set": f"{fastconv.get_isa()} (available: {', '.join(isas)})",
        "threads": str(fastconv.get_num_threads()),
        "build": ", ".join(
            [build["build_type"], build["compiler"], "OpenMP" if build["openmp"] else "no OpenMP"]
        ),
        "L2 cache": f"{build['l2_cache_bytes'] / 2**20:g} MiB",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
    }
    width = max(map(len, rows))
    for name, text in rows.items():
        click.echo(f"{name:<{width}}  {text}")
