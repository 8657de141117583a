"""Three starts side by side, and the mistakes of the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import models, nn, zoo
from fastconv.data import Loader, Preset, mnist, random_shift
from fastconv.train import Comparison, History, Run, compare_starts, evaluate, fit, predict

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def pretrained() -> dict[str, np.ndarray]:
    """LeNet-5 that knows 0 to 7."""
    fastconv.manual_seed(0)
    images, labels = mnist()
    known = labels < 8
    net = models.lenet5(8)
    fit(net, (images[known], labels[known]), epochs=2, seed=0, progress=False)
    return net.state_dict()


def eights_and_nines(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = mnist(split=split)
    new = np.flatnonzero(labels >= 8)[:count]
    return images[new], labels[new] - 8


@pytest.fixture(scope="module")
def comparison(pretrained: dict[str, np.ndarray]) -> Comparison:
    train = eights_and_nines("train", 60)
    names: list[str] = []
    found = compare_starts(
        lambda: models.lenet5(2),
        Loader(train, 8, shuffle=True, transform=random_shift),
        eights_and_nines("test", 150),
        pretrained,
        plain=Loader(train, 8, shuffle=True),
        epochs=4,
        lr=0.05,
        progress=False,
        report=names.append,
    )
    assert names == ["scratch", "frozen", "fine-tuned"]
    return found


def test_each_start_learns_what_it_may(
    comparison: Comparison, pretrained: dict[str, np.ndarray]
) -> None:
    scratch, frozen, tuned = comparison.runs
    assert [run.name for run in comparison.runs] == ["scratch", "frozen", "fine-tuned"]
    assert all(run.history.epochs == 4 for run in comparison.runs)
    for key, array in frozen.net.state_dict().items():
        same = array.shape == pretrained[key].shape and np.array_equal(array, pretrained[key])
        assert same == (not key.startswith("fc2."))
    for run in (scratch, tuned):
        assert not np.array_equal(run.net.conv1.weight.data, pretrained["conv1.weight"])
    assert tuned.accuracy > 0.75


def test_the_body_learns_at_a_tenth(
    pretrained: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def noted(net: nn.Module, *args: Any, optimizer: Any, **options: Any) -> History:
        rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
        seen.append({name: rates[id(p)] for name, p in net.named_parameters()})
        return History(accuracy=[0.5])

    monkeypatch.setattr("fastconv.train.finetune.fit", noted)
    data = eights_and_nines("test", 10)
    compare_starts(lambda: models.lenet5(2), data, data, pretrained, lr=0.3)
    scratch, _, tuned = seen
    assert set(scratch.values()) == {0.3}
    assert tuned["fc2.weight"] == tuned["fc2.bias"] == 0.3
    assert {rate for name, rate in tuned.items() if not name.startswith("fc2")} == {0.03}


def test_it_learns_from_a_layer_on(pretrained: dict[str, np.ndarray]) -> None:
    data = eights_and_nines("test", 10)
    found = compare_starts(
        lambda: models.lenet5(2), data, data, pretrained, epochs=1, freeze="fc1", progress=False
    )
    net = found.runs[1].net
    learns = [name for name, p in net.named_parameters() if p.requires_grad]
    assert learns == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]


def test_answers_are_those_of_the_best(comparison: Comparison) -> None:
    images, labels = eights_and_nines("test", 150)
    best = comparison.best
    assert best.accuracy == max(run.accuracy for run in comparison.runs)
    np.testing.assert_array_equal(comparison.labels, labels)
    np.testing.assert_array_equal(comparison.predictions, predict(best.net, images))
    assert best.accuracy == evaluate(best.net, (images, labels))


def test_mistakes_are_the_surest(comparison: Comparison) -> None:
    images, labels = eights_and_nines("test", 150)
    with fastconv.no_grad():
        logits = comparison.best.net.eval()(images).data.astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = np.flatnonzero(shares.argmax(1) != labels)
    order = wrong[np.argsort(-shares[wrong].max(1))][:12]
    found = comparison.mistakes
    assert len(found) == len(order) > 0
    for mistake, place in zip(found, order, strict=True):
        np.testing.assert_array_equal(mistake.picture, images[place])
        assert (mistake.label, mistake.prediction) == (labels[place], 1 - labels[place])
        assert mistake.probability == pytest.approx(shares[place].max(), rel=1e-4)


def test_the_networks_are_ready_to_predict(
    tmp_path: Path, pretrained: dict[str, np.ndarray]
) -> None:
    images, labels = eights_and_nines("test", 20)
    preset = Preset((28, 28), None, "L", (0,), (1 / 255,))
    found = compare_starts(
        lambda: models.lenet5(2),
        (images, labels),
        (images, labels),
        pretrained,
        epochs=1,
        progress=False,
        classes=["eight", "nine"],
        preset=preset,
    )
    for run in found.runs:
        assert run.net.classes == ("eight", "nine") and run.net.preset == preset
    zoo.save(found.best.net, tmp_path / "tuned.safetensors")
    net = zoo.load(tmp_path / "tuned.safetensors")
    photos = [np.repeat(np.uint8(255 * one[0])[:, :, None], 3, 2) for one in images]
    answers = [best[0].name for best in net.predict(photos, top=1)]
    assert answers == [["eight", "nine"][n] for n in predict(found.best.net, images)]
    plain = compare_starts(
        lambda: models.lenet5(2), (images, labels), (images, labels), epochs=1, progress=False
    )
    assert plain.best.net.classes is None and plain.best.net.preset is None


def test_without_weights_there_is_only_scratch() -> None:
    data = eights_and_nines("test", 20)
    found = compare_starts(lambda: models.lenet5(2), data, data, epochs=1, progress=False)
    assert [run.name for run in found.runs] == ["scratch"]
    repeated = compare_starts(lambda: models.lenet5(2), data, data, epochs=1, progress=False)
    assert repeated.runs[0].history.loss == found.runs[0].history.loss


def test_of_equal_runs_the_last_is_best() -> None:
    runs = tuple(Run(name, nn.ReLU(), History(accuracy=[0.5])) for name in ("a", "b"))
    assert Comparison(runs, np.zeros(0, int), np.zeros(0, int), ()).best.name == "b"


def test_mistakes_of_the_caller(pretrained: dict[str, np.ndarray]) -> None:
    data = eights_and_nines("test", 10)
    with pytest.raises(ValueError, match=r"freeze: names .* \(name='fc9', near="):
        compare_starts(lambda: models.lenet5(2), data, data, pretrained, freeze="fc9")
    with pytest.raises(ValueError, match=r"missing: conv1.weight"):
        compare_starts(lambda: models.lenet5(2), data, data, {})


def test_an_interrupted_training_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = History(accuracy=[0.5], interrupted=True)
    monkeypatch.setattr("fastconv.train.finetune.fit", lambda *args, **options: stopped)
    data = eights_and_nines("test", 10)
    with pytest.raises(KeyboardInterrupt):
        compare_starts(lambda: models.lenet5(2), data, data)
