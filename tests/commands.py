"""Running the command line in tests."""

from __future__ import annotations

from click.testing import CliRunner, Result

from fastconv.cli.group import commands

__all__ = ["Result", "fail", "run", "succeed"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def fail(*arguments: object) -> str:
    """Run what must fail; return the one line that says why."""
    result = run(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)  # no traceback
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.endswith(line + "\n")
    return line
