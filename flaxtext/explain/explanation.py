"""LIME for text: which words of a document speak for a class, and which against it.

The method is of Ribeiro, Singh and Guestrin, "Why Should I Trust You?" (KDD 2016, arXiv:1602.04938): remove random
words from the document, ask the classifier about each shortened text, and fit a linear model of what each word
adds to a class's probability, samples near the document counting more. For the same masks the numbers are those
of the `lime` package 0.2.0.1 (`LimeTextExplainer` with its defaults) on the model's own tokens, with one
difference: lime picks six or fewer words by forward selection; here words are picked in one way for any number.

All samples are worked on at once, as arrays: no text is built and tokenized again.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flaxtext.text.token_ids import TokenIds

Ids = NDArray[np.int32]
Masks = NDArray[np.bool_]

KERNEL_WIDTH = 25  # this and the two alphas are the lime package's
SELECTION_ALPHA = 0.01
RIDGE_ALPHA = 1.0
MAX_TOKENS = 1000
BLOCK_DOCUMENTS = 256  # that leave-one-out lays out at once
BLOCK_ROWS = 16_384  # samples that are laid out at once


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


def explain(
    tokens: Sequence[str],
    token_ids: Ids,
    predict: Callable[[Ids], NDArray[np.float32]],
    labels: Sequence[int],
    *,
    max_len: int,
    samples: int,
    words: int,
    rng: np.random.Generator,
) -> Explanation:
    """Explain what a classifier says of one document, by a linear model for each class number in `labels`.

    `token_ids: int32[n_tokens]` holds the ids of `tokens`, 0 for an unknown word; `predict` maps
    `int32[n, max_len]` to `float32[n, n_classes]`; each model keeps at most `words` words. A document counts up to
    its 1,000th token (or `max_len`, if that is more): only a sample that lost nearly all words would show the rest
    to the classifier, and the cost grows with the square of the number of distinct words.
    """
    distinct, word_of_token = distinct_words(tokens, max_len)
    masks = sample_masks(len(distinct), samples, rng)
    blocks = [masks[start : start + BLOCK_ROWS] for start in range(0, samples, BLOCK_ROWS)]
    ids = (masked_ids(token_ids[: len(word_of_token)], word_of_token, block, max_len) for block in blocks)
    probabilities = np.concatenate([predict(block) for block in ids])
    return Explanation(distinct, probabilities[0], fit_linear_models(masks, probabilities[:, labels], words))


def explain_together(
    documents: Sequence[tuple[Sequence[str], Ids, Sequence[int], np.random.Generator]],
    predict: Callable[[Ids], NDArray[np.float32]],
    *,
    max_len: int,
    samples: int,
    words: int,
) -> list[Explanation]:
    """Explain documents, each given as tokens, token_ids, labels and rng, as `explain` does one.

    The classifier is asked about the samples of all documents at once, by length: it has less padding to read then.
    """
    numbered = [distinct_words(tokens, max_len) for tokens, _, _, _ in documents]
    masks = [sample_masks(len(own), samples, rng) for (own, _), (_, _, _, rng) in zip(numbered, documents, strict=True)]
    ids = np.concatenate(
        [
            masked_ids(token_ids[: len(columns)], columns, block[start : start + BLOCK_ROWS], max_len)
            for (_, token_ids, _, _), (_, columns), block in zip(documents, numbered, masks, strict=True)
            for start in range(0, samples, BLOCK_ROWS)
        ]
    )
    order = np.argsort(np.count_nonzero(ids, axis=1), kind="stable")
    answers = predict(ids[order])
    probabilities = np.empty_like(answers)
    probabilities[order] = answers
    return [
        Explanation(own, answer[0], fit_linear_models(block, answer[:, labels], words))
        for (own, _), block, answer, (_, _, labels, _) in zip(
            numbered, masks, np.split(probabilities, len(documents)), documents, strict=True
        )
    ]


def distinct_words(tokens: Sequence[str], max_len: int) -> tuple[list[str], Ids]:
    """Number the distinct words of a document, in order of first appearance, as far as `explain` reads it.

    Returns the words, and of each token which of them it is, `int32[n_tokens]`.
    """
    columns: dict[str, int] = {}
    numbers = [columns.setdefault(token, len(columns)) for token in tokens[: max(MAX_TOKENS, max_len)]]
    return list(columns), np.array(numbers, dtype=np.int32)


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


def masked_ids(token_ids: Ids, words: Ids, masks: Masks, max_len: int) -> Ids:
    """Return the ids that tokenizing each shortened text would give: int32[n_samples, max_len].

    `token_ids` and `words`, both int32[n_tokens], hold each token's id (0 for an unknown word, which is dropped) and
    its column in `masks: bool[n_samples, n_words]`. The tokens kept close up to the left, are cut to `max_len`, and
    padded with zeros.
    """
    known = token_ids != 0
    kept = np.take(masks, words[known], axis=1)
    ids = np.zeros((len(masks), max(max_len, kept.shape[1])), dtype=np.int32)
    filled = np.arange(ids.shape[1]) < kept.sum(axis=1)[:, None]
    # Both sides go row by row, so the ids kept in a row land in its first columns.
    ids[filled] = np.tile(token_ids[known], len(masks))[np.flatnonzero(kept)]
    return ids[:, :max_len]


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

    `word_ids: int32[n_words]` are the distinct known words that reach the classifier, in order of first appearance;
    `weights: float32[n_words, n_classes]` the document's `probabilities: float32[n_classes]` less those of the
    document without the word.
    """

    word_ids: Ids
    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]


def leave_one_out(
    documents: Sequence[Ids], predict: Callable[[Ids], NDArray[np.float32]], max_len: int
) -> list[Contributions]:
    """Leave each word out of each document, every occurrence of it, and ask the classifier: exact, no sampling.

    `documents` hold the ids of a document's words, `int32[n_tokens]` of any length, 0 for an unknown word;
    `predict` maps `int32[n, max_len]` to `float32[n, n_classes]`. The words that remain close up, as when the
    shortened text is tokenized, so one from beyond `max_len` may come in. The words beyond are not left out in
    their turn: it would change nothing.
    """
    blocks = [documents[start : start + BLOCK_DOCUMENTS] for start in range(0, len(documents), BLOCK_DOCUMENTS)]
    return [one for block in blocks for one in _leave_one_out(block, predict, max_len)]


def predict_shortened(
    blocks: Sequence[Ids], predict: Callable[[Ids], NDArray[np.float32]], max_len: int
) -> NDArray[np.float32]:
    """Ask the classifier about shortened documents, all at once: `float32[rows of all blocks, n_classes]`.

    A block, `int32[rows, n_tokens]`, holds shortened forms of one document, 0 where a word is left out.
    """
    lengths = np.concatenate([np.full(len(block), block.shape[1]) for block in blocks])
    ids = np.concatenate([block.reshape(-1) for block in blocks]).astype(np.int32)
    return predict(TokenIds(ids, np.append(0, np.cumsum(lengths))).cut(max_len))


def _leave_one_out(
    documents: Sequence[Ids], predict: Callable[[Ids], NDArray[np.float32]], max_len: int
) -> list[Contributions]:
    known = [ids[ids != 0] for ids in documents]
    words = [ids[np.sort(np.unique(ids[:max_len], return_index=True)[1])] for ids in known]
    # A row of each document as it is, then one without each word, which `cut` drops as it drops unknown words.
    rows = [np.where(ids == np.append(0, own)[:, None], 0, ids) for ids, own in zip(known, words, strict=True)]
    probabilities = predict_shortened(rows, predict, max_len)
    starts = np.append(0, np.cumsum([len(block) for block in rows]))
    return [
        Contributions(own, probabilities[start], probabilities[start] - probabilities[start + 1 : end])
        for own, start, end in zip(words, starts, starts[1:], strict=False)
    ]


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
