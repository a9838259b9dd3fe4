"""How good answers are: accuracy, F1, loss, calibration, and the tables that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flaxtext.artifacts.predictions import Answers
from flaxtext.core.printable import LENGTH, SHOWN, visible

MANY_CLASSES = 100
"""Up to so many classes, the figures of each are among a variant's metrics."""
WORST = 10
"""Of more classes, those of so many are, the worst; and so many confusions are told where a matrix would be large."""

OTHERS = "(another class)"


class Confusion(NamedTuple):
    """Documents of a class that were put into another: both as indices, how many, and which fraction of their class."""

    true: int
    predicted: int
    documents: int
    fraction: float


@dataclass(frozen=True)
class ClassScores:
    """Figures of each class; a score that is undefined is 0.

    Attributes:
        precision, recall, f1: float64[classes].
        support: int64[classes]; its documents.
        predicted: int64[classes]; the documents that were put into it.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, predicted: np.ndarray, labels: np.ndarray, n_classes: int) -> "ClassScores":
        """Judge `int32[n]` against `int32[n]`."""
        right = np.bincount(labels[predicted == labels], minlength=n_classes)
        support, put = (np.bincount(numbers, minlength=n_classes) for numbers in (labels, predicted))
        precision, recall = right / np.maximum(put, 1), right / np.maximum(support, 1)
        return cls(precision, recall, 2 * right / np.maximum(support + put, 1), support, put)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur or are predicted, as in scikit-learn."""
        return float(self.f1[(self.support + self.predicted) > 0].mean())

    def worst(self, limit: int) -> list[int]:
        """Choose classes that have documents: those of the lowest F1, of these the largest first."""
        order = np.lexsort((-self.support, self.f1))
        return [int(code) for code in order if self.support[code]][:limit]

    def of_class(self, code: int) -> dict[str, float]:
        """Precision, recall and F1, rounded to six digits, and support, of one class."""
        figures = {name: _round(getattr(self, name)[code]) for name in ("precision", "recall", "f1")}
        return {**figures, "support": int(self.support[code])}


def evaluate(answers: Answers, labels: np.ndarray, classes: list[str], bins: int) -> dict[str, Any]:
    """Judge answers against `labels: int32[n]`; plain floats, rounded to six digits.

    Each class is told of by name under `per_class`; where they are more than 100, the ten worst, under `worst_classes`.
    """
    scores = ClassScores.of(answers.predicted, labels, len(classes))
    few = len(classes) <= MANY_CLASSES
    told = range(len(classes)) if few else scores.worst(WORST)
    return {
        "accuracy": _round((answers.predicted == labels).mean()),
        "macro_f1": _round(scores.macro_f1),
        "loss": _round(cross_entropy(answers.label_probability)),
        "ece": _round(calibration_error(answers.confidence, answers.predicted == labels, bins)),
        "per_class" if few else "worst_classes": {classes[code]: scores.of_class(code) for code in told},
    }


def confusion(predicted: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Count documents by true class (rows) and predicted class (columns): `int64[n_classes, n_classes]`."""
    pairs = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def worst_confusions(predicted: np.ndarray, labels: np.ndarray, limit: int) -> list[Confusion]:
    """Find the pairs of classes that are confused most often, those first that take more of the true class."""
    wrong = predicted != labels
    pairs, counts = np.unique(np.stack([labels[wrong], predicted[wrong]]), axis=1, return_counts=True)
    support = np.bincount(labels)
    fractions = counts / support[pairs[0]]
    order = np.lexsort((-fractions, -counts))[:limit]
    columns = (pairs[0][order], pairs[1][order], counts[order], fractions[order])
    return [Confusion(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def drawn_pairs(predicted: np.ndarray, labels: np.ndarray, classes: list[str]) -> list[tuple[str, str]]:
    """Name true and predicted class of the documents that a picture of a confusion matrix shows.

    Of more than 100 classes, these are the documents of the classes that are confused most often, and what was put
    into any other class has the one name `OTHERS`; so rows still add up to all documents of a class.
    """
    names = np.array(classes, object)
    if len(classes) > MANY_CLASSES:
        found = worst_confusions(predicted, labels, WORST)
        shown = np.isin(np.arange(len(classes)), [code for pair in found for code in (pair.true, pair.predicted)])
        which = shown[labels]
        predicted, labels = predicted[which], labels[which]
        return list(zip(names[labels], np.where(shown[predicted], names[predicted], OTHERS), strict=True))
    return list(zip(names[labels], names[predicted], strict=True))


def cross_entropy(label_probability: np.ndarray) -> float:
    """Mean negative log-likelihood per document, in nats, from `float32[n]`."""
    likelihood = label_probability.astype(np.float64)
    return float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean())


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Expected calibration error: the gap between confidence and accuracy in bins of equal width, averaged.

    `confidence: float32[n]` and `correct: bool[n]` are of the predicted classes.
    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    confidence = confidence.astype(np.float64)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, correct, bins) - np.bincount(which, confidence, bins)
    return float(np.abs(gaps).sum() / len(correct))


def describe_figures(predicted: np.ndarray, labels: np.ndarray, classes: list[str]) -> str:
    """Lay out each class's figures and the confusion matrix for the terminal; of many classes, what is worst."""
    scores = ClassScores.of(predicted, labels, len(classes))
    names = [visible(name, LENGTH) for name in classes]
    few = len(classes) <= SHOWN
    told = range(len(classes)) if few else scores.worst(WORST)
    figures = [
        [names[code], *(f"{column[code]:.3f}" for column in (scores.precision, scores.recall, scores.f1)), str(support)]
        for code in told
        for support in [scores.support[code]]
    ]
    table = _grid([["", "precision", "recall", "f1", "support"], *figures])
    if few:
        matrix = confusion(predicted, labels, len(classes)).tolist()
        counts = [[name, *map(str, row)] for name, row in zip(names, matrix, strict=True)]
        return f"{table}\n\nConfusion matrix (rows: true class, columns: predicted)\n{_grid([['', *names], *counts])}"
    text = f"The {len(told)} of {len(classes):,} classes with the lowest F1\n{table}"
    if found := worst_confusions(predicted, labels, WORST):
        pairs = [
            [f"{names[pair.true]} -> {names[pair.predicted]}", str(pair.documents), f"{pair.fraction:.0%}"]
            for pair in found
        ]
        heads = ["true class -> predicted class", "documents", "of the class"]
        text += f"\n\nThe most frequent confusions\n{_grid([heads, *pairs])}"
    return text


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
