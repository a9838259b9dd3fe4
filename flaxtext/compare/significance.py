"""Tests of whether two classifiers differ, and their correction for many tests."""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr  # scipy.stats would be half a second to import


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided p-value that two classifiers err equally often, from `bool[n]`, what each got right.

    Only the documents that one got right and the other wrong count: under the hypothesis each way has probability
    one half. Source: McNemar 1947, in the exact form of Dietterich 1998.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return min(1.0, float(2 * bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979), so that one false alarm among all is as rare as in one test."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1)
    return [float(p) for p in corrected]
