"""Figures that can be worked out by hand."""

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from flaxtext.artifacts.predictions import Answers
from flaxtext.evaluate.evaluation import (
    OTHERS,
    calibration_error,
    confusion,
    describe_figures,
    drawn_pairs,
    evaluate,
    spread,
    worst_confusions,
)

CLASSES = ["a", "b", "c"]


def judge(probability, labels, bins):
    return evaluate(Answers.of(probability, labels), labels, CLASSES, bins)


def test_by_hand():
    probability = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]], np.float32)
    figures = judge(probability, np.array([0, 1, 1, 2]), bins=10)
    assert figures["accuracy"] == 0.75
    assert figures["loss"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.8]).mean(), abs=1e-6)
    assert figures["per_class"]["a"] == {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "support": 1}
    assert figures["per_class"]["b"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6)


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 500)
    labels = rng.integers(0, 3, 500)
    figures = judge(probability, labels, bins=15)
    predicted = probability.argmax(axis=1)
    assert figures["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-6)
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-6)
    assert figures["loss"] == pytest.approx(log_loss(labels, probability), abs=1e-6)
    columns = precision_recall_fscore_support(labels, predicted)
    expected = [dict(zip(("precision", "recall", "f1", "support"), row, strict=True)) for row in np.transpose(columns)]
    assert list(figures["per_class"].values()) == [pytest.approx(row, abs=1e-6) for row in expected]
    assert np.array_equal(confusion(predicted, labels, 3), confusion_matrix(labels, predicted))


def test_calibration_error_by_hand():
    """Two bins: confidence 0.6 right in half of the cases, confidence 0.9 always right."""
    probability = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]])
    correct = np.array([True, False, True, True])
    assert calibration_error(probability.max(axis=1), correct, bins=10) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)


def test_calibration_error_of_honest_confidence_is_small():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    assert calibration_error(confidence, rng.random(20_000) < confidence, bins=15) < 0.02


def test_a_class_without_documents_or_predictions_scores_zero_and_is_not_in_the_mean():
    figures = judge(np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0]]), np.array([0, 0]), bins=5)
    assert figures["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    expected = f1_score([0, 0], [0, 1], average="macro", zero_division=0)  # of a, and of b, which was predicted
    assert figures["macro_f1"] == pytest.approx(expected, abs=1e-6)


def test_certainty_in_a_wrong_class_has_a_finite_loss():
    assert np.isfinite(judge(np.array([[1.0, 0.0, 0.0]]), np.array([1]), bins=5)["loss"])


def test_the_tables_name_each_class():
    text = describe_figures(np.array([0, 1]), np.array([0, 2]), CLASSES)
    assert [line.split() for line in text.splitlines()[:2]] == [
        ["precision", "recall", "f1", "support"],
        ["a", "1.000", "1.000", "1.000", "1"],
    ]
    assert [line.split() for line in text.splitlines()[-3:]] == [list("a100"), list("b000"), list("c010")]


def many(wrong, n_classes=300):
    """Labels, two of each class, and what was predicted: right except for `wrong`, document -> class."""
    labels = np.arange(2 * n_classes) // 2
    predicted = labels.copy()
    predicted[list(wrong)] = list(wrong.values())
    return predicted, labels, [f"c{number}" for number in range(n_classes)]


def test_the_classes_that_are_confused_most_by_hand():
    predicted, labels, _ = many({0: 7, 1: 7, 4: 9, 10: 11, 11: 12})
    assert worst_confusions(predicted, labels, 3) == [(0, 7, 2, 1.0), (2, 9, 1, 0.5), (5, 11, 1, 0.5)]
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    assert worst_confusions(np.array([0, 1, 1, 0, 0, 1, 1, 2]), labels, 9) == [(0, 1, 2, 2 / 3), (1, 0, 2, 0.5)]
    assert worst_confusions(labels, labels, 9) == []


def test_of_many_classes_the_worst_are_told():
    predicted, labels, classes = many({0: 7, 1: 7, 4: 9})
    probability = np.eye(300)[predicted]
    figures = evaluate(Answers.of(probability, labels), labels, classes, bins=5)
    assert "per_class" not in figures
    assert list(figures["worst_classes"]) == ["c0", "c2", "c7", "c9", "c1", "c3", "c4", "c5", "c6", "c8"]
    assert figures["worst_classes"]["c7"] == {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "support": 2}
    assert figures["accuracy"] == pytest.approx(597 / 600)
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-6)
    lines = describe_figures(predicted, labels, classes).splitlines()
    assert lines[0] == "The 10 of 300 classes with the lowest F1"
    assert lines[2].split() == ["c0", "0.000", "0.000", "0.000", "2"]
    assert [line.split() for line in lines[-2:]] == [["c0", "->", "c7", "2", "100%"], ["c2", "->", "c9", "1", "50%"]]
    assert len(lines) == 17
    assert "confusions" not in describe_figures(labels, labels, classes)


def test_the_picture_of_a_confusion_matrix_has_few_classes():
    assert drawn_pairs(np.array([0, 1]), np.array([0, 2]), CLASSES) == [("a", "a"), ("c", "b")]
    predicted, labels, classes = many({0: 7, 1: 8, 4: 9})
    assert drawn_pairs(predicted, labels, classes)[:4] == [("c0", "c7"), ("c0", "c8"), ("c2", "c9"), ("c2", "c2")]
    wrong = {2 * code: code + 100 for code in range(10)}  # as many pairs as are drawn
    found = drawn_pairs(*many(wrong | {19: 290}))
    assert len(found) == 2 * (10 + 10)
    assert found[:2] == [("c0", "c100"), ("c0", "c0")]
    assert found[18:20] == [("c9", "c109"), ("c9", OTHERS)]


def test_five_thousand_classes_take_little_time_and_memory():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5000, 20_000)
    predicted = np.where(rng.random(20_000) < 0.3, rng.integers(0, 5000, 20_000), labels)
    tracemalloc.start()
    describe_figures(predicted, labels, list(map(str, range(5000))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_the_spread_of_seeds_by_hand():
    assert spread(np.array([0.9, 0.88, 0.83])) == {"mean": 0.87, "std": 0.036056, "runs": [0.9, 0.88, 0.83]}
