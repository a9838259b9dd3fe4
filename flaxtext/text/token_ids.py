"""Documents as the ids of their words, whole, and as the rows that a model reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import number_array, numpy_array, string_array
from flaxtext.core.parallel import ordered_map
from flaxtext.text.marks import Marks, find_marks
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class TokenIds:
    """The words of documents by id, in the order of the text; document i has `ids[offsets[i]:offsets[i + 1]]`.

    Attributes:
        ids: int32[words]; from 1 as the vocabulary numbers them; those beyond it are of words that it lacks, below 0
            of marks.
        offsets: int64[n + 1], from 0.
        unknown: string[k]; the words of the ids beyond the vocabulary, where they are known.
    """

    ids: np.ndarray
    offsets: np.ndarray
    unknown: pa.StringArray = field(default_factory=lambda: string_array([]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Words and marks of each document, `int64[n]`."""
        return np.diff(self.offsets)

    def __getitem__(self, documents: slice) -> "TokenIds":
        """Take documents that follow one another."""
        first, last, step = documents.indices(len(self))
        if step != 1:
            raise ValueError("documents follow one another in a slice; take() takes any")
        offsets = self.offsets[first : max(first, last) + 1]
        return TokenIds(self.ids[offsets[0] : offsets[-1]], offsets - offsets[0], self.unknown)

    def take(self, documents: np.ndarray) -> "TokenIds":
        """Take the documents of these numbers, `int[k]`, or those of `bool[n]` that are true."""
        documents = np.flatnonzero(documents) if documents.dtype == bool else documents
        lengths = self.lengths[documents]
        offsets = offsets_of(lengths)
        return TokenIds(self.ids[places(self.offsets[documents], offsets)], offsets, self.unknown)

    def select(self, is_kept: np.ndarray) -> "TokenIds":
        """Keep the words where `is_kept: bool[words]`, in their order."""
        if is_kept.all():
            return self
        return TokenIds(self.ids[is_kept], np.concatenate([[0], np.cumsum(is_kept)])[self.offsets], self.unknown)

    def without_marks(self) -> "TokenIds":
        """Leave the marks out."""
        return self.select(self.ids >= 0)

    def known(self, rows: int) -> "TokenIds":
        """Drop the words that a vocabulary of so many rows lacks; the rest closes up, marks among them."""
        return self.select((self.ids != 0) & (self.ids < rows))

    @property
    def word_counts(self) -> np.ndarray:
        """Words of each document, marks not counted, `int64[n]`."""
        return np.diff(np.append(0, np.cumsum(self.ids > 0))[self.offsets])

    def first(self, max_len: int | None) -> "TokenIds":
        """Cut each document after its first words, and the marks that follow them; None for not at all."""
        if max_len is None or not (self.lengths > max_len).any():
            return self
        words = np.append(0, np.cumsum(self.ids > 0))
        return self.select(words[1:] - np.repeat(words[self.offsets[:-1]], self.lengths) <= max_len)

    def padded(self, width: int) -> np.ndarray:
        """Lay documents of at most `width` words out in rows, with zeros at the end: `int32[n, width]`."""
        matrix = np.zeros((len(self), width), np.int32)
        matrix[np.arange(width) < self.lengths[:, None]] = self.ids
        return matrix


class Examples(NamedTuple):
    """Labelled documents: `documents` and `labels: int32[n]`."""

    documents: TokenIds
    labels: np.ndarray

    def select(self, chosen: np.ndarray) -> "Examples":
        """Take the documents of `chosen: bool[n]`."""
        return Examples(self.documents.take(chosen), self.labels[chosen])


def concatenate(parts: Sequence[TokenIds], unknown: Iterable[str] = ()) -> TokenIds:
    """Put documents after one another; `unknown` are the words of the ids beyond the vocabulary, of all parts."""
    lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in parts)])
    ids = np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)])
    return TokenIds(ids, offsets_of(lengths), string_array(unknown))


def choose_validation(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a stratified fraction of `labels: int32[n]`: `bool[n]`, true for about `fraction` of each class.

    What rounding leaves over of one class, the next one makes up for: of many classes of few documents each, some
    give one. No class gives its last document.
    """
    chosen = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    by_class = np.argsort(labels, kind="stable")
    owed = 0.0
    for rows in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        owed += fraction * len(rows)
        given = max(0, min(round(owed), len(rows) - 1))
        owed = min(owed - given, 1.0)
        chosen[rng.permutation(rows)[:given]] = True
    return chosen


def number_words(texts: pa.Array, vocabulary: Vocabulary, *, marks: bool = False) -> TokenIds:
    """Turn `texts: string[n]` into ids; words that the vocabulary lacks are numbered beyond it, as they come.

    With `marks`, those stand between the words, below 0, as `find_marks` has them.
    """
    lists = tokenize(texts, vocabulary.tokenizer)
    ids, unknown = vocabulary.ids(lists.values), string_array([])
    if len(missing := np.flatnonzero(ids == 0)):
        found = lists.values.take(number_array(missing)).dictionary_encode()
        unknown = found.dictionary.cast(pa.string())
        ids = ids.copy()  # Arrow's cannot be written to
        ids[missing] = vocabulary.rows + numpy_array(found.indices)
    documents = TokenIds(ids, numpy_array(lists.offsets), unknown)
    return insert_marks(documents, find_marks(texts, vocabulary.tokenizer)) if marks else documents


def renumber(documents: TokenIds, rows: int, vocabulary: Vocabulary) -> TokenIds:
    """Number words beyond a vocabulary of so many rows by a larger one, which begins with it; unknown ones beyond that.

    The order of the unknown words stays.
    """
    if rows == vocabulary.rows:
        return documents
    found = vocabulary.ids(documents.unknown)
    unknown = np.flatnonzero(found == 0)
    numbers = np.append(found, np.int32(vocabulary.rows + len(unknown)))  # the last is for words that are not told
    numbers[unknown] = vocabulary.rows + np.arange(len(unknown))
    is_beyond = documents.ids >= rows
    ids = documents.ids.copy()
    ids[is_beyond] = numbers[np.minimum(ids[is_beyond] - rows, len(found))]
    return TokenIds(ids, documents.offsets, documents.unknown.take(number_array(unknown)))


def insert_marks(documents: TokenIds, marks: Marks) -> TokenIds:
    """Put the marks of documents in their places between the words, their codes below 0."""
    if not len(marks.codes):
        return documents
    at = np.repeat(documents.offsets[:-1], np.diff(marks.offsets)) + marks.places
    return replace(documents, ids=np.insert(documents.ids, at, -marks.codes), offsets=documents.offsets + marks.offsets)


def part_marks(documents: TokenIds) -> tuple[TokenIds, Marks]:
    """Undo `insert_marks`."""
    is_mark = documents.ids < 0
    before = np.append(0, np.cumsum(is_mark))
    offsets = before[documents.offsets]
    words = documents.select(~is_mark)
    places = np.flatnonzero(is_mark) - np.arange(offsets[-1]) - np.repeat(words.offsets[:-1], np.diff(offsets))
    return words, Marks(-documents.ids[is_mark], places.astype(np.int32), offsets)


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
        first = self._vocabulary.rows

        def one(batch: tuple[pa.Array, np.ndarray]) -> tuple[TokenIds, np.ndarray]:
            texts, labels = batch
            return number_words(texts, self._vocabulary, marks=True), labels

        for documents, labels in ordered_map(one, batches):
            if len(documents.unknown):
                numbers = np.array([self._number(word) for word in documents.unknown.to_pylist()], np.int32)
                is_unknown = documents.ids >= first
                ids = documents.ids.copy()
                ids[is_unknown] = numbers[ids[is_unknown] - first]
                documents = TokenIds(ids, documents.offsets)  # whose unknown words are listed for all batches
            yield documents, labels

    def _number(self, word: str) -> int:
        number = self._ids.get(word)
        if number is None:
            number = self._ids[word] = self._vocabulary.rows + len(self.words)
            self.words.append(word)
        return number


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where lists of these lengths begin and end, laid end to end: `int64[n + 1]`."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def places(starts: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """List where the items of lists lie that `offsets: int64[n + 1]` part, list i from `starts[i]` on: `int64[k]`."""
    return np.repeat(starts - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
