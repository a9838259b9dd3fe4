"""Which variant is better, and how sure that is: intervals, paired differences and what they show.

All figures are of one test split that every variant predicted, so two variants are compared document by document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

BLOCK = 100
"""Resamples drawn at a time, to bound memory."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that its sampling error leaves."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """Where a variant stands.

    Attributes:
        accuracy, macro_f1: on the test split.
        rank: 1 plus the number of variants that are shown to be better.
    """

    accuracy: Estimate
    macro_f1: Estimate
    rank: int


@dataclass(frozen=True)
class Pair:
    """Two variants, the one with the higher accuracy first.

    Attributes:
        difference: of their accuracies.
        p: exact McNemar test, two-sided, that they err equally often.
        p_holm: the same, corrected for the number of pairs.
        shown: whether the corrected test shows a difference at the level asked for.
    """

    first: str
    second: str
    difference: Estimate
    p: float
    p_holm: float
    shown: bool

    def __str__(self) -> str:
        low, high = (100 * bound for bound in (self.difference.low, self.difference.high))
        points = f"{100 * self.difference.value:.1f} points ({low:.1f} to {high:.1f})"
        if self.shown:
            return f"{self.first} is better than {self.second} by {points}"
        return f"no difference shown between {self.first} and {self.second}: {points}"


def compare(
    labels: np.ndarray,
    predicted: dict[str, np.ndarray],
    n_classes: int,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[dict[str, Standing], list[Pair]]:
    """Compare variants' predictions, `int[n]` each, of documents with `labels: int[n]`.

    Intervals are percentiles of a bootstrap over documents, each resample shared by all variants. Differences are
    tested by McNemar's exact test, corrected by Holm's method, at level `1 - confidence`. Standings come best
    accuracy first, pairs in the order of the standings.
    """
    accuracy, macro_f1 = _bootstrap(labels, list(predicted.values()), n_classes, resamples, np.random.default_rng(seed))
    quantiles = [(1 - confidence) / 2, (1 + confidence) / 2]
    column = {name: index for index, name in enumerate(predicted)}
    correct = {name: answers == labels for name, answers in predicted.items()}
    names = sorted(predicted, key=lambda name: (-correct[name].mean(), name))

    pairs = list(combinations(names, 2))
    p_values = [mcnemar(correct[first], correct[second]) for first, second in pairs]
    results = []
    for (first, second), p, p_holm in zip(pairs, p_values, holm(p_values), strict=True):
        spread = np.quantile(accuracy[:, column[first]] - accuracy[:, column[second]], quantiles)
        difference = Estimate(float(correct[first].mean() - correct[second].mean()), *map(float, spread))
        results.append(Pair(first, second, difference, p, p_holm, p_holm < 1 - confidence))

    def estimate(value: float, samples: np.ndarray) -> Estimate:
        return Estimate(value, *map(float, np.quantile(samples, quantiles)))

    standings = {}
    for name in names:
        ones = np.ones((1, len(labels)))
        value = float(macro_f1_of(labels, predicted[name], ones, n_classes)[0])
        standings[name] = Standing(
            accuracy=estimate(float(correct[name].mean()), accuracy[:, column[name]]),
            macro_f1=estimate(value, macro_f1[:, column[name]]),
            rank=1 + sum(pair.shown and pair.second == name for pair in results),
        )
    return standings, results


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided p-value that two classifiers err equally often, from `bool[n]`, what each got right.

    Only the documents that one got right and the other wrong count: under the hypothesis each way has probability
    one half. Source: McNemar 1947, in the exact form of Dietterich 1998.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979), so that one false alarm among all is as rare as in one test."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1)
    return [float(p) for p in corrected]


def macro_f1_of(labels: np.ndarray, predicted: np.ndarray, times: np.ndarray, n_classes: int) -> np.ndarray:
    """Macro F1 of `int[n]` predictions, document i counted `times[r, i]` times: `float[r]` for `float[r, n]`.

    A class that is neither met nor predicted counts as 0, as in scikit-learn with `zero_division=0`.
    """
    right, met_or_predicted = np.zeros((n_classes, len(times))), np.zeros((n_classes, len(times)))
    is_right = labels == predicted
    np.add.at(right, labels[is_right], times.T[is_right])
    np.add.at(met_or_predicted, labels, times.T)
    np.add.at(met_or_predicted, predicted, times.T)
    f1: np.ndarray = (2 * right / np.maximum(met_or_predicted, 1)).mean(axis=0)
    return f1


def _bootstrap(
    labels: np.ndarray, predicted: list[np.ndarray], n_classes: int, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Resample documents: accuracy and macro F1, `float[resamples, variants]` each."""
    # Documents of the same class that got the same predictions are one kind; what matters is how often it is drawn.
    kinds, counts = np.unique(np.stack([labels, *predicted]), axis=1, return_counts=True)
    accuracy, macro_f1 = np.empty((resamples, len(predicted))), np.empty((resamples, len(predicted)))
    for start in range(0, resamples, BLOCK):
        times = rng.multinomial(len(labels), counts / len(labels), size=min(BLOCK, resamples - start))
        rows = slice(start, start + len(times))
        for variant, answers in enumerate(kinds[1:]):
            accuracy[rows, variant] = times[:, answers == kinds[0]].sum(axis=1) / len(labels)
            macro_f1[rows, variant] = macro_f1_of(kinds[0], answers, times, n_classes)
    return accuracy, macro_f1
