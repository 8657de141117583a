"""Tuning: which algorithm each convolution takes, measured once and remembered in a file."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import _core
from .build import build, by_node
from .graph import Graph
from .packing import Packer, choice_key
from .plan import Plan

__all__ = ["default_path", "tuned"]

_FORMAT = 1
_ALGORITHMS = ("direct", "winograd2", "winograd4", "winograd6")
_REPEATS = 9

Choices = dict[str, str]  # algorithms by choice_key


def default_path() -> Path:
    """Return the file for `tune=True`: fastconv/tuning.json in the user's cache folder, or, for a
    user without a home, in the folder of temporary files."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        cache = Path(folder) if folder else Path.home() / ".cache"
    except RuntimeError:  # a container's user, say
        cache = Path(tempfile.gettempdir())
    return cache / "fastconv" / "tuning.json"


def tuned(graph: Graph, plan: Plan, packer: Packer, threads: int, path: Path) -> Choices:
    """Return the fastest algorithm of each convolution that has a choice.

    What the file does not know is measured, in the network itself: all convolutions with one
    algorithm, then with the next, in turns. The file is then written anew.
    """
    possible = {
        choice_key(node): candidates
        for node in graph.nodes
        if len(candidates := packer.candidates(node)) > 1
    }
    if not possible:
        return {}
    machine = _machine(threads)
    known = dict(_content(path).get(machine, {}))
    if not all(known.get(key) in candidates for key, candidates in possible.items()):
        known.update(_measure(graph, plan, packer, threads))
        _write(path, machine, known)
    return {key: known[key] for key in possible}


def _measure(graph: Graph, plan: Plan, packer: Packer, threads: int) -> Choices:
    networks, taken = {}, {}
    choosers = [node for node in graph.nodes if len(packer.candidates(node)) > 1]
    for algorithm in _ALGORITHMS:
        packer.force(algorithm)
        networks[algorithm] = build(graph, plan, packer, threads)
        taken[algorithm] = {node: packer.algorithm(node) for node in choosers}
    x = np.random.default_rng(0).standard_normal(graph.input.shape).astype(np.float32)
    laps: dict[str, list[Any]] = {algorithm: [] for algorithm in networks}
    for repeat in range(1 + _REPEATS):
        for algorithm, network in networks.items():
            lap = network.run_timed(x)
            if repeat > 0:  # the first run takes an arena and faults it in
                laps[algorithm].append(lap)
    seconds: dict[str, dict[str, float]] = {}
    for algorithm in networks:
        medians = np.median(laps[algorithm], axis=0)[1:]  # after the conversion of the input
        for node, time in by_node(graph, plan, medians).items():
            if node in taken[algorithm]:
                times = seconds.setdefault(choice_key(node), {})
                choice = taken[algorithm][node]
                times[choice] = min(times.get(choice, np.inf), time)
    return {key: min(times, key=times.__getitem__) for key, times in seconds.items()}


def _machine(threads: int) -> str:
    """What the choices depend on besides the layer: CPU, instruction set, threads, version."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    plural = "s" if threads > 1 else ""
    return f"{cpu}, {_core.get_isa()}, {threads} thread{plural}, fastconv {_core.__version__}"


def _content(path: Path) -> dict[str, Choices]:
    """Return the choices by machine; a file that makes no sense has none."""
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        return _ignored(path, str(error))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _ignored(path, f"not JSON: {error}")
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        return _ignored(path, f"not a tuning file of format {_FORMAT}")
    machines = content.get("machines")
    if not isinstance(machines, dict) or not all(map(_is_choices, machines.values())):
        return _ignored(path, "its machines are not algorithms by layer")
    return machines


def _is_choices(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(choice, str) for choice in value.values())


def _ignored(path: Path, why: str) -> dict[str, Choices]:
    warnings.warn(f"compile: the tuning file {path} is ignored: {why}", stacklevel=6)
    return {}


def _write(path: Path, machine: str, choices: Mapping[str, str]) -> None:
    """Put this machine's choices into the file, beside other machines', in one go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said before
        machines = _content(path)
    machines[machine] = dict(sorted(choices.items()))
    text = json.dumps({"format": _FORMAT, "machines": machines}, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with open(handle, "w") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        warnings.warn(f"compile: the tuning file {path} cannot be written: {error}", stacklevel=6)
