"""Figures that can be worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from flaxtext.evaluate.evaluation import calibration_error, confusion, describe_figures, evaluate, spread

CLASSES = ["a", "b", "c"]


def test_by_hand():
    probability = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]], np.float32)
    figures = evaluate(probability, np.array([0, 1, 1, 2]), CLASSES, bins=10)
    assert figures["accuracy"] == 0.75
    assert figures["loss"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.8]).mean(), abs=1e-6)
    assert figures["per_class"]["a"] == {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "support": 1}
    assert figures["per_class"]["b"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6)


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 500)
    labels = rng.integers(0, 3, 500)
    figures = evaluate(probability, labels, CLASSES, bins=15)
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
    assert calibration_error(probability, np.array([0, 1, 0, 0]), bins=10) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)


def test_calibration_error_of_honest_confidence_is_small():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    probability = np.stack([confidence, 1 - confidence], axis=1)
    labels = (rng.random(20_000) > confidence).astype(int)
    assert calibration_error(probability, labels, bins=15) < 0.02


def test_a_class_without_documents_or_predictions_scores_zero():
    figures = evaluate(np.array([[0.9, 0.1, 0.0]]), np.array([0]), CLASSES, bins=5)
    assert figures["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_certainty_in_a_wrong_class_has_a_finite_loss():
    assert np.isfinite(evaluate(np.array([[1.0, 0.0, 0.0]]), np.array([1]), CLASSES, bins=5)["loss"])


def test_the_tables_name_each_class():
    probability, labels = np.eye(3)[[0, 1]], np.array([0, 2])
    text = describe_figures(evaluate(probability, labels, CLASSES, bins=5), confusion(np.array([0, 1]), labels, 3))
    assert [line.split() for line in text.splitlines()[:2]] == [
        ["precision", "recall", "f1", "support"],
        ["a", "1.000", "1.000", "1.000", "1"],
    ]
    assert [line.split() for line in text.splitlines()[-3:]] == [list("a100"), list("b000"), list("c010")]


def test_the_spread_of_seeds_by_hand():
    assert spread(np.array([0.9, 0.88, 0.83])) == {"mean": 0.87, "std": 0.036056, "runs": [0.9, 0.88, 0.83]}
