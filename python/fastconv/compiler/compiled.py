"""The compiled network: one object that runs in one call."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .build import build
from .costs import description, macs, parameters
from .graph import Graph, is_step
from .groups import find_groups
from .packing import Packer
from .passes import pool_tiles
from .plan import Plan, plan_memory
from .preset import byte_table, reversed_channels, reverses
from .profile import Profile, profile
from .table import bytes_text, table
from .tuning import tuned

__all__ = ["CompiledNetwork", "Options"]

# Networks for other batch sizes that are kept, the oldest forgotten first.
_MAX_BATCHES = 8


@dataclass(frozen=True)
class Options:
    """The arguments of `compile` that a network keeps."""

    name: str
    winograd: bool
    weights: str
    threads: int  # 0: the global count
    recompiles: bool
    preset: Any
    tuning: Path | None  # the file to read and extend


class CompiledNetwork:
    """What `fastconv.compile` returns: call it with an array, get an array.

    Safe to call from several threads at once; all but the first call in each allocate nothing but
    the result. Its repr is a table of its steps. Pickling keeps graph and weights; loading packs
    the weights again.
    """

    def __init__(self, graph: Graph, options: Options, choices: Mapping[str, str] = {}) -> None:
        self._options = options
        self._choices = dict(choices)
        self._graph = graph
        self._graph = graph = pool_tiles(graph, self._new_packer().is_winograds)
        self._lock = threading.Lock()
        self._others: list[tuple[int, ...]] = []
        shape = graph.input.shape
        pixels = prod(shape[2:])
        transposes = len(shape) == 4 and shape[1] > 1 and pixels > 1
        self._converts_input = transposes or options.preset is not None
        self._plan = self._plan_for(graph)
        self._table = None
        if options.preset is not None:
            self._table = byte_table(options.preset, shape[1])
        self._reverses = reverses(options.preset)
        if options.tuning is not None and not choices:
            threads = options.threads or _core.get_num_threads()
            self._choices = tuned(graph, self._plan, self._new_packer(), threads, options.tuning)
        self._packer = self._new_packer()
        self._networks = {shape: self._build(graph, self._plan)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape it was compiled for, (N, C, H, W)."""
        return self._graph.input.shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of its result."""
        return self._graph.output.shape

    @property
    def arena_bytes(self) -> int:
        """The memory that a call needs for everything between input and output."""
        return 4 * self._plan.arena_floats

    def __call__(
        self, x: NDArray[Any], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the network's output for x, into `out` where given.

        x: float32 of the compiled shape, in any memory layout (channels-last is read in place, C
        order converted); with a preset also uint8, which may then have the shape (N, H, W, C) too,
        colours as RGB.
        Other batch sizes are compiled when they first come, or a ValueError with batch="error".
        out: float32 of the output's shape, C-contiguous, or channels-last if it has four axes, and
        apart from x.
        """
        if not isinstance(x, np.ndarray):
            raise TypeError(f"compile: x must be a NumPy array (type={type(x).__name__})")
        if self._reverses and x.dtype == np.uint8 and x.ndim == 4:
            x = reversed_channels(x, 1 if x.shape[1:] == self.input_shape[1:] else 3)
        network = self._networks.get(x.shape)
        return self._run_other(x, out) if network is None else network.run(x, out)

    def profile(self, x: NDArray[Any] | None = None, repeats: int = 10) -> Profile:
        """Measure every step: the median of `repeats` runs on x (by default random numbers).

        Returns a Profile, which prints as a table and plots as a roofline.
        """
        if x is None:
            x = np.random.default_rng(0).standard_normal(self.input_shape).astype(np.float32)
        if not isinstance(x, np.ndarray) or x.shape != self.input_shape:
            got = getattr(x, "shape", type(x).__name__)
            raise ValueError(
                f"profile: x must have the compiled shape "
                f"(expected={self.input_shape}, shape={got})"
            )
        if repeats < 1:
            raise ValueError(f"profile: repeats must be at least 1 (repeats={repeats})")
        network = self._networks[self.input_shape]
        threads = self._options.threads or _core.get_num_threads()
        name = f"{self._options.name}, {threads} thread{'s' if threads > 1 else ''}"
        return profile(name, network, self._graph, self._plan, self._packer, x, repeats)

    def print(self) -> None:
        """Print the table of steps."""
        print(self)

    def __repr__(self) -> str:
        shapes = ("x".join(map(str, shape)) for shape in (self.input_shape, self.output_shape))
        title = f"CompiledNetwork of {self._options.name}, {' -> '.join(shapes)}"
        head = ("layer", "step", "algorithm", "output", "parameters", "MACs", "memory")
        steps = [node for node in self._graph.nodes if is_step(node)]
        rows = []
        for node in steps:
            place = self._plan.places[node.output]
            size = bytes_text(4 * prod(node.output.shape))
            rows.append(
                (
                    node.layer,
                    description(node),
                    self._packer.algorithm(node),
                    "x".join(map(str, node.output.shape)),
                    f"{parameters(node):,}" if parameters(node) else "",
                    f"{macs(node):,}" if macs(node) else "",
                    f"{size} at {4 * place.offset:,}" if place.memory == "arena" else place.memory,
                )
            )
        lines = table(title, head, rows, left=4)
        total = sum(4 * prod(node.output.shape) for node in steps)
        lines.append(
            f"{len(steps)} steps, {sum(map(parameters, steps)):,} parameters, "
            f"{sum(map(macs, steps)):,} MACs; "
            f"arena {bytes_text(self.arena_bytes)} for {bytes_text(total)} of results"
        )
        return "\n".join(lines)

    def __getstate__(self) -> dict[str, Any]:
        return {"graph": self._graph, "options": self._options, "choices": self._choices}

    def __setstate__(self, state: dict[str, Any]) -> None:
        CompiledNetwork.__init__(self, state["graph"], state["options"], state["choices"])

    def _new_packer(self) -> Packer:
        return Packer(
            winograd=self._options.winograd,
            weights=self._options.weights,
            parameters=sum(map(parameters, self._graph.nodes)),
            choices=self._choices,
        )

    def _run_other(self, x: NDArray[Any], out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Run on a shape that is not the compiled one, or raise."""
        shape = x.shape
        if self._table is not None and x.dtype == np.uint8 and x.ndim == 4:
            n, h, w, c = shape
            shape = (n, c, h, w) if (c, h, w) == self.input_shape[1:] else shape
        if shape[1:] != self.input_shape[1:] or len(shape) != len(self.input_shape):
            raise ValueError(
                f"compile: x must have the compiled shape "
                f"(expected={self.input_shape}, shape={x.shape})"
            )
        return self._network_for(shape).run(x, out)

    def _network_for(self, shape: tuple[int, ...]) -> _core.Network:
        """Return the network for a batch size, building it if it is new."""
        with self._lock:
            network = self._networks.get(shape)
            if network is not None:
                return network
            if not (self._options.recompiles and self._graph.any_batch):
                why = "batch='recompile' takes others too"
                if self._options.recompiles:
                    why = "a layer depends on it"
                raise ValueError(
                    f"compile: x must have the compiled batch; {why} "
                    f"(expected={self.input_shape[0]}, batch={shape[0]})"
                )
            graph = self._graph.with_batch(shape[0])
            network = self._build(graph, self._plan_for(graph))
            if len(self._others) == _MAX_BATCHES:
                del self._networks[self._others.pop(0)]
            self._others.append(shape)
            self._networks[shape] = network
            return network

    def _plan_for(self, graph: Graph) -> Plan:
        groups = find_groups(graph, self._options.threads or _core.get_num_threads())
        return plan_memory(graph, groups, converts_input=self._converts_input)

    def _build(self, graph: Graph, plan: Plan) -> _core.Network:
        network = build(graph, plan, self._packer, self._options.threads)
        if self._table is not None:
            network.set_byte_table(self._table, self.input_shape[1])
        return network
