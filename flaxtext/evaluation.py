"""How good predictions are: accuracy, F1, loss, calibration, and the tables that show it."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report, confusion_matrix, precision_recall_fscore_support


def evaluate(probability: np.ndarray, labels: np.ndarray, classes: list[str], bins: int) -> dict[str, Any]:
    """Judge `float32[n, classes]` against `int32[n]`; plain floats, rounded to six digits.

    A class without documents, or never predicted, scores zero where a score is undefined.
    """
    predicted = probability.argmax(axis=1)
    columns = precision_recall_fscore_support(labels, predicted, labels=range(len(classes)), zero_division=0)
    per_class = {
        name: {"precision": _round(p), "recall": _round(r), "f1": _round(f), "support": int(support)}
        for name, p, r, f, support in zip(classes, *columns, strict=True)
    }
    return {
        "accuracy": _round((predicted == labels).mean()),
        "macro_f1": _round(columns[2].mean()),
        "loss": _round(cross_entropy(probability, labels)),
        "ece": _round(calibration_error(probability, labels, bins)),
        "per_class": per_class,
    }


def cross_entropy(probability: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood a document, in nats."""
    likelihood = probability[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean())


def calibration_error(probability: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Expected calibration error: the gap between confidence and accuracy in bins of equal width, averaged.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    confidence = probability.max(axis=1).astype(np.float64)
    correct = probability.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, correct, bins) - np.bincount(which, confidence, bins)
    return float(np.abs(gaps).sum() / len(labels))


def report(predicted: np.ndarray, labels: np.ndarray, classes: list[str]) -> str:
    """Lay out scikit-learn's classification report and the confusion matrix for the terminal."""
    indices = range(len(classes))
    table = classification_report(labels, predicted, labels=indices, target_names=classes, digits=3, zero_division=0)
    matrix = pd.DataFrame(confusion_matrix(labels, predicted, labels=indices), classes, classes)
    return f"{table}\nConfusion matrix (rows: true class, columns: predicted)\n{matrix.to_string()}"


def _round(value: float) -> float:
    return round(float(value), 6)
