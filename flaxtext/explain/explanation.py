"""LIME for text: which words of a document speak for a class, and which against it.

The method is of Ribeiro, Singh and Guestrin, "Why Should I Trust You?" (KDD 2016, arXiv:1602.04938): remove random
words from the document, ask the classifier about each shortened text, and fit a linear model of what each word
adds to a class's probability, samples near the document counting more. For the same masks the numbers are those
of the `lime` package 0.2.0.1 (`LimeTextExplainer` with its defaults) on the model's own tokens, with one
difference: lime picks six or fewer words by forward selection; here words are picked in one way for any number.

Samples are worked on as arrays: no text is built and tokenized again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flaxtext.core.arrow import string_array
from flaxtext.core.parallel import ordered_map
from flaxtext.model.classifier import Classifier
from flaxtext.model.shortening import Shortened
from flaxtext.text.token_ids import TokenIds

Answers = Callable[[Sequence[Shortened]], list[NDArray[np.float32]]]
"""What a classifier answers for each form of each document, `float32[forms, classes]`: `model.shortening`."""
Ids = NDArray[np.int32]
Masks = NDArray[np.bool_]

KERNEL_WIDTH = 25  # this and the two alphas are the lime package's
SELECTION_ALPHA = 0.01
RIDGE_ALPHA = 1.0
MAX_DISTINCT = 1000
"""Distinct words of a document that are weighed, the first: the cost grows with the square of their number."""
MAX_WORK = 2**24
"""Words of all samples of a document, together: of a long document, fewer samples are drawn."""
MIN_SAMPLES = 200
MAX_BULK_WORK = 2**26
"""Words of all samples of all documents that are explained in bulk, together: of long ones, fewer are explained."""
BLOCK_WORDS = 2**20
"""Words of shortened documents that are asked about at a time."""
MIN_WORDS = 2**8
"""What a shortened document takes at least: where classes are many, its probabilities take more room than its words."""


@dataclass(frozen=True)
class LinearModel:
    """A class's probability as `intercept` plus the weights of the words present.

    `indices: int64[n]` are columns of the masks and `weights: float64[n]` theirs, largest absolute weight first.
    `score` is the weighted R2 over the samples, 1 where the probability never changes; `local_prediction` is the
    model's probability for the whole document.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]
    intercept: float
    score: float
    local_prediction: float


@dataclass(frozen=True)
class Explanation:
    """A document's distinct words, its `probabilities: float32[n_classes]`, and a model for each class explained."""

    words: list[str]
    probabilities: NDArray[np.float32]
    models: list[LinearModel]


class Document(NamedTuple):
    """A document to explain.

    Attributes:
        row: its number.
        tokens: its words, as the classifier's vocabulary has them; marks, which are no words, are not among them.
        ids: the words and marks of it alone, by id, whole.
    """

    row: int
    tokens: list[str]
    ids: TokenIds

    @property
    def is_word(self) -> NDArray[np.bool_]:
        """Which of the ids are words."""
        return self.ids.ids > 0


def read_documents(model: Classifier, texts: dict[int, str]) -> list[Document]:
    """Split texts, row -> text, into words and marks, whole."""
    ids = model.number(string_array(texts.values()))
    tokens = model.tokenize(list(texts.values()))
    return [
        Document(row, own, ids[place : place + 1]) for place, (row, own) in enumerate(zip(texts, tokens, strict=True))
    ]


def readable_documents(model: Classifier, texts: dict[int, str], samples: int) -> tuple[list[Document], list[Masks]]:
    """Split texts into words, and leave out those with none that can matter; of the rest, tell which words can.

    Takes the first texts that `MAX_BULK_WORK` allows with so many samples each, and returns them by row.
    """
    words = np.cumsum(model.number(string_array(texts.values())).lengths)
    allowed = max(1, int(np.searchsorted(words, MAX_BULK_WORK // samples, side="right")))
    documents = read_documents(model, dict(sorted(list(texts.items())[:allowed])))
    reached = [model.reach(document.ids) for document in documents]
    kept = [(document, reach) for document, reach in zip(documents, reached, strict=True) if reach.any()]
    return [document for document, _ in kept], [reach for _, reach in kept]


def explain(
    document: Document,
    answers: Answers,
    labels: Sequence[int],
    *,
    samples: int,
    words: int,
    rng: np.random.Generator,
) -> Explanation:
    """Explain what a classifier says of one document, by a linear model for each class number in `labels`.

    Each model keeps at most `words` words. Of a document's distinct words the first `MAX_DISTINCT` are left out in
    turn, all others stay; of a long document, fewer samples are drawn than asked for (`MAX_WORK`).
    """
    distinct, shortened = draw(document, samples, rng)
    [probabilities] = answers([shortened])
    models = fit_linear_models(shortened.kept, probabilities[:, labels], words)
    return Explanation(distinct, probabilities[0], models)


def draw(document: Document, samples: int, rng: np.random.Generator) -> tuple[list[str], Shortened]:
    """Draw shortened forms of a document: its distinct words, by their columns, and the forms, the first whole."""
    columns: dict[str, int] = {}
    of_words = [columns.setdefault(token, len(columns)) for token in document.tokens]
    numbers = np.full(len(document.ids.ids), -1, np.int32)
    numbers[document.is_word] = np.where(np.array(of_words, np.int32) < MAX_DISTINCT, of_words, -1)
    distinct = list(columns)[:MAX_DISTINCT]
    samples = min(samples, max(MIN_SAMPLES, MAX_WORK // max(1, len(numbers))))
    return distinct, Shortened(document.ids, numbers, sample_masks(len(distinct), samples, rng))


def as_json(explanation: Explanation, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Lay the models of an explanation, one for each of the names `classes`, out for JSON, rounded to six digits."""
    models = []
    for name, linear in zip(classes, explanation.models, strict=True):
        figures = {key: six_digits(getattr(linear, key)) for key in ("intercept", "score", "local_prediction")}
        weights = zip(linear.indices, linear.weights, strict=True)
        words = [{"word": explanation.words[index], "weight": six_digits(weight)} for index, weight in weights]
        models.append({"class": name, **figures, "words": words})
    return models


def six_digits(value: float) -> float:
    """Round to six digits, as a Python float and without negative zero."""
    return round(float(value), 6) + 0.0


def sample_masks(n_words: int, n_samples: int, rng: np.random.Generator) -> Masks:
    """Draw which words each sample keeps: bool[n_samples, n_words].

    The first row keeps all. Every other removes a random set of 1 to `n_words` words, each size equally likely.
    """
    masks = np.ones((n_samples, n_words), dtype=np.bool_)
    if n_words:
        # Sorted, so that samples beside each other are about as short, and the network has less to read.
        removed = np.sort(rng.integers(1, n_words + 1, size=n_samples - 1))[:, None]
        # The words with the `removed` smallest of random keys go. (A threshold needs sorted keys, not their order.)
        keys = rng.integers(2**32, size=(n_samples - 1, n_words), dtype=np.uint32)
        threshold = np.take_along_axis(np.sort(keys), removed - 1, axis=1)
        np.greater(keys, threshold, out=masks[1:])
    return masks


def fit_linear_models(masks: Masks, probabilities: NDArray[np.floating], n_words: int) -> list[LinearModel]:
    """Fit a linear model of each column of `probabilities: float[n_samples, n_classes]`.

    `masks` is bool[n_samples, n_features], its first row all true. Each model is a ridge regression, weighted by
    nearness to that row, on the `n_words` features of largest weight in a first regression on all of them (lime's
    `highest_weights`). All are solved from the same centred normal equations, in float64.
    """
    n_features = masks.shape[1]
    # A mask that keeps k of n words has the cosine similarity sqrt(k / n) with the one that keeps all.
    distances = 100 * (1 - np.sqrt(np.arange(n_features + 1) / max(n_features, 1)))
    kernel = np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2))
    sample_weights = kernel[masks.sum(axis=1)]

    # Less the document's own probabilities: exactly zero where no word matters.
    y = probabilities.astype(np.float64) - probabilities[0]
    root = np.sqrt(sample_weights)[:, None]
    with one_blas_thread():
        x_mean = sample_weights @ masks / sample_weights.sum()
        y_mean = sample_weights @ y / sample_weights.sum()
        x = masks - x_mean
        x *= root
        y = (y - y_mean) * root
        gram, moments = x.T @ x, x.T @ y
        first = np.linalg.solve(gram + SELECTION_ALPHA * np.eye(n_features), moments)
        models = []
        for label in range(y.shape[1]):
            chosen = _by_size(first[:, label])[:n_words]
            moment = moments[chosen, label]
            coef = np.linalg.solve(gram[np.ix_(chosen, chosen)] + RIDGE_ALPHA * np.eye(len(chosen)), moment)
            # R2 = (2 coef'moment - coef'gram coef) / total, and gram coef = moment - alpha coef.
            total = y[:, label] @ y[:, label]
            score = float(coef @ (moment + RIDGE_ALPHA * coef) / total) if total > 0 else 1.0
            intercept = float(probabilities[0, label] + y_mean[label] - x_mean[chosen] @ coef)
            order = _by_size(coef)
            models.append(LinearModel(chosen[order], coef[order], intercept, score, intercept + float(coef.sum())))
    return models


@dataclass(frozen=True)
class Contributions:
    """What each word of a document adds to the probability of each class, by leaving it out.

    `word_ids: int32[n_words]` are the distinct words that can matter to the classifier, in order of first appearance;
    `weights: float32[n_words, n_classes]` the document's `probabilities: float32[n_classes]` less those of the
    document without the word.
    """

    word_ids: Ids
    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]


def leave_one_out(
    documents: Sequence[TokenIds], reached: Sequence[NDArray[np.bool_]], answers: Answers
) -> list[Contributions]:
    """Leave each word out of each document, every occurrence of it, and ask the classifier: exact, no sampling.

    `documents` are one each, whole; `reached: bool[words]` tells which of their words can matter. The words that remain
    close up, so one from beyond what the classifier reads may come in; the words beyond are not left out in their turn:
    it would change nothing. Of a long document, the first `MAX_DISTINCT` words are left out.
    """
    words = [_distinct(one.ids[reach])[:MAX_DISTINCT] for one, reach in zip(documents, reached, strict=True)]

    def work(part: slice) -> list[Contributions]:
        shortened = [_without_each(one, own) for one, own in zip(documents[part], words[part], strict=True)]
        return [
            Contributions(own, probabilities[0], probabilities[0] - probabilities[1:])
            for own, probabilities in zip(words[part], answers(shortened), strict=True)
        ]

    sizes = [(len(own) + 1, len(one.ids)) for own, one in zip(words, documents, strict=True)]
    return [one for found in ordered_map(work, in_blocks(sizes)) for one in found]


def in_blocks(sizes: Sequence[tuple[int, int]]) -> Iterator[slice]:
    """Part documents, given how many forms and words each has, so that a part has about `BLOCK_WORDS` in all forms."""
    first, total = 0, 0
    for number, (forms, words) in enumerate(sizes):
        own = forms * max(words, MIN_WORDS)
        if total and total + own > BLOCK_WORDS:
            yield slice(first, number)
            first, total = number, 0
        total += own
    yield slice(first, len(sizes))


def _without_each(document: TokenIds, words: Ids) -> Shortened:
    """Lay out a document, and then without each of the `words`, which are distinct."""
    columns = np.full(len(document.ids), -1, np.int32)
    if len(words):
        order = np.argsort(words)
        place = np.minimum(np.searchsorted(words, document.ids, sorter=order), len(words) - 1)
        columns = np.where(words[order[place]] == document.ids, order[place], -1).astype(np.int32)
    kept = np.concatenate([np.ones((1, len(words)), bool), ~np.eye(len(words), dtype=bool)])
    return Shortened(document, columns, kept)


def _distinct(ids: Ids) -> Ids:
    """Name each id once, in order of first appearance."""
    return ids[np.sort(np.unique(ids, return_index=True)[1])]


def _by_size(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-np.abs(weights), kind="stable")


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep NumPy's linear algebra to one thread: a second gains nothing here, and can wait 100 ms for a core.

    Without threadpoolctl, which predicting does not need, there is no limit.
    """
    controller = _blas()
    limit: AbstractContextManager[object] = controller.limit(limits=1) if controller else nullcontext()
    return limit


@cache
def _blas() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ModuleNotFoundError:
        return None
    return ThreadpoolController()  # looks through the process's libraries: 1 ms
