"""The simplest answer there is, always the class that is largest in train, and whether a variant is any better."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from flaxtext.compare.significance import mcnemar
from flaxtext.core.printable import LENGTH, visible

LEVEL = 0.05
"""Of the test of one variant alone."""


@dataclass(frozen=True)
class Majority:
    """What always answering the largest class of train gets.

    Attributes:
        label: the name of that class; of several as large, the first.
        accuracy: on the documents in question.
    """

    label: str
    accuracy: float

    @classmethod
    def of(cls, label: str, right: np.ndarray) -> "Majority":
        """Judge the answer `label`, which is `right: bool[n]`."""
        return cls(label, float(right.mean()))

    @property
    def answer(self) -> str:
        """What it does, in words."""
        return f"always answering {visible(self.label, LENGTH)}"

    @property
    def figures(self) -> dict[str, Any]:
        """What files and JSON say of it."""
        return {"class": self.label, "accuracy": self.accuracy}

    def __str__(self) -> str:
        return f"{self.answer} ({self.accuracy:.1%})"

    def no_better(self, variant: str) -> str:
        """Say that a variant is not shown to be better."""
        return f"{variant} is not shown to be better than {self}"


def beside_majority(
    variant: str, classes: list[str], train_labels: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> str:
    """Say on one line what always answering train's largest class gets, and whether one variant is shown to be better.

    Its test is McNemar's, uncorrected: `comparison.compare`, which tests all variants, may call more of them no better.

    Args:
        variant: its name.
        classes: the class names; labels and predictions are indices into them.
        train_labels: `int[k]`.
        labels: `int[n]`, of the test split.
        predicted: `int[n]`, by the variant.
    """
    largest = int(np.bincount(train_labels, minlength=len(classes)).argmax())
    majority = Majority.of(classes[largest], labels == largest)
    right = predicted == labels
    shown = right.mean() > majority.accuracy and mcnemar(right, labels == largest) < LEVEL
    if not shown:
        return majority.no_better(variant)
    return f"{majority}, the largest class of train, is the least that a model has to beat"
