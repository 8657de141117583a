"""What transfer is worth: ResNet-20 learns eight classes of CIFAR-10, then the other two from 100
pictures each, from scratch, with frozen layers, and fine-tuned.

python examples/transfer_cifar.py CIFAR                          # trains on eight classes first
python examples/transfer_cifar.py CIFAR --weights eight.npz      # goes on from there

CIFAR is what `data.cifar10` reads: a folder or a tar. Exits with 1 if the frozen or the fine-tuned
network does not beat the one from scratch by 5 points.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import data, models, plots, train

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
AS_IT_IS = data.Normalize(MEAN, STD)
VARIED = data.Compose([data.RandomCrop(32, padding=4), data.RandomHorizontalFlip(), AS_IT_IS])
MARGIN = 0.05


def main() -> int:
    options = parse()
    new = options.new.split(",")
    learn, test = (data.cifar10(options.data, split) for split in ("train", "test"))
    known = [name for name in learn.classes or [] if name not in new]
    if options.weights is None:
        weights = pretrain(learn, test, known, options)
    else:
        weights = train.read_weights(options.weights)

    results: dict[str, list[float]] = {}
    for seed in range(options.repeats):
        few = choose(learn, new, options.pictures, seed)
        comparison = train.compare_starts(
            lambda: models.resnet20(len(new)),
            data.Loader(few, 16, shuffle=True, transform=VARIED, seed=seed),
            data.Loader(choose(test, new), 250, transform=AS_IT_IS),
            weights,
            plain=data.Loader(few, 16, shuffle=True, transform=AS_IT_IS, seed=seed),
            epochs=options.epochs,
            lr=0.05,
            seed=seed,
            progress=False,
        )
        for run in comparison.runs:
            results.setdefault(run.name, []).append(run.accuracy)
        print(f"choice {seed}:", ", ".join(f"{r.name} {r.accuracy:.1%}" for r in comparison.runs))
        if options.report is not None and seed == 0:
            title = f"{' and '.join(new)}, {options.pictures} pictures each"
            plots.finetune_sheet(comparison, new, title, preset=(MEAN, STD), path=options.report)

    means = {name: float(np.mean(values)) for name, values in results.items()}
    print(f"\nmean of {options.repeats} choices of {options.pictures} pictures a class")
    for name, mean in means.items():
        print(f"{name:<10}  {mean:6.1%}  {100 * (mean - means['scratch']):+5.1f} points")
    worst = min(means["frozen"], means["fine-tuned"])
    return 0 if worst >= means["scratch"] + MARGIN else 1


def pretrain(
    learn: data.ArrayDataset, test: data.ArrayDataset, known: list[str], options: Any
) -> dict[str, np.ndarray]:
    """Train on the known classes as He et al. 2015 do, in fewer epochs; return the weights."""
    fastconv.manual_seed(0)
    net = models.resnet20(len(known))
    train.fit(
        net,
        data.Loader(choose(learn, known), 128, shuffle=True, transform=VARIED),
        data.Loader(choose(test, known), 250, transform=AS_IT_IS),
        epochs=options.pretraining_epochs,
        optimizer=fastconv.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4),
        checkpoint=options.checkpoint,
        resume=options.checkpoint is not None,
    )
    if options.save is not None:
        np.savez(options.save, **net.state_dict())
    return net.state_dict()


def choose(
    dataset: data.ArrayDataset, names: list[str], count: int | None = None, seed: int = 0
) -> data.ArrayDataset:
    """Return the pictures of some classes, `count` of each drawn by `seed`, or all."""
    rng = np.random.default_rng(seed)
    numbers = [(dataset.classes or []).index(name) for name in names]
    places = [rng.permutation(np.flatnonzero(dataset.labels == n))[:count] for n in numbers]
    labels = np.repeat(np.arange(len(names)), [len(p) for p in places])
    return data.ArrayDataset(dataset.images[np.concatenate(places)], labels, names)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What transfer is worth on CIFAR-10.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--new", default="cat,dog", help="classes to learn last (cat,dog)")
    parser.add_argument("--pictures", type=int, default=100, help="of each new class (100)")
    parser.add_argument("--epochs", type=int, default=30, help="on the new classes (30)")
    parser.add_argument("--repeats", type=int, default=3, help="choices of pictures (3)")
    parser.add_argument("--weights", type=Path, help="of eight classes: .npz or a checkpoint")
    parser.add_argument("--pretraining-epochs", type=int, default=30, help="without --weights (30)")
    parser.add_argument("--checkpoint", type=Path, help="of the pretraining, to resume it")
    parser.add_argument("--save", type=Path, help="write the weights of eight classes here (.npz)")
    parser.add_argument("--report", type=Path, help="draw the first comparison here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
