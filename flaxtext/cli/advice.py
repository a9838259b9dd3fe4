"""Which variant to take, from what all of them answered on validation; never from test.

The rule is that of one standard error (Breiman et al. 1984, Classification and Regression Trees, 3.4.3), here of the
paired difference: among those within one of the best, the simplest, which is linear, or else has fewest parameters.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flaxtext.compare.majority import LEVEL, Majority
from flaxtext.compare.significance import mcnemar
from flaxtext.core.printable import percent

ENOUGH_VALIDATION = 50
"""Validation documents, below which a choice by them is hardly better than none."""
ENOUGH_TRAIN = 2000
"""Training documents, below which more of them, or pretrained vectors, do more than the choice of a variant."""
MOST_VALIDATION = 0.3
"""Fraction of train that is worth holding out, at most."""


@dataclass(frozen=True)
class Candidate:
    """What a variant answered on validation.

    Attributes:
        right: `float64[n]`, whether it got a document right, 0 or 1; of several seeds, the fraction of them that did.
        between_seeds: the variance of its accuracy that comes of the choice of seeds; 0 where it has one.
        parameters: their number.
        linear: whether it is the linear model.
    """

    right: np.ndarray
    between_seeds: float
    parameters: int
    linear: bool

    @property
    def accuracy(self) -> float:
        """Fraction of the documents that it got right."""
        return float(self.right.mean())


@dataclass(frozen=True)
class Judgement:
    """How a variant stands on validation.

    Attributes:
        accuracy: fraction of the documents that it got right.
        parameters: their number.
        behind: how much lower its accuracy is than the best one's.
        standard_error: of that difference; 0 for the best.
        better_than_majority: whether McNemar's test shows it to be better than the majority.
    """

    accuracy: float
    parameters: int
    behind: float
    standard_error: float
    better_than_majority: bool

    @property
    def is_as_good(self) -> bool:
        """Whether it is within one standard error of the best."""
        return self.behind <= self.standard_error


@dataclass(frozen=True)
class Advice:
    """Which variant to take.

    Attributes:
        variant: its name; None where none is shown to be better than the majority, or nothing is there to choose by.
        says: that, and why, in two sentences at most.
        hints: what would help, a sentence each.
        documents: of validation.
        majority: what always answering train's largest class gets on them; None where there are none.
        variants: how each stands, best first.
    """

    variant: str | None
    says: str
    hints: list[str]
    documents: int
    majority: Majority | None
    variants: dict[str, Judgement]


NO_VALIDATION = Advice(
    variant=None,
    says="There are no validation documents to choose by, and the test split is not for choosing. "
    "Set vectorize.validation: 0.05 and train.validation_from: train, and run again.",
    hints=[],
    documents=0,
    majority=None,
    variants={},
)


def choose(
    candidates: Mapping[str, Candidate],
    largest: str,
    majority_right: np.ndarray,
    *,
    train_documents: int,
    has_vectors: bool,
) -> Advice:
    """Choose among variants by their answers on the same validation documents.

    Args:
        candidates: by name, at least one.
        largest: the name of train's largest class.
        majority_right: `bool[n]`, which documents are of it; at least one document.
        train_documents: those that the variants learned from.
        has_vectors: whether pretrained word vectors are in use.
    """
    n, majority = len(majority_right), Majority.of(largest, majority_right)

    def complexity(name: str) -> tuple[bool, int]:
        return not candidates[name].linear, candidates[name].parameters

    better = {name: _is_better(own.right, majority_right) for name, own in candidates.items()}
    names = sorted(candidates, key=lambda name: (not better[name], -candidates[name].accuracy, complexity(name)))
    best = names[0]
    judged = {name: _judge(candidates[name], candidates[best], better[name]) for name in names}
    hints = _hints(n, train_documents, has_vectors)
    if not better[best]:
        says = (
            f"No variant is shown to be better than {majority} on the {n:,} validation documents; the best, {best}, "
            f"gets {percent(judged[best].accuracy)} of them right. "
            "More labelled documents, or correct labels (data/checks/findings.csv lists doubtful ones), would do more "
            "than a choice between them."
        )
        return Advice(None, says, hints, n, majority, judged)
    as_good = [name for name in names if judged[name].is_as_good and judged[name].better_than_majority]
    chosen = min(as_good, key=complexity)
    others = [name for name in names if name != chosen]
    beside = [name for place, name in enumerate(others) if not place or candidates[name].linear]
    figures = [f"{name} {percent(judged[name].accuracy)}" for name in beside]
    figures.append(f"{majority.answer} {percent(majority.accuracy)}")
    says = (
        f"Take {chosen}: it gets {percent(judged[chosen].accuracy)} of the {n:,} validation documents right, "
        f"{_listed(figures)}. "
    )
    return Advice(chosen, says + _reason(chosen, names, as_good, judged, candidates), hints, n, majority, judged)


def _is_better(right: np.ndarray, majority_right: np.ndarray) -> bool:
    """Tell whether McNemar's test shows that answers are better than always the same."""
    gain = right - majority_right
    return bool(gain.mean() > 0 and mcnemar(gain > 0, gain < 0) < LEVEL)


def _judge(own: Candidate, best: Candidate, is_better: bool) -> Judgement:
    """Compare one variant with the best, document by document."""
    difference = best.right - own.right
    # As if the two were equally good: otherwise a difference of a single document would seem to be certain.
    variance = float(np.square(difference).sum()) / len(difference) ** 2
    is_best = own is best
    error = 0.0 if is_best else math.sqrt(variance + own.between_seeds + best.between_seeds)
    return Judgement(
        accuracy=own.accuracy,
        parameters=own.parameters,
        behind=float(difference.mean()),
        standard_error=error,
        better_than_majority=is_better,
    )


def _reason(
    chosen: str,
    names: list[str],
    as_good: list[str],
    judged: Mapping[str, Judgement],
    candidates: Mapping[str, Candidate],
) -> str:
    """Say in one sentence why `chosen` of `names`, the best of which comes first."""
    best = names[0]
    own = judged[chosen]
    if len(names) == 1:
        return "No other variant has been trained to compare it with."
    if chosen != best:
        simpler = "is linear" if candidates[chosen].linear else f"has {own.parameters:,} parameters"
        beside = "" if candidates[chosen].linear else f", {best} {judged[best].parameters:,}"
        return (
            f"The {_points(own.behind)} that {best} is ahead are within one standard error "
            f"({_points(own.standard_error)}), and {chosen} is simpler: it {simpler}{beside}."
        )
    if len(as_good) > 1:
        error = max(judged[name].standard_error for name in as_good)
        verb = "is" if len(as_good) == 2 else "are"
        return (
            f"{_listed([name for name in as_good if name != chosen])} {verb} as good within one standard error "
            f"({_points(error)}), but not simpler."
        )
    second = judged[names[1]]
    seed = "" if candidates[chosen].between_seeds or candidates[chosen].linear else "; another seed may move it, too"
    return (
        f"The next, {names[1]}, is {_points(second.behind)} behind, and one standard error of that is "
        f"{_points(second.standard_error)}{seed}."
    )


def _hints(validation: int, train: int, has_vectors: bool) -> list[str]:
    hints = []
    if validation < ENOUGH_VALIDATION:
        share = math.ceil(100 * ENOUGH_VALIDATION / (validation + train)) / 100
        raising = f"vectorize.validation: {share:g} would hold out {ENOUGH_VALIDATION}"
        remedy = raising if share <= MOST_VALIDATION else "label more documents"
        hints.append(f"So few validation documents ({validation:,}) say little: {remedy}.")
    if train < ENOUGH_TRAIN:
        glove = (
            ", and of English texts pretrained vectors may (build_vocab.vectors: glove, variants.NAME.pretrained: true)"
        )
        hints.append(f"With {train:,} documents to train on, more labels help most{'' if has_vectors else glove}.")
    return hints


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _points(difference: float) -> str:
    return f"{100 * difference:.1f} points"
