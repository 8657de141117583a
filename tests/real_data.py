"""Where the data sets are that tests use if they are there: $FASTCONV_DATA, or beside the clone."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(
    os.environ.get("FASTCONV_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
