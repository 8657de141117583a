"""What the figures were measured on, and where they are kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "describe", "headline", "save"]

RESULTS = Path(__file__).with_name("results")
_PACKAGES = ("numpy", "torch", "onnxruntime", "openvino", "ncnn", "pnnx", "onnx")


def describe(packages: Iterable[str] = _PACKAGES) -> dict[str, Any]:
    """CPU, cores, instruction set, threads, versions and date."""
    import fastconv

    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "isa": fastconv.get_isa(),
        "threads": fastconv.get_num_threads(),
        "fastconv": fastconv.build_info(),
        "versions": versions,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def headline(machine: dict[str, Any]) -> str:
    """One line of it."""
    return (
        f"{machine['cpu']}, {machine['usable_cores']} cores; fastconv "
        f"{machine['fastconv']['version']}, {machine['isa']}, {machine['threads']} threads"
    )


def save(command: str, content: dict[str, Any], path: Path | None = None) -> Path:
    """Write results as JSON, into `RESULTS` unless told otherwise; return the path."""
    if path is None:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{command}-{datetime.now().strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"command": command, **content}, indent=1) + "\n")
    return path


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
