"""What a classifier answers for a document with words left out, thousands of times: what explanations ask.

The words that remain close up, as when the shortened text is tokenized, and make n-grams with their new neighbours.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

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
MAX_PAIRS = 2**24
"""Pairs of a document's distinct words that are looked up in advance."""


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
        stays: np.ndarray = np.take(self.kept, np.maximum(self.columns, 0), axis=1)
        stays |= self.columns < 0
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
        return [_answer_weighted(model, one) for one in documents]
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


class _Held(NamedTuple):
    """Which columns hold which rows, and how often, by rising row; `int64[k]` each. The last column always stays."""

    row: np.ndarray
    column: np.ndarray
    times: np.ndarray

    def select(self, chosen: np.ndarray) -> "_Held":
        """Take those of `chosen: bool[k]`."""
        return _Held(*(own[chosen] for own in self))


class _Sums(NamedTuple):
    """What the rows of a block of features add up to: `total: float32[forms, dim]`, and their squared weights."""

    total: np.ndarray
    squares: np.ndarray

    def plus(self, other: "_Sums") -> "_Sums":
        """Add up two parts of a block."""
        return _Sums(self.total + other.total, self.squares + other.squares)


def _answer_weighted(model: Classifier, document: Shortened) -> np.ndarray:
    """Answer without laying the forms out, except for n-grams: what a word holds comes and goes with the word."""
    reading = model.architecture.reading
    rows = model.features.expand_words(document.document).rows.reshape(-1, reading.per_word)
    first_ngram = 1 + (reading.prefix is not None)
    words = _hold(document, rows[:, :first_ngram].reshape(-1), np.full(len(rows), first_ngram))
    characters = model.features.expand_characters(document.document)  # a list for each word
    held = _hold(document, characters.rows, characters.lengths)
    vectors = _hold(document, rows[:, -1], np.ones(len(rows), np.int64)) if reading.vectors else None
    answers = []
    for member in model.answering:
        sums = _sum_held(document, member, words)
        if reading.ngrams > 1:
            sums = sums.plus(_sum_ngrams(model, document, member))
        total = _scaled(sums) + _scaled(_sum_held(document, member, held))
        if vectors is not None:
            total += _average_vectors(document, member, vectors)
        answers.append(softmax(logits(model.architecture, member, [Summed(total)])))
    result: np.ndarray = np.mean(answers, axis=0)
    return result


def _hold(document: Shortened, rows: np.ndarray, lengths: np.ndarray) -> _Held:
    """Count the rows of each column, given those of each word, `int32[k]` in lists of these lengths."""
    column = np.repeat(np.where(document.columns < 0, document.kept.shape[1], document.columns), lengths)
    keys, count = np.unique((rows.astype(np.int64) << 32 | column)[rows > 0], return_counts=True)
    return _Held(keys >> 32, keys & 0xFFFFFFFF, count)


def _sum_held(document: Shortened, member: Parameters, held: _Held) -> _Sums:
    """Add up what words hold by themselves.

    A row that one column alone holds counts what it does in the whole document, or nothing. Of a row of several
    columns the count depends on those that are there.
    """
    table, idf = member["embedding"]["embedding"], member["embedding"]["idf"]
    kept = np.append(document.kept, np.ones((len(document.kept), 1), bool), axis=1)
    begins = np.diff(held.row, prepend=-1) > 0
    columns_of = np.diff(np.flatnonzero(begins), append=len(begins))
    is_own = np.repeat(columns_of == 1, columns_of)

    own = held.select(is_own)
    weights = (1 + np.log(own.times)) * idf[own.row]
    values = np.column_stack([weights**2, weights[:, None] * table[own.row]])
    totals = _sum_of_kept(kept, own.column, values)
    sums = _Sums(totals[:, 1:], totals[:, 0])

    shared, begins = held.select(~is_own), begins[~is_own]
    rows = shared.row[begins]
    for part, counts in _count_shared(kept, shared, begins):
        found = _sum_counts(member, rows, counts)
        sums.total[part] += found.total
        sums.squares[part] += found.squares
    return sums


def _sum_of_kept(kept: np.ndarray, column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Add up in each form the values of the columns that it keeps: `float32[forms, k]`, of `values: float[n, k]`."""
    by_column = np.zeros((kept.shape[1], values.shape[1]), np.float32)
    if len(values):
        order = np.argsort(column, kind="stable")
        starts = np.flatnonzero(np.diff(column[order], prepend=-1))
        by_column[column[order][starts]] = np.add.reduceat(values[order], starts, axis=0)
    return kept.astype(np.float32) @ by_column


def _average_vectors(document: Shortened, member: Parameters, held: _Held) -> np.ndarray:
    """Average the vectors of the words that each form keeps, `float32[forms, dim]`, weighted as they occur."""
    kept = np.append(document.kept, np.ones((len(document.kept), 1), bool), axis=1)
    weights = held.times * member["embedding"]["idf"][held.row]
    values = np.column_stack([weights, weights[:, None] * member["embedding"]["embedding"][held.row]])
    totals = _sum_of_kept(kept, held.column, values)
    average: np.ndarray = totals[:, 1:] / np.where(totals[:, :1] > 0, totals[:, :1], 1)
    return average


def _count_shared(kept: np.ndarray, held: _Held, begins: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Count how often forms hold each row, `float32[forms, rows]`, some forms at a time."""
    rows = int(begins.sum())
    if kept.shape[1] * rows <= BLOCK_VALUES:
        counts = np.zeros((kept.shape[1], rows), np.float32)
        counts[held.column, np.cumsum(begins) - 1] = held.times
        for part in _parts(len(kept), rows):
            yield part, kept[part].astype(np.float32) @ counts
        return
    starts, times = np.flatnonzero(begins), held.times.astype(np.float32)
    for part in _parts(len(kept), len(times)):
        yield part, np.add.reduceat(kept[part][:, held.column] * times, starts, axis=1)


def _sum_ngrams(model: Classifier, document: Shortened, member: Parameters) -> _Sums:
    """Add up the n-grams of words and marks that are neighbours once others are left out."""
    words = len(document.columns)
    ids, number = np.unique(document.document.ids, return_inverse=True)
    are_worth_it = model.architecture.ngrams == 2 and len(ids) ** 2 <= min(MAX_PAIRS, len(document.kept) * words)
    pairs = _look_up_pairs(model, ids, document.document.unknown) if are_worth_it else None
    sums = []
    for part in _parts(len(document.kept), 8 * words):
        shortened = document._replace(kept=document.kept[part])
        forms, rows = _list_ngrams(model, shortened) if pairs is None else _list_pairs(shortened, number, pairs)
        known, place = np.unique(rows, return_inverse=True)
        n_forms = len(shortened.kept)
        counts = np.bincount(forms * len(known) + place, minlength=n_forms * len(known))
        sums.append(_sum_counts(member, known, counts.reshape(n_forms, len(known)).astype(np.float32)))
    return _Sums(*(np.concatenate(own) for own in zip(*sums, strict=True)))


def _list_ngrams(model: Classifier, document: Shortened) -> tuple[np.ndarray, np.ndarray]:
    """List the n-grams of two words and more that have a row: their forms, and their rows, `int[k]` both."""
    expanded = model.features.expand_words(document.forms())
    first = 1 + (model.architecture.prefix is not None)
    rows = expanded.rows.reshape(-1, model.architecture.reading.per_word)
    rows = rows[:, first : first + model.architecture.ngrams - 1]
    word, length = np.nonzero(rows)
    forms = np.repeat(np.arange(len(document.kept)), expanded.lengths // model.architecture.reading.per_word)
    return forms[word], rows[word, length]


def _list_pairs(document: Shortened, number: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do as `_list_ngrams`, given the rows of all pairs of a document's distinct ids and the number of each id."""
    places = np.flatnonzero(document.words_kept())
    forms, words = np.divmod(places.astype(np.int32 if document.kept.size < 2**31 else np.int64), len(number))
    kept = number[words]
    rows = np.where(forms[:-1] == forms[1:], pairs[kept[:-1], kept[1:]], 0) if len(kept) else kept
    found = np.flatnonzero(rows)
    return forms[found].astype(np.int64), rows[found]


def _look_up_pairs(model: Classifier, ids: np.ndarray, unknown: pa.StringArray) -> np.ndarray:
    """Return the row of each pair of ids, `int32[ids, ids]`, 0 where it has none."""
    pairs = np.zeros((len(ids), len(ids)), np.int32)
    for part in _parts(len(ids), 16 * len(ids)):
        both = np.stack(np.broadcast_arrays(ids[part, None], ids), axis=-1)
        documents = TokenIds(both.reshape(-1), np.arange(0, both.size + 1, 2), unknown)
        rows = model.features.expand_words(documents).rows
        rows = rows.reshape(*both.shape, model.architecture.reading.per_word)
        pairs[part] = rows[:, :, 0, 1 + (model.architecture.prefix is not None)]
    return pairs


def _sum_counts(member: Parameters, rows: np.ndarray, counts: np.ndarray) -> _Sums:
    """Weigh and add up rows, `int[rows]`, that forms hold so often, `float32[forms, rows]`."""
    weights = np.log(np.maximum(counts, 1))
    weights += counts > 0
    weights *= member["embedding"]["idf"][rows]
    return _Sums(weights @ member["embedding"]["embedding"][rows], np.einsum("ij,ij->i", weights, weights))


def _scaled(sums: _Sums) -> np.ndarray:
    """Divide totals by the norms of their weights."""
    scaled: np.ndarray = sums.total / np.sqrt(np.where(sums.squares > 0, sums.squares, 1))[:, None]
    return scaled


def _parts(forms: int, values: int) -> Iterator[slice]:
    """Take some forms at a time, of so many values each."""
    size = max(1, BLOCK_VALUES // max(1, values))
    yield from (slice(start, start + size) for start in range(0, max(1, forms), size))
