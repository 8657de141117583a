"""The report of a fine-tuning as one HTML file, with the picture inside."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..train.finetune import Comparison
from .canvas import ACCENT, DIM, FAINT, INK
from .comparison import Preset, finetune_sheet

__all__ = ["finetune_page"]

_DPI = 144

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: {ink}; max-width: 72rem; margin: 2rem auto; }}
table {{ border-collapse: collapse; margin: 0 0 1.5rem 0.6rem; }}
th, td {{ padding: 0.25rem 1.5rem 0.25rem 0; text-align: right; }}
th {{ color: {dim}; font-weight: normal; border-bottom: 1px solid {faint}; }}
th:first-child, td:first-child {{ text-align: left; }}
.best td {{ color: {accent}; font-weight: bold; }}
img {{ width: 100%; }}
</style>
</head>
<body>
<table>
<tr><th>start</th><th>training</th><th>validation</th><th>epochs</th><th>time</th></tr>
{rows}
</table>
<img alt="accuracy, confusion matrix and mistakes" src="data:image/png;base64,{picture}">
</body>
</html>
"""


def finetune_page(
    comparison: Comparison,
    classes: Sequence[str],
    title: str = "Fine-tuning",
    *,
    preset: Preset | None = None,
    path: str | os.PathLike[str] | None = None,
) -> str:
    """Return an HTML page with a table of the runs and their `finetune_sheet`, whose arguments it
    takes. Saved to `path` if given.
    """
    figure = finetune_sheet(comparison, classes, title, preset=preset)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI)
    rows = []
    for run in comparison.runs:
        cells = (
            run.name,
            f"{run.history.train_accuracy[-1]:.1%}",
            f"{run.accuracy:.1%}",
            str(run.history.epochs),
            f"{run.history.seconds:.1f} s",
        )
        mark = ' class="best"' if run is comparison.best else ""
        rows.append(f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    page = _PAGE.format(
        title=escape(title),
        rows="\n".join(rows),
        picture=base64.b64encode(picture.getvalue()).decode("ascii"),
        ink=INK,
        dim=DIM,
        faint=FAINT,
        accent=ACCENT,
    )
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page
