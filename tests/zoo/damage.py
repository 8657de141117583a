"""Loads a file again and again, cut and with bits flipped; run as a process of its own.

python damage.py FILE NAME load|read: damages FILE, loads or reads NAME beside it. Prints one line
of JSON: how often that was refused, how often it went well, the longest time in seconds, and the
bytes that the process grew by. Ends with an error for anything but a refusal in words, and after 5
seconds of one load.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import zoo

CUTS, FLIPS, SECONDS = 64, 1000, 5


def damaged(whole: bytes):
    for part in range(CUTS):
        yield whole[: len(whole) * part // CUTS]
    rng = np.random.default_rng(1)
    for place in rng.integers(0, 8 * len(whole), FLIPS):
        data = bytearray(whole)
        data[place // 8] ^= 1 << (place % 8)
        yield bytes(data)


def main(file: Path, name: Path, load: Any) -> dict[str, float]:
    whole = file.read_bytes()
    load(name)  # imports all that it takes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = loaded = 0
    longest = 0.0
    for data in damaged(whole):
        file.write_bytes(data)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        start = time.perf_counter()
        try:
            load(name)
            loaded += 1
        except (ValueError, TypeError, FileNotFoundError) as error:
            assert str(error), type(error)
            refused += 1
        longest = max(longest, time.perf_counter() - start)
    faulthandler.cancel_dump_traceback_later()
    file.write_bytes(whole)
    load(name)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return {"refused": refused, "loaded": loaded, "longest": longest, "grown": grown}


if __name__ == "__main__":
    warnings.simplefilter("error")
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), getattr(zoo, sys.argv[3]))))
