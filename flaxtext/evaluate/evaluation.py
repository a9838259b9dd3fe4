"""How good predictions are: accuracy, F1, loss, calibration, and the tables that show it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flaxtext.core.printable import LENGTH, visible


def evaluate(probability: np.ndarray, labels: np.ndarray, classes: list[str], bins: int) -> dict[str, Any]:
    """Judge `float32[n, classes]` against `int32[n]`; plain floats, rounded to six digits.

    A class without documents, or never predicted, scores zero where a score is undefined.
    """
    predicted = probability.argmax(axis=1)
    matrix = confusion(predicted, labels, len(classes))
    right, support = matrix.diagonal(), matrix.sum(axis=1)
    columns = {
        "precision": right / np.maximum(matrix.sum(axis=0), 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(support + matrix.sum(axis=0), 1),
    }
    return {
        "accuracy": _round((predicted == labels).mean()),
        "macro_f1": _round(columns["f1"].mean()),
        "loss": _round(cross_entropy(probability, labels)),
        "ece": _round(calibration_error(probability, labels, bins)),
        "per_class": {
            name: {**{figure: _round(column[row]) for figure, column in columns.items()}, "support": int(support[row])}
            for row, name in enumerate(classes)
        },
    }


def confusion(predicted: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Count documents by true class (rows) and predicted class (columns): `int64[n_classes, n_classes]`."""
    pairs = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


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


def describe_figures(figures: dict[str, Any], matrix: np.ndarray) -> str:
    """Lay out what `evaluate` and `confusion` return for the terminal."""
    per_class = figures["per_class"]
    names = [visible(name, LENGTH) for name in per_class]
    scores = [
        [name, *(f"{row[figure]:.3f}" for figure in ("precision", "recall", "f1")), str(row["support"])]
        for name, row in zip(names, per_class.values(), strict=True)
    ]
    counts = [[name, *map(str, row)] for name, row in zip(names, matrix.tolist(), strict=True)]
    return (
        f"{_grid([['', 'precision', 'recall', 'f1', 'support'], *scores])}\n\n"
        f"Confusion matrix (rows: true class, columns: predicted)\n{_grid([['', *names], *counts])}"
    )


def spread(accuracy: np.ndarray) -> dict[str, Any]:
    """Describe the test accuracies of several seeds, `float[seeds]`."""
    figures = {"mean": accuracy.mean(), "std": accuracy.std(ddof=1)}
    return {**{name: _round(value) for name, value in figures.items()}, "runs": accuracy.round(6).tolist()}


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """Align the first column to the left, all others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    )


def _round(value: float) -> float:
    return round(float(value), 6)
