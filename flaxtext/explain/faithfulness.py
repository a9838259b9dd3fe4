"""Are explanations true? How far words that are said to matter do matter to the classifier, over many documents.

Comprehensiveness is what the probability of the predicted class loses when the weightiest words are taken out, and
sufficiency what it loses when only they are kept; each averaged over fractions of the document's tokens (the area over
the perturbation curve). A true explanation has much of the first and little of the second, and differs from random
words in both. Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models (ACL 2020), averaged
over the bins as the benchmark's own code does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flaxtext.artifacts.importance import MOST_CLASSES, Importance
from flaxtext.artifacts.predictions import highest
from flaxtext.core.parallel import ordered_map
from flaxtext.explain.explanation import (
    Answers,
    Contributions,
    Document,
    LinearModel,
    draw,
    fit_linear_models,
    in_blocks,
    one_blas_thread,
)
from flaxtext.model.shortening import Shortened

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]
Scores = Sequence[NDArray[np.float64]]

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Fractions of a document's tokens, ERASER's; of less than one token, one is taken."""

RANDOM_ORDERS = 10
TOP_WORDS = 5

BLOCK_WEIGHTS = 2**22
"""Weights of words in documents that are averaged at a time, all classes counted."""


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
    reached: Sequence[Mask],
    found: Sequence[Contributions],
    answers: Answers,
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Compare LIME, and leaving words out, with random words, on the class predicted; figures rounded to six digits.

    `reached: bool[words]` tells of each document which of its words and marks are words that can matter: one at least.
    `found` is what `leave_one_out` found. LIME's `fit` is the
    mean R2 of its linear models, its `stability` the fraction of weightiest words that two seeds agree on.
    `lime_over_random` is by how much LIME is better, with the 95% interval over documents.
    """
    labels = np.array([one.probabilities.argmax() for one in found], np.int32)
    first, second = (lime(documents, answers, labels, samples=samples, seed=seed + offset) for offset in (0, 1))
    scores = [
        scores_of_words(documents, reached, first),
        scores_of_contributions(documents, reached, found, labels),
        *random_scores(reached, np.random.default_rng(seed)),
    ]
    ours, exact, *orders = measure_faithfulness(documents, reached, scores, labels, answers)
    chance = average(orders)
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


def lime(documents: Sequence[Document], answers: Answers, labels: Ids, *, samples: int, seed: int) -> list[Lime]:
    """Explain class `labels[i]` of each document by LIME, all its words weighed.

    Another document changes nothing beyond the rounding of probabilities.
    """

    def work(part: slice) -> list[Lime]:
        drawn = [draw(one, samples, np.random.default_rng([seed, one.row])) for one in documents[part]]
        found = answers([shortened for _, shortened in drawn])
        return [
            _as_lime(words, fit_linear_models(shortened.kept, probabilities[:, [label]], len(words))[0])
            for (words, shortened), probabilities, label in zip(drawn, found, labels[part].tolist(), strict=True)
        ]

    sizes = [(samples, len(one.ids.ids)) for one in documents]
    with one_blas_thread():  # which each document asks for, but only until it is done
        return [one for found in ordered_map(work, in_blocks(sizes)) for one in found]


def measure_faithfulness(
    documents: Sequence[Document], reached: Sequence[Mask], scores: Sequence[Scores], labels: Ids, answers: Answers
) -> list[FaithfulnessScores]:
    """Take the highest-scored words out of each document, then all others, and ask the classifier about `labels`.

    Each of `scores` holds for each document a number for each word that can matter, higher for one that speaks for
    class `labels[i]`; for each of them there is a result.
    """
    stacked = [np.stack(own) for own in zip(*scores, strict=True)]

    def work(part: slice) -> list[NDArray[np.float64]]:
        pairs = zip(documents[part], reached[part], stacked[part], strict=True)
        found = answers([_with_and_without(*pair) for pair in pairs])
        return [
            _losses(probabilities[:, label]) for probabilities, label in zip(found, labels[part].tolist(), strict=True)
        ]

    forms = 1 + 2 * len(BINS) * len(scores)
    parts = in_blocks([(forms, len(one.ids.ids)) for one in documents])
    with one_blas_thread():
        losses = [one for found in ordered_map(work, parts) for one in found]
    return [FaithfulnessScores(*own) for own in np.moveaxis(np.array(losses), 0, -1)]


def random_scores(reached: Sequence[Mask], rng: np.random.Generator) -> list[Scores]:
    """Give each word that can matter a random number, `RANDOM_ORDERS` times."""
    return [[rng.random(int(one.sum())) for one in reached] for _ in range(RANDOM_ORDERS)]


def average(results: Sequence[FaithfulnessScores]) -> FaithfulnessScores:
    """Average the figures of each document."""
    return FaithfulnessScores(
        np.mean([one.comprehensiveness for one in results], axis=0),
        np.mean([one.sufficiency for one in results], axis=0),
    )


def scores_of_words(documents: Sequence[Document], reached: Sequence[Mask], found: Sequence[Lime]) -> Scores:
    """Give each word that can matter its weight."""
    return [
        np.array(
            [
                one.weights.get(token, 0.0)
                for token, can_matter in zip(document.tokens, reach[document.is_word], strict=True)
                if can_matter
            ]
        )
        for document, reach, one in zip(documents, reached, found, strict=True)
    ]


def scores_of_contributions(
    documents: Sequence[Document], reached: Sequence[Mask], found: Sequence[Contributions], labels: Ids
) -> Scores:
    """Give each word that can matter what leaving it out takes from class `labels[i]`."""
    scores = []
    for document, reach, one, label in zip(documents, reached, found, labels.tolist(), strict=True):
        weights = dict(zip(one.word_ids.tolist(), one.weights[:, label].tolist(), strict=True))
        scores.append(np.array([weights.get(id_, 0.0) for id_ in document.ids.ids[reach].tolist()], np.float64))
    return scores


def agreement(first: Sequence[Lime], second: Sequence[Lime]) -> list[float]:
    """Fraction of the weightiest words of one seed that another names too, one figure per document."""
    return [len(a.top() & b.top()) / max(len(a.top()), 1) for a, b in zip(first, second, strict=True)]


def importance_of_words(found: Sequence[Contributions], words: pa.Array) -> Importance:
    """Average over documents what each word adds to the classes that it moves most; weightiest words first.

    `words` are by id from 1, the vocabulary's and then the unknown ones. A document without the word adds nothing; a
    word that no document holds is left out.
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


def _with_and_without(document: Document, reach: Mask, scores: NDArray[np.float64]) -> Shortened:
    """Lay out the document, then for each of `scores: float64[orders, words]` two forms for each of `BINS`.

    Those without the best words come first, then those with no other words than these; marks always stay.
    """
    n_orders, n_words = scores.shape
    ranks = np.full((n_orders, 1, len(reach)), len(reach))  # words that cannot matter are never chosen
    ranks[:, 0, reach] = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    chosen = ranks < np.ceil(np.array(BINS) * n_words)[:, None]
    forms = np.stack([~chosen, chosen | ~document.is_word], axis=1).reshape(-1, len(reach))
    kept = np.append(np.ones((1, len(reach)), bool), forms, axis=0)
    return Shortened(document.ids, np.arange(len(reach), dtype=np.int32), kept)


def _losses(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Average over the bins what the probability loses without, and with no others than, the best: `[orders, 2]`."""
    found = probabilities.astype(np.float64)
    means: NDArray[np.float64] = (found[0] - found[1:]).reshape(-1, 2, len(BINS)).mean(axis=2)
    return means


def _as_lime(words: list[str], model: LinearModel) -> Lime:
    weights = zip(model.indices.tolist(), model.weights.tolist(), strict=True)
    return Lime({words[index]: weight for index, weight in weights}, model.score)


def _means(result: FaithfulnessScores) -> dict[str, float]:
    return {"comprehensiveness": _mean(result.comprehensiveness), "sufficiency": _mean(result.sufficiency)}


def _mean(values: Sequence[float] | NDArray[np.float64] | np.float64) -> float:
    return round(float(np.mean(values)), 6) + 0.0


def _interval(differences: NDArray[np.float64]) -> dict[str, float]:
    mean, half = differences.mean(), 1.96 * differences.std() / np.sqrt(len(differences))
    return {"value": _mean(mean), "low": _mean(mean - half), "high": _mean(mean + half)}
