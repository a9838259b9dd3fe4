"""Documents as the ids of their words, whole, and as the rows that a model reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import numpy_array
from flaxtext.core.parallel import ordered_map
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class TokenIds:
    """The words of documents by id, in the order of the text; document i has `ids[offsets[i]:offsets[i + 1]]`.

    Attributes:
        ids: int32[words]; from 1 as the vocabulary numbers them. A word that it lacks keeps its place: 0, or in the
            files of vectorize an id beyond the vocabulary, which `unknown.parquet` lists.
        offsets: int64[n + 1].
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def cut(self, max_len: int, vocabulary_rows: int | None = None) -> np.ndarray:
        """Lay documents out as a model reads them: `int32[n, max_len]`, as Keras' `pad_sequences` does with "post".

        Words that the vocabulary lacks (0, or `vocabulary_rows` and beyond) are dropped; the rest is cut after
        `max_len` ids or padded with zeros at the end.
        """
        ids, offsets = self.ids, self.offsets
        known = ids > 0
        if vocabulary_rows is not None:
            known &= ids < vocabulary_rows
        if not known.all():
            offsets = np.concatenate([[0], np.cumsum(known)])[offsets]
            ids = ids[known]
        lengths = np.diff(offsets)
        if (is_long := lengths > max_len).any():
            steps = np.zeros(len(ids) + 1, np.int8)  # of how many cuts a word is in: none, or the one of its document
            steps[offsets[:-1][is_long] + max_len] += 1
            steps[offsets[1:][is_long]] -= 1
            ids = ids[np.cumsum(steps[:-1], dtype=np.int8) == 0]
            lengths = np.minimum(lengths, max_len)
        matrix = np.zeros((len(lengths), max_len), np.int32)
        matrix[np.arange(max_len) < lengths[:, None]] = ids
        return matrix


class Examples(NamedTuple):
    """Labelled documents as a model reads them: `ids: int32[n, positions]` and `labels: int32[n]`."""

    ids: np.ndarray
    labels: np.ndarray

    def select(self, chosen: np.ndarray) -> "Examples":
        """Take the documents of `chosen: bool[n]`."""
        return Examples(self.ids[chosen], self.labels[chosen])


def choose_validation(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a stratified fraction of `labels: int32[n]`: `bool[n]`, true for about `fraction` of each class.

    A class of few documents gives less than its fraction rather than its last document.
    """
    chosen = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: min(round(fraction * len(rows)), len(rows) - 1)]] = True
    return chosen


def number_words(texts: pa.Array, vocabulary: Vocabulary) -> TokenIds:
    """Turn `texts: string[n]` into ids, 0 for a word that the vocabulary lacks."""
    lists = tokenize(texts, vocabulary.tokenizer)
    return TokenIds(vocabulary.ids(lists.values), numpy_array(lists.offsets))


class UnknownWords:
    """Numbers the words that a vocabulary lacks, from its last id on, in order of first appearance.

    Attributes:
        words: those found so far; the first has the id `vocabulary.rows`.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.words: list[str] = []
        self._vocabulary = vocabulary
        self._ids: dict[str, int] = {}

    def number(self, batches: Iterable[tuple[pa.Array, np.ndarray]]) -> Iterator[tuple[TokenIds, np.ndarray]]:
        """Turn batches of texts, `string[n]`, and labels into ids, on all cores, and labels as given."""

        def one(batch: tuple[pa.Array, np.ndarray]) -> tuple[TokenIds, pa.DictionaryArray, np.ndarray]:
            texts, labels = batch
            lists = tokenize(texts, self._vocabulary.tokenizer)
            ids = self._vocabulary.ids(lists.values)
            unknown = lists.values.filter(pa.array(ids == 0)).dictionary_encode()
            return TokenIds(ids, lists.offsets.to_numpy()), unknown, labels

        for documents, unknown, labels in ordered_map(one, batches):
            if len(unknown):
                numbers = np.array([self._number(word) for word in unknown.dictionary.to_pylist()], np.int32)
                ids = documents.ids.copy()  # Arrow's cannot be written to
                ids[ids == 0] = numbers[unknown.indices.to_numpy()]
                documents = replace(documents, ids=ids)
            yield documents, labels

    def _number(self, word: str) -> int:
        number = self._ids.get(word)
        if number is None:
            number = self._ids[word] = self._vocabulary.rows + len(self.words)
            self.words.append(word)
        return number
