"""Tables that are printed row by row, as results come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["Table", "duration", "number"]


def number(value: float | None, digits: int = 3) -> str:
    """A value with about so many significant digits and no exponent; "" for None."""
    if value is None:
        return ""
    size = abs(value)
    decimals = digits - 1
    while size >= 10 and decimals > 0:
        size /= 10
        decimals -= 1
    return f"{value:.{decimals}f}"


def duration(seconds: float) -> str:
    """A time in milliseconds, or in microseconds below one."""
    return f"{number(1e3 * seconds)} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} us"


class Table:
    """Columns of fixed width: a title and a width each; a negative width aligns to the left."""

    def __init__(self, columns: Iterable[tuple[str, int]]) -> None:
        self._columns = [(title, width) for title, width in columns]

    @staticmethod
    def width_for(texts: Iterable[str]) -> int:
        """The width of a left-aligned column that holds these texts."""
        return -max(map(len, texts), default=1)

    def head(self) -> str:
        line = self.row([title for title, _ in self._columns])
        return f"{line}\n{'-' * len(line)}"

    def row(self, cells: Sequence[str]) -> str:
        parts = []
        for cell, (title, width) in zip(cells, self._columns, strict=True):
            room = max(abs(width), len(title))
            parts.append(cell.ljust(room) if width < 0 else cell.rjust(room))
        return "  ".join(parts).rstrip()
