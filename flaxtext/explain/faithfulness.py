"""Are explanations true? How far words that are said to matter do matter to the classifier, over many documents.

Comprehensiveness is what the probability of the predicted class loses when the weightiest words are taken out, and
sufficiency what it loses when only they are kept; each averaged over fractions of the document's tokens (the area over
the perturbation curve). A true explanation has much of the first and little of the second, and differs from random
words in both. Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models (ACL 2020), averaged
over the bins as the benchmark's own code does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flaxtext.artifacts.importance import MOST_CLASSES, Importance
from flaxtext.core.parallel import ordered_map
from flaxtext.core.ranking import highest
from flaxtext.explain.explanation import (
    BLOCK_DOCUMENTS,
    BLOCK_ROWS,
    Contributions,
    Explanation,
    Ids,
    explain_together,
    one_blas_thread,
    predict_shortened,
)

Predict = Callable[[Ids], NDArray[np.float32]]
Scores = Sequence[NDArray[np.float64]]

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Fractions of a document's tokens, ERASER's; of less than one token, one is taken."""

RANDOM_ORDERS = 10
TOP_WORDS = 5

BLOCK_WEIGHTS = 2**22
"""Weights of words in documents that are averaged at a time, all classes counted."""


@dataclass(frozen=True)
class Document:
    """A document as a classifier reads it: its words and their ids, `int32[n_tokens]`, 0 for an unknown word."""

    row: int
    tokens: list[str]
    ids: Ids

    def reach(self, max_len: int) -> int:
        """Count the known tokens that reach the classifier."""
        return min(int(np.count_nonzero(self.ids)), max_len)


@dataclass(frozen=True)
class FaithfulnessScores:
    """How true one method's explanations are, a figure per document: both `float64[n]`."""

    comprehensiveness: NDArray[np.float64]
    sufficiency: NDArray[np.float64]


@dataclass(frozen=True)
class Lime:
    """LIME's answer for one document: the weight of each distinct word, and the R2 of the linear model."""

    weights: dict[str, float]
    score: float

    def top(self) -> set[str]:
        """Return the weightiest words, by absolute weight."""
        return set(sorted(self.weights, key=lambda word: -abs(self.weights[word]))[:TOP_WORDS])


def judge(
    documents: Sequence[Document],
    found: Sequence[Contributions],
    predict: Predict,
    *,
    max_len: int,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Compare LIME, and leaving words out, with random words, on the class predicted; figures rounded to six digits.

    `found` is what `leave_one_out` found in the `documents`, each of which holds a known word. LIME's `fit` is the
    mean R2 of its linear models, its `stability` the fraction of weightiest words that two seeds agree on.
    `lime_over_random` is by how much LIME is better, with the 95% interval over documents.
    """
    labels = np.array([one.probabilities.argmax() for one in found], np.int32)
    first, second = (
        lime(documents, predict, labels, max_len=max_len, samples=samples, seed=seed + offset) for offset in (0, 1)
    )
    ours = measure_faithfulness(documents, scores_of_words(documents, first, max_len), labels, predict, max_len)
    exact_scores = scores_of_contributions(documents, found, labels, max_len)
    exact = measure_faithfulness(documents, exact_scores, labels, predict, max_len)
    chance = random_words(documents, labels, predict, max_len, np.random.default_rng(seed))
    fit = {"fit": _mean([one.score for one in first]), "stability": _mean(agreement(first, second))}
    return {
        "documents": len(documents),
        "lime": _means(ours) | fit,
        "leave_one_out": _means(exact),
        "random": _means(chance),
        "lime_over_random": {
            "comprehensiveness": _interval(ours.comprehensiveness - chance.comprehensiveness),
            "sufficiency": _interval(chance.sufficiency - ours.sufficiency),
        },
    }


def lime(
    documents: Sequence[Document], predict: Predict, labels: Ids, *, max_len: int, samples: int, seed: int
) -> list[Lime]:
    """Explain class `labels[i]` of each document by LIME, all its words weighed.

    Another document changes nothing beyond the rounding of probabilities.
    """

    def work(block: Sequence[tuple[Document, int]]) -> list[Lime]:
        explanations = explain_together(
            [(each.tokens, each.ids, [label], np.random.default_rng([seed, each.row])) for each, label in block],
            predict,
            max_len=max_len,
            samples=samples,
            words=max(len(each.tokens) for each, _ in block),
        )
        return [_as_lime(explanation) for explanation in explanations]

    pairs = list(zip(documents, labels.tolist(), strict=True))
    size = max(1, BLOCK_ROWS // samples)
    with one_blas_thread():  # which each document asks for, but only until it is done
        blocks = ordered_map(work, (pairs[start : start + size] for start in range(0, len(pairs), size)))
        return [one for block in blocks for one in block]


def measure_faithfulness(
    documents: Sequence[Document], scores: Scores, labels: Ids, predict: Predict, max_len: int
) -> FaithfulnessScores:
    """Take the highest-scored tokens out of each document, then all others, and ask the classifier about `labels`.

    `scores[i]` holds a number for each known token that reaches the classifier, higher for a token that speaks for
    class `labels[i]`.
    """
    losses = [
        _losses(documents[block], scores[block], labels[block], predict, max_len)
        for block in (slice(start, start + BLOCK_DOCUMENTS) for start in range(0, len(documents), BLOCK_DOCUMENTS))
    ]
    comprehensiveness, sufficiency = np.concatenate(losses).T
    return FaithfulnessScores(comprehensiveness, sufficiency)


def random_words(
    documents: Sequence[Document], labels: Ids, predict: Predict, max_len: int, rng: np.random.Generator
) -> FaithfulnessScores:
    """Measure what random orders of the tokens would score, averaged over `RANDOM_ORDERS` of them."""
    draws = [
        measure_faithfulness(documents, [rng.random(d.reach(max_len)) for d in documents], labels, predict, max_len)
        for _ in range(RANDOM_ORDERS)
    ]
    return FaithfulnessScores(
        np.mean([draw.comprehensiveness for draw in draws], axis=0),
        np.mean([draw.sufficiency for draw in draws], axis=0),
    )


def scores_of_words(documents: Sequence[Document], lime: Sequence[Lime], max_len: int) -> Scores:
    """Give each known token that reaches the classifier the weight of its word."""
    return [
        np.array([one.weights.get(t, 0.0) for t, id_ in zip(d.tokens, d.ids, strict=True) if id_][: d.reach(max_len)])
        for d, one in zip(documents, lime, strict=True)
    ]


def scores_of_contributions(
    documents: Sequence[Document], found: Sequence[Contributions], labels: Ids, max_len: int
) -> Scores:
    """Give each known token that reaches the classifier what leaving its word out takes from class `labels[i]`."""
    scores = []
    for document, one, label in zip(documents, found, labels.tolist(), strict=True):
        weights = dict(zip(one.word_ids.tolist(), one.weights[:, label].tolist(), strict=True))
        tokens = document.ids[document.ids != 0][: document.reach(max_len)]
        scores.append(np.array([weights[id_] for id_ in tokens.tolist()], np.float64))
    return scores


def agreement(first: Sequence[Lime], second: Sequence[Lime]) -> list[float]:
    """Fraction of the weightiest words of one seed that another names too, one figure per document."""
    return [len(a.top() & b.top()) / max(len(a.top()), 1) for a, b in zip(first, second, strict=True)]


def importance_of_words(found: Sequence[Contributions], words: pa.Array) -> Importance:
    """Average over documents what each word adds to the classes that it moves most; weightiest words first.

    `words` are those of the vocabulary, by id from 1. A document without the word adds nothing; a word that no document
    holds is left out.
    """
    ids = np.concatenate([one.word_ids for one in found])
    places = [(one.weights, place) for one in found for place in range(len(one.word_ids))]
    order = np.argsort(ids, kind="stable")
    held, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    n_classes = found[0].weights.shape[1]
    kept = min(MOST_CLASSES, n_classes)
    classes, weights = np.empty((len(held), kept), np.int32), np.empty((len(held), kept), np.float32)
    ends = np.append(starts[1:], len(ids))
    first = 0
    while first < len(held):  # some words at a time, with all classes of their documents
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + BLOCK_WEIGHTS // n_classes, side="right")))
        rows = [places[place] for place in order[starts[first] : ends[last - 1]].tolist()]
        stacked = np.stack([own[place] for own, place in rows]).astype(np.float64)
        means = (np.add.reduceat(stacked, starts[first:last] - starts[first], axis=0) / len(found)).astype(np.float32)
        classes[first:last] = highest(np.abs(means), kept)
        weights[first:last] = np.take_along_axis(means, classes[first:last], axis=1)
        first = last
    weightiest = np.argsort(-np.abs(weights[:, 0]), kind="stable")
    names = words.take(pa.array(held[weightiest] - 1)).to_pylist()
    return Importance(names, counts[weightiest], classes[weightiest], weights[weightiest])


def _losses(
    documents: Sequence[Document], scores: Scores, labels: Ids, predict: Predict, max_len: int
) -> NDArray[np.float64]:
    """Average over the bins what the probability loses without, and with nothing but, the best tokens: `[n, 2]`."""
    rows = []
    for document, score in zip(documents, scores, strict=True):
        ids = document.ids[document.ids != 0]
        best = np.argsort(-score, kind="stable")
        ranks = np.full(len(ids), len(ids))  # tokens beyond the classifier's reach are never chosen
        ranks[best] = np.arange(len(best))
        chosen = ranks < np.ceil(np.array(BINS) * len(best))[:, None]
        rows.append(np.concatenate([ids[None], np.where(chosen, 0, ids), np.where(chosen, ids, 0)]))
    probabilities = predict_shortened(rows, predict, max_len)
    ours = probabilities.reshape(len(rows), 1 + 2 * len(BINS), -1)[np.arange(len(rows)), :, labels].astype(np.float64)
    losses = (ours[:, :1] - ours[:, 1:]).reshape(len(rows), 2, len(BINS))
    means: NDArray[np.float64] = losses.mean(axis=2)
    return means


def _as_lime(explanation: Explanation) -> Lime:
    [model] = explanation.models
    weights = zip(model.indices.tolist(), model.weights.tolist(), strict=True)
    return Lime({explanation.words[index]: weight for index, weight in weights}, model.score)


def _means(result: FaithfulnessScores) -> dict[str, float]:
    return {"comprehensiveness": _mean(result.comprehensiveness), "sufficiency": _mean(result.sufficiency)}


def _mean(values: Sequence[float] | NDArray[np.float64] | np.float64) -> float:
    return round(float(np.mean(values)), 6) + 0.0


def _interval(differences: NDArray[np.float64]) -> dict[str, float]:
    mean, half = differences.mean(), 1.96 * differences.std() / np.sqrt(len(differences))
    return {"value": _mean(mean), "low": _mean(mean - half), "high": _mean(mean + half)}
