"""What a classifier answers for a document with words left out, thousands of times: what explanations ask.

The words that remain close up, as when the shortened text is tokenized, and make n-grams with their new neighbours.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from flaxtext.model.architecture import Parameters
from flaxtext.model.classifier import Classifier
from flaxtext.model.forward import logits, softmax
from flaxtext.model.poolings import Summed
from flaxtext.model.prediction import Backend
from flaxtext.text.token_ids import TokenIds, offsets_of

BLOCK_WORDS = 2**21
"""Words of shortened documents that are laid out at a time."""
BLOCK_VALUES = 2**23
"""Weights of features of shortened documents that are worked out at a time."""


class Shortened(NamedTuple):
    """A document with some of its words left out, in several ways.

    Attributes:
        document: it alone, whole.
        columns: int32[words]; the column of `kept` that says of a word whether it stays; -1 for one that always does.
        kept: bool[forms, columns].
    """

    document: TokenIds
    columns: np.ndarray
    kept: np.ndarray

    def words_kept(self) -> np.ndarray:
        """Which words each form has, `bool[forms, words]`."""
        if not self.kept.shape[1]:
            return np.ones((len(self.kept), len(self.columns)), bool)
        stays: np.ndarray = np.take(self.kept, np.maximum(self.columns, 0), axis=1) | (self.columns < 0)
        return stays

    def parts(self, forms: int) -> Iterator["Shortened"]:
        """Part it into some forms at a time."""
        for start in range(0, max(1, len(self.kept)), forms):
            yield self._replace(kept=self.kept[start : start + forms])

    def forms(self) -> TokenIds:
        """Lay the forms out as documents."""
        kept = self.words_kept()
        ids = np.broadcast_to(self.document.ids, kept.shape)[kept]
        return TokenIds(ids, offsets_of(kept.sum(axis=1)), self.document.unknown)


def answer_shortened(model: Classifier, documents: Sequence[Shortened], backend: Backend = "numpy") -> list[np.ndarray]:
    """Class probabilities of each form of each document, `float32[forms, classes]`; `backend` is for networks.

    The documents are of one reading: the ids of unknown words mean the same in all.
    """
    if model.architecture.weighs and all(len(one.columns) <= model.architecture.words for one in documents):
        documents = [_readable(model, one) for one in documents]
        return [np.concatenate([_answer_weighted(model, part) for part in _in_parts(model, one)]) for one in documents]
    answers: list[list[np.ndarray]] = [[] for _ in documents]
    for numbers, forms in _together(documents):
        found = model.probabilities(model.cut(forms), backend)
        ends = np.cumsum([count for _, count in numbers])[:-1]
        for (number, _), own in zip(numbers, np.split(found, ends), strict=True):
            answers[number].append(own)
    return [np.concatenate(own) for own in answers]


def _together(documents: Sequence[Shortened]) -> Iterator[tuple[list[tuple[int, int]], TokenIds]]:
    """Lay forms of several documents out at once: the number of each document and of its forms, and the forms."""
    numbers: list[tuple[int, int]] = []
    laid_out: list[TokenIds] = []
    words = 0
    for number, document in enumerate(documents):
        for part in document.parts(max(1, BLOCK_WORDS // max(1, len(document.columns)))):
            laid_out.append(part.forms())
            numbers.append((number, len(part.kept)))
            words += len(laid_out[-1].ids)
            if words >= BLOCK_WORDS:
                yield numbers, _join(laid_out)
                numbers, laid_out, words = [], [], 0
    if laid_out:
        yield numbers, _join(laid_out)


def _join(documents: list[TokenIds]) -> TokenIds:
    lengths = np.concatenate([one.lengths for one in documents])
    return TokenIds(np.concatenate([one.ids for one in documents]), offsets_of(lengths), documents[0].unknown)


def _readable(model: Classifier, document: Shortened) -> Shortened:
    """Drop what the model does not read, as `Classifier.cut` does."""
    if model.vocabulary.tokenizer != "keras":
        return document
    known = document.document.ids < model.vocabulary.rows
    return document._replace(document=document.document.select(known), columns=document.columns[known])


def _in_parts(model: Classifier, document: Shortened) -> Iterator[Shortened]:
    features = len(document.columns) * (model.architecture.reading.per_word + 4 * model.architecture.characters)
    return document.parts(max(1, BLOCK_VALUES // max(1, features)))


def _answer_weighted(model: Classifier, document: Shortened) -> np.ndarray:
    """Answer by matrices: how often each form holds each feature follows from the words that it keeps."""
    expanded = model.features.expand_words(model.cut(document.forms()))
    forms = np.repeat(np.arange(len(document.kept)), expanded.lengths)[expanded.rows > 0]
    rows, place = np.unique(expanded.rows[expanded.rows > 0], return_inverse=True)
    counts = np.bincount(forms * len(rows) + place, minlength=len(document.kept) * len(rows))
    counts = counts.reshape(len(document.kept), len(rows))
    first = np.searchsorted(rows, model.features.first_vector)
    blocks = [(rows[:first], counts[:, :first])]
    if model.architecture.characters:
        blocks.append(_count_characters(model, document))
    vectors = rows[first:], counts[:, first:]
    answers = [_answer(model, member, blocks, vectors) for member in model.answering]
    result: np.ndarray = np.mean(answers, axis=0)
    return result


def _count_characters(model: Classifier, document: Shortened) -> tuple[np.ndarray, np.ndarray]:
    """Return the n-grams of characters of a document, and how often each form holds them: `int64[forms, rows]`."""
    whole = model.features.expand_characters(document.document)  # a list for each word
    rows, place = np.unique(whole.rows, return_inverse=True)
    column = np.repeat(document.columns, whole.lengths)
    n_columns = document.kept.shape[1]
    held = np.bincount(
        np.where(column < 0, n_columns, column) * len(rows) + place, minlength=(n_columns + 1) * len(rows)
    ).reshape(n_columns + 1, len(rows))
    counts = document.kept.astype(np.float32) @ held[:-1].astype(np.float32) + held[-1]
    return rows, counts.astype(np.int64)


Counts = tuple[np.ndarray, np.ndarray]
"""Rows, `int64[k]`, and how often each form holds them, `int64[forms, k]`."""


def _answer(model: Classifier, member: Parameters, blocks: list[Counts], vectors: Counts) -> np.ndarray:
    table, idf = member["embedding"]["embedding"], member["embedding"]["idf"]
    total = np.zeros((len(blocks[0][1]), table.shape[1]), np.float32)
    for rows, counts in blocks:
        logs = np.zeros(int(counts.max(initial=0)) + 1, np.float32)
        logs[1:] = 1 + np.log(np.arange(1, len(logs)))
        weights = logs[counts] * idf[rows]
        norms = np.sqrt(np.square(weights, dtype=np.float64).sum(axis=1))
        total += (weights @ table[rows]) / np.where(norms > 0, norms, 1)[:, None].astype(np.float32)
    rows, counts = vectors
    if len(rows):
        weights = counts * idf[rows]
        sums = weights.sum(axis=1, keepdims=True)
        total += (weights @ table[rows]) / np.where(sums > 0, sums, 1)
    answers: np.ndarray = softmax(logits(model.architecture, member, [Summed(total)]))
    return answers
