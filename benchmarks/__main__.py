"""The command line; `python -m benchmarks` lists its commands."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
_KERNEL_OPS = "conv,pool,gemm,linear,lrn"
_NETWORKS = "lenet5,alexnet,vgg16,googlenet,resnet18,resnet50"
# Batch sizes at which the networks are commonly trained on a CPU.
_TRAINING_BATCHES = {"lenet5": 64, "alexnet": 32, "googlenet": 16, "resnet18": 16}
_OTHER_BATCH = 8
# And at which they are used.
_INFERENCE_BATCHES = {"lenet5": [1, 64]}
_OTHER_BATCHES = [1, 4, 16]


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    if getattr(options, "threads", None) is not None:
        # BLAS libraries read these when they are loaded, which is why imports wait until now.
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[variable] = str(options.threads)
        import fastconv

        fastconv.set_num_threads(options.threads)
    try:
        _interpret(options)
    except ValueError as error:
        parser.error(str(error))
    status: int = options.run(options)
    return status


def _interpret(options: argparse.Namespace) -> None:
    """Turn lists that came as text into lists; raises ValueError for what cannot be benchmarked."""
    if options.command in ("kernels", "all"):
        from .kernels import OPS
        from .layers import load

        options.ops = _list(options.ops)
        for op in options.ops:
            if op not in OPS:
                raise ValueError(f"ops must be among {', '.join(OPS)} (op={op!r})")
        for name in _list(options.networks):
            load(name)
    if hasattr(options, "networks"):
        from .peers import choose

        options.networks = _list(options.networks)
        if options.command != "kernels":
            from .subject import Subject

            options.subjects = [Subject.parse(text) for text in options.networks]
        if options.batch is not None:
            options.batch = _batches(options.batch)
        options.peers = choose(options.peers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Layers and networks against their twins and peers.",
    )
    commands = parser.add_subparsers(dest="command")

    kernels = commands.add_parser("kernels", help="every layer shape of the networks, one by one")
    _common(kernels, _NETWORKS, "1,16")
    _files(kernels)
    kernels.add_argument("--ops", default=_KERNEL_OPS, help=f"default {_KERNEL_OPS}; conv-backward")
    kernels.add_argument(
        "--algorithm",
        choices=("direct", "winograd2", "winograd4", "winograd6", "fastest"),
        default="direct",
        help="of convolutions that have a choice; shares of the peak always count direct FLOP",
    )
    kernels.add_argument(
        "--check",
        metavar="SHARE",
        type=float,
        nargs="?",
        const=0.55,
        help="fail if a convolution over 50 MFLOP stays under this share of the peak (0.55), any "
        "is slower than the twin, or a product from 512 up is under --check-gemm or NumPy's",
    )
    kernels.add_argument("--check-gemm", metavar="SHARE", type=float, default=0.75)
    kernels.set_defaults(run=_run_kernels)

    networks = commands.add_parser("networks", help="whole networks in inference")
    _common(networks, f"{_NETWORKS},resnet152", None)
    _files(networks)
    networks.set_defaults(run=_run_networks)

    training = commands.add_parser("training", help="training steps of whole networks")
    _common(training, "lenet5", None)
    _files(training)
    training.set_defaults(run=_run_training)

    everything = commands.add_parser("all", help="kernels, networks, then LeNet-5's training")
    _common(everything, _NETWORKS, "1,16")
    everything.set_defaults(run=_run_all, ops=_KERNEL_OPS, check=None, algorithm="direct")

    shapes = commands.add_parser("shapes", help="write the shape files anew from fastconv.models")
    shapes.set_defaults(run=_run_shapes)

    plot = commands.add_parser("plot", help="draw a results file again")
    plot.add_argument("results", type=Path)
    plot.add_argument("picture", type=Path)
    plot.set_defaults(run=_run_plot)

    readme = commands.add_parser(
        "readme", help="write the README's tables and picture from results files"
    )
    readme.add_argument("results", type=Path, nargs="+")
    readme.add_argument("--page", type=Path, default=_ROOT / "README.md", help="default: README.md")
    readme.add_argument(
        "--picture", type=Path, default=_ROOT / "docs" / "race.png", help="default: docs/race.png"
    )
    readme.set_defaults(run=_run_readme)
    return parser


def _common(parser: argparse.ArgumentParser, networks: str, batches: str | None) -> None:
    parser.add_argument("--networks", default=networks, help=f"default {networks}")
    parser.add_argument("--batch", default=batches, help=f"default {batches or 'by network'}")
    parser.add_argument("--threads", type=int, help="default: all that fastconv uses")
    parser.add_argument(
        "--peers", default="", help="all, torch, or names: torch-eager, onnxruntime, ncnn, ..."
    )
    parser.add_argument("--quick", action="store_true", help="short turns: a smoke test")


def _files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="default benchmarks/results/")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="default: beside the JSON file")


def _list(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _batches(text: str) -> list[int]:
    try:
        batches = [int(item) for item in _list(text)]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise ValueError(f"batch must be a list of positive integers (batch={text!r})")
    return batches


def _start(command: str) -> dict[str, Any]:
    """Print what is about to happen and where; return the machine's description."""
    from .machine import describe, headline

    machine = describe()
    print(f"{command}: {headline(machine)}")
    return machine


def _finish(options: argparse.Namespace, command: str, content: dict[str, Any]) -> None:
    """Save JSON and plot, and say where."""
    from .machine import save

    one_file = options.command == command
    path = save(command, content, options.json if one_file else None)
    print(f"\nresults: {path}")
    try:
        from .plot import draw
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'fastconv[bench]')")
        return
    picture = (options.plot if one_file else None) or path.with_suffix(".png")
    draw({"command": command, **content}, picture)
    print(f"plot: {picture}")


def _run_kernels(options: argparse.Namespace) -> int:
    from .kernels import Kernels, failures
    from .timing import Budget

    machine = _start("kernels")
    print(
        "Convolutions and full layers run through prepared objects (weights packed once), "
        "convolutions into memory allocated before.\nAnswers are checked against the NumPy twin "
        "first; the twin's time of a batch is that of one picture, scaled, but for full layers."
    )
    budget = Budget(1, 0.01, 0.0, 0.002) if options.quick else Budget()
    run = Kernels(budget, options.peers, options.algorithm)
    run.run(options.networks, options.batch, options.ops)
    content = {
        "machine": machine,
        "algorithm": options.algorithm,
        "peak_gflops": run.peak.median,
        "rows": [row.as_json() for row in run.rows],
    }
    _finish(options, "kernels", content)
    wrong = [row for row in run.rows if row.problem]
    if options.check is None:
        return 1 if wrong else 0
    lines = failures(run.rows, options.check, options.check_gemm)
    print(f"\ncheck: {len(lines) or 'no'} failures", *lines, sep="\n  ")
    return 1 if lines else 0


def _run_networks(options: argparse.Namespace) -> int:
    pairs = []
    for subject in options.subjects:
        default = _INFERENCE_BATCHES.get(subject.name, _OTHER_BATCHES)
        pairs += [(subject, b) for b in options.batch or default]
    return _race(options, pairs)


def _run_training(options: argparse.Namespace) -> int:
    pairs = []
    for subject in options.subjects:
        default = [_TRAINING_BATCHES.get(subject.name, _OTHER_BATCH)]
        pairs += [(subject, b) for b in options.batch or default]
    return _race(options, pairs, training=True)


def _race(
    options: argparse.Namespace, pairs: list[tuple[Any, int]], *, training: bool = False
) -> int:
    from .race import Race, summary
    from .timing import Budget

    command = "training" if training else "networks"
    machine = _start(command)
    print("Each in a process of its own, stopped between its turns; answers compared with ours.")
    run = Race(Budget(2, 0.01, 0.0, 0.002) if options.quick else Budget(5, 0.4), options.peers)
    for subject, batch in pairs:
        run.run(subject, batch, training=training)
    if not run.results:
        return 1
    print("", *summary(run.results), sep="\n")
    content = {
        "machine": machine,
        "peak_gflops": run.peak.median,
        "results": [result.as_json() for result in run.results],
    }
    _finish(options, command, content)
    return 1 if run.wrong else 0


def _run_all(options: argparse.Namespace) -> int:
    status = _run_kernels(options) or _run_networks(options)
    from .subject import Subject

    options.subjects, options.batch = [Subject.parse("lenet5")], None
    return status or _run_training(options)


def _run_shapes(options: argparse.Namespace) -> int:
    from .tracing import write

    print(*write(Path(__file__).with_name("shapes")), sep="\n")
    return 0


def _run_readme(options: argparse.Namespace) -> int:
    from .readme import write

    write(options.results, options.page, options.picture)
    return 0


def _run_plot(options: argparse.Namespace) -> int:
    import json

    from .plot import draw

    draw(json.loads(options.results.read_text()), options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
