"""Comparisons with known answers, and intervals that hold what they promise."""

import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import f1_score

from flaxtext.artifacts.metrics import rounded
from flaxtext.compare.comparison import compare, describe_standings, macro_f1_of
from flaxtext.compare.judged import Judged
from flaxtext.compare.majority import Majority, beside_majority
from flaxtext.compare.significance import holm, mcnemar
from flaxtext.config.compare import Compare

SETTINGS = Compare(resamples=1000)


def judged(labels, predicted, by_seed=None):
    return Judged(labels=labels, predicted=predicted, by_seed=by_seed or {}, n_classes=2)


def flipped(labels, wrong):
    """Predict two classes rightly except for the documents in `wrong`."""
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
    times = rng.integers(0, 3, (3, 300))
    times[2, (labels == 1) | (predicted == 1)] = 0  # of the five classes, 1 is not met here, and 4 nowhere
    found = macro_f1_of(labels, predicted, times, 5)
    for row, value in zip(times, found, strict=True):
        expected = f1_score(labels.repeat(row), predicted.repeat(row), average="macro", zero_division=0)
        assert value == pytest.approx(expected)


def test_a_difference_is_shown_and_a_tie_is_not(labels):
    predicted = {
        "bad": flipped(labels, slice(0, 200)),
        "good": flipped(labels, slice(0, 100)),
        "as good": flipped(labels, slice(902, 1000)),
    }
    standings, pairs = compare(judged(labels, predicted), SETTINGS)
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
    standings, ((pair),) = compare(judged(labels, predicted), SETTINGS)
    width = standings["good"].accuracy.high - standings["good"].accuracy.low
    assert pair.difference.high - pair.difference.low < width / 2
    assert pair.shown


def test_one_variant_has_no_pairs(labels):
    standings, pairs = compare(judged(labels, {"only": labels}), SETTINGS)
    assert standings["only"].accuracy.value == standings["only"].accuracy.high == 1
    assert pairs == []


def test_five_thousand_classes_take_little_time_and_memory():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5000, 20_000)
    predicted = {
        name: np.where(rng.random(20_000) < wrong, rng.integers(0, 5000, 20_000), labels)
        for name, wrong in {"good": 0.2, "bad": 0.3}.items()
    }
    tracemalloc.start()
    standings, _ = compare(Judged(labels, predicted, {}, 5000), Compare(resamples=100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    for name, answers in predicted.items():
        found = standings[name].macro_f1
        assert found.value == pytest.approx(f1_score(labels, answers, average="macro"))
        assert found.value - 0.02 < found.low < found.value < found.high < found.value + 0.02


def test_the_intervals_cover_the_truth_as_often_as_they_say():
    """Of 95% intervals, 93% to 97% hold the true accuracy and the true difference, over simulated test splits."""
    rng = np.random.default_rng(0)
    accuracies, runs = {"a": 0.9, "b": 0.87}, 1000
    covered = {"a": 0, "b": 0, "difference": 0}
    for run in range(runs):
        labels = rng.integers(0, 2, 500)
        predicted = {name: flipped(labels, rng.random(500) > accuracy) for name, accuracy in accuracies.items()}
        standings, (pair,) = compare(judged(labels, predicted), Compare(resamples=400, seed=run))
        for name, accuracy in accuracies.items():
            covered[name] += standings[name].accuracy.low <= accuracy <= standings[name].accuracy.high
        truth = accuracies[pair.first] - accuracies[pair.second]
        covered["difference"] += pair.difference.low <= truth <= pair.difference.high
    assert all(0.93 <= count / runs <= 0.97 for count in covered.values()), covered


def trained(rng, difficulty, seeds, between_seeds):
    """Labels 0 and what runs of one recipe predict: by the document, by the seed, and by both."""
    shape = (seeds, len(difficulty))
    own = 0.7 * rng.standard_normal(shape) + between_seeds * rng.standard_normal((seeds, 1))
    return (1.6 + difficulty + own < 0).astype(int)


@pytest.mark.parametrize(
    ("seeds", "between_seeds"),
    [(3, 0.1), *(pytest.param(seeds, between, marks=pytest.mark.slow) for seeds in (2, 3, 5) for between in (0, 0.1))],
)
def test_the_intervals_of_several_seeds_cover_the_truth(seeds, between_seeds):
    """Of 95% intervals, 93% or more hold the truth about the recipes, of which they see but a few seeds."""
    rng = np.random.default_rng(0)
    truth = norm.cdf(1.6 / np.sqrt(1 + 0.7**2 + between_seeds**2))
    runs, labels = 400, np.zeros(500, int)
    covered = {"accuracy": 0, "difference": 0, "not shown": 0}
    for run in range(runs):
        shared = np.sqrt(0.5) * rng.standard_normal(500)
        by_seed = {
            name: trained(rng, shared + np.sqrt(0.5) * rng.standard_normal(500), seeds, between_seeds) for name in "ab"
        }
        models = {name: each[0] for name, each in by_seed.items()}
        standings, (pair,) = compare(judged(labels, models, by_seed), Compare(resamples=200, seed=run))
        covered["accuracy"] += standings["a"].accuracy.low <= truth <= standings["a"].accuracy.high
        covered["difference"] += pair.difference.low <= 0 <= pair.difference.high
        covered["not shown"] += not pair.shown
    assert all(count / runs >= 0.93 for count in covered.values()), covered


def test_a_variant_of_several_seeds_is_judged_by_their_mean(labels):
    by_seed = {"few": np.stack([flipped(labels, slice(0, wrong)) for wrong in (100, 120, 170)])}
    predicted = {"few": by_seed["few"][0], "one": flipped(labels, slice(0, 110))}
    standings, (pair,) = compare(judged(labels, predicted, by_seed), SETTINGS)
    few = standings["few"]
    assert few.accuracy.value == pytest.approx(0.87)
    assert (few.seeds.mean, few.seeds.std) == pytest.approx((0.87, 0.036056), abs=1e-6)
    assert few.seeds.runs == pytest.approx([0.9, 0.88, 0.83])
    assert few.accuracy.high - few.accuracy.low > 0.1  # by documents alone, 0.04
    assert few.macro_f1.value == pytest.approx(np.mean([f1_score(labels, p, average="macro") for p in by_seed["few"]]))
    assert standings["one"].seeds is None
    assert (pair.first, pair.difference.value) == ("one", pytest.approx(0.02))
    assert mcnemar(predicted["one"] == labels, by_seed["few"][1] == labels) < 0.05
    assert not pair.shown


def test_an_ensemble_is_judged_by_its_own_predictions(labels):
    by_seed = {"all": np.stack([flipped(labels, slice(start, start + 100)) for start in (0, 100, 200)])}
    standings, _ = compare(judged(labels, {"all": labels}, by_seed), SETTINGS)
    accuracy = standings["all"].accuracy
    assert (accuracy.value, standings["all"].seeds.mean) == (1, pytest.approx(0.9))
    assert accuracy.low < 1 == accuracy.high


def test_a_clear_difference_of_few_seeds_is_shown(labels):
    rng = np.random.default_rng(2)
    by_seed = {
        name: np.stack([flipped(labels, rng.random(1000) < wrong) for _ in range(3)])
        for name, wrong in {"good": 0.1, "bad": 0.2}.items()
    }
    _, (pair,) = compare(judged(labels, {name: each[0] for name, each in by_seed.items()}, by_seed), SETTINGS)
    assert str(pair).startswith("good is better than bad by ")


def test_one_seed_is_judged_as_without_seeds(labels):
    predicted = {"good": flipped(labels, slice(0, 100)), "bad": flipped(labels, slice(50, 250))}
    by_seed = {name: answers[None] for name, answers in predicted.items()}
    assert compare(judged(labels, predicted, by_seed), SETTINGS) == compare(judged(labels, predicted), SETTINGS)


def test_seeds_are_told_of_where_there_are_several(labels):
    by_seed = {"few": np.stack([flipped(labels, slice(0, wrong)) for wrong in (100, 120)])}
    predicted = {"few": by_seed["few"][0], "one": flipped(labels, slice(0, 10))}
    standings, pairs = compare(judged(labels, predicted, by_seed), SETTINGS)
    written = rounded({name: asdict(standing) for name, standing in standings.items()})
    assert written["few"]["seeds"] == {"mean": 0.89, "std": 0.0141421, "runs": [0.9, 0.88]}
    assert "seeds" not in written["one"]
    lines = describe_standings(standings, pairs, 0.95).splitlines()
    assert "      few                   0.8900  0.0141  0.9000 0.8800" in lines
    assert lines[-1] == str(pairs[0])
    assert lines[1].startswith("   1  one                   0.990 (0.98")


@pytest.fixture
def rare():
    """700 documents of class 0, which is the largest in train, and 300 of class 1."""
    return np.repeat([0, 1], [700, 300])


def test_a_variant_no_better_than_the_largest_class_is_called_that(rare):
    predicted = {
        "always": np.zeros(1000, int),
        "few": np.where(np.arange(1000) // 3 == 234, 1, 0),  # right about three, which chance gives as well
        "good": flipped(rare, slice(0, 100)),
        "worse": flipped(rare, slice(0, 600)),
    }
    majority = dict.fromkeys(predicted, 0)
    standings, _ = compare(Judged(rare, predicted, {}, 2, majority), SETTINGS)
    assert {name: standing.better_than_majority for name, standing in standings.items()} == {
        "good": True,
        "few": False,
        "always": False,
        "worse": False,  # though it differs
    }
    assert standings["few"].p_majority == pytest.approx(2 * binom.cdf(0, 3, 0.5))
    assert standings["worse"].p_majority < 1e-9
    lines = describe_standings(standings, [], 0.95, Majority.of("World", rare == 0)).splitlines()
    assert lines[1].startswith("   1  good ")
    assert "not shown" not in lines[1]
    assert lines[2].endswith("    not shown to be better than always answering World (70.0%)")


def test_the_test_against_the_majority_is_corrected_for_the_number_of_variants(rare):
    predicted = {name: np.zeros(1000, int) for name in "abcd"}
    for answers in predicted.values():
        answers[700:707] = 1  # seven of seven: p = 1/64, and four of those
    alone, _ = compare(Judged(rare, {"a": predicted["a"]}, {}, 2, {"a": 0}), SETTINGS)
    assert alone["a"].better_than_majority
    together, pairs = compare(Judged(rare, predicted, {}, 2, dict.fromkeys(predicted, 0)), SETTINGS)
    assert together["a"].p_majority == alone["a"].p_majority == pytest.approx(1 / 64)
    assert not any(standing.better_than_majority for standing in together.values())
    without, pairs_without = compare(Judged(rare, predicted, {}, 2), SETTINGS)
    assert pairs == pairs_without
    assert without["a"].accuracy == together["a"].accuracy  # what is drawn is the same
    assert without["a"].better_than_majority is None


def test_several_seeds_against_the_majority(rare):
    good = np.stack([flipped(rare, slice(start, start + 100)) for start in (0, 50, 100)])
    luck = np.stack([flipped(rare, slice(0, wrong)) for wrong in (0, 299, 580)])  # one seed is perfect, one is useless
    by_seed = {"good": good, "luck": luck}
    predicted = {name: each[0] for name, each in by_seed.items()}
    standings, _ = compare(Judged(rare, predicted, by_seed, 2, dict.fromkeys(by_seed, 0)), SETTINGS)
    assert standings["good"].better_than_majority
    assert standings["luck"].better_than_majority is False


def test_one_variant_beside_the_majority(rare):
    train = np.array([1, 0, 0])
    classes = ["World", "a\x1bb"]
    said = beside_majority("one", classes, train, rare, flipped(rare, slice(0, 100)))
    assert said == "always answering World (70.0%), the largest class of train, is the least that a model has to beat"
    said = beside_majority("one", classes, train[:1], rare, flipped(rare, slice(0, 699)))
    assert said == "one is not shown to be better than always answering a\\x1bb (30.0%)"
