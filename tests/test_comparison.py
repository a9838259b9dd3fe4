"""Comparisons with known answers, and intervals that hold what they promise."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from flaxtext.comparison import compare, holm, macro_f1_of, mcnemar
from flaxtext.errors import UserError
from stages.compare import read

SETTINGS = {"resamples": 1000, "confidence": 0.95, "seed": 0}


def flipped(labels, wrong):
    """Predict two classes rightly but for the documents in `wrong`."""
    predicted = labels.copy()
    predicted[wrong] = 1 - predicted[wrong]
    return predicted


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 2, 1000)


def test_mcnemar_by_hand():
    first = np.array([1] * 9 + [0] * 1 + [1] * 90, bool)
    second = np.array([0] * 9 + [1] * 1 + [1] * 90, bool)
    assert mcnemar(first, second) == pytest.approx(2 * binom.cdf(1, 10, 0.5))
    assert mcnemar(first, first) == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_macro_f1_equals_scikit_learn():
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 4, 300), rng.integers(0, 3, 300)
    times = rng.integers(0, 3, (2, 300))
    found = macro_f1_of(labels, predicted, times, 4)
    for row, value in zip(times, found, strict=True):
        expected = f1_score(labels.repeat(row), predicted.repeat(row), average="macro", zero_division=0)
        assert value == pytest.approx(expected)


def test_a_difference_is_shown_and_a_tie_is_not(labels):
    predicted = {
        "bad": flipped(labels, slice(0, 200)),
        "good": flipped(labels, slice(0, 100)),
        "as good": flipped(labels, slice(902, 1000)),
    }
    standings, pairs = compare(labels, predicted, 2, **SETTINGS)
    assert list(standings) == ["as good", "good", "bad"]
    assert [standing.rank for standing in standings.values()] == [1, 1, 3]
    assert standings["good"].accuracy.value == 0.9
    said = {(pair.first, pair.second): str(pair) for pair in pairs}
    assert said["as good", "good"].startswith("no difference shown between as good and good: 0.2 points (")
    assert said["good", "bad"].startswith("good is better than bad by 10.0 points (")
    assert [pair.shown for pair in pairs] == [False, True, True]


def test_the_difference_is_paired(labels):
    """Where one is right wherever the other is, the interval is far narrower than those of the two accuracies."""
    predicted = {"good": flipped(labels, slice(0, 300)), "bad": flipped(labels, slice(0, 320))}
    standings, ((pair),) = compare(labels, predicted, 2, **SETTINGS)
    width = standings["good"].accuracy.high - standings["good"].accuracy.low
    assert pair.difference.high - pair.difference.low < width / 2
    assert pair.shown


def test_one_variant_has_no_pairs(labels):
    standings, pairs = compare(labels, {"only": labels}, 2, **SETTINGS)
    assert standings["only"].accuracy.value == standings["only"].accuracy.high == 1
    assert pairs == []


def test_the_intervals_cover_the_truth_as_often_as_they_say():
    """Of 95% intervals, 93% to 97% hold the true accuracy and the true difference, over simulated test splits."""
    rng = np.random.default_rng(0)
    accuracies, runs = {"a": 0.9, "b": 0.87}, 1000
    covered = {"a": 0, "b": 0, "difference": 0}
    for run in range(runs):
        labels = rng.integers(0, 2, 500)
        predicted = {name: flipped(labels, rng.random(500) > accuracy) for name, accuracy in accuracies.items()}
        standings, (pair,) = compare(labels, predicted, 2, resamples=400, confidence=0.95, seed=run)
        for name, accuracy in accuracies.items():
            covered[name] += standings[name].accuracy.low <= accuracy <= standings[name].accuracy.high
        truth = accuracies[pair.first] - accuracies[pair.second]
        covered["difference"] += pair.difference.low <= truth <= pair.difference.high
    assert all(0.93 <= count / runs <= 0.97 for count in covered.values()), covered


def write_predictions(folder, name, labels, predicted):
    n = len(labels)
    table = {
        "row": np.arange(n),
        "split": ["test"] * (n - 1) + ["train"],
        "label": labels,
        "predicted": predicted,
        "probabilities": pa.array([[0.2, 0.3, 0.5]] * n, pa.list_(pa.float32(), 3)),
    }
    pq.write_table(pa.table(table), folder / f"{name}.parquet")


def test_the_stage_reads_the_test_split_alone(tmp_path):
    write_predictions(tmp_path, "one", ["b", "a", "b", "b"], ["b", "b", "c", "b"])
    write_predictions(tmp_path, "two", ["b", "a", "b", "b"], ["b", "a", "a", "c"])
    labels, predicted, n_classes = read(tmp_path, ["one", "two"])
    assert labels.tolist() == [1, 0, 1]
    assert {name: answers.tolist() for name, answers in predicted.items()} == {"one": [1, 1, 2], "two": [1, 0, 0]}
    assert n_classes == 3


def test_the_stage_refuses_predictions_of_another_split(tmp_path):
    write_predictions(tmp_path, "one", ["b", "a", "b"], ["b", "b", "b"])
    write_predictions(tmp_path, "two", ["b", "b", "b"], ["b", "a", "b"])
    with pytest.raises(UserError, match=r"two\.parquet: not of the same test split as one; run `dvc repro`$"):
        read(tmp_path, ["one", "two"])
