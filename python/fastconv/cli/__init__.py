"""The command `fastconv`: info, summary, train, finetune, inspect, predict, convert, demo.

They need the extra `cli`, `finetune` also `data` (and `plots` for its report), `inspect`,
`predict` and `convert` the extra `zoo` for most files, `demo` the extra `demo`.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without click, say what to install."""
    try:
        import click  # noqa: F401
    except ImportError:
        sys.exit("fastconv: the command line needs click: pip install 'fastconv[cli]'")
    from .group import commands

    commands(prog_name="fastconv")
