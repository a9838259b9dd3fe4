"""What a document holds beside its words: prefixes, n-grams of words and marks, and n-grams of characters.

Each is a feature, and has a row of the model's table. A word's prefix is its first letters, so that words that begin
alike share a row. N-grams are those of the training documents, if they occur often enough there; n-grams of words are
made of prefixes where there are prefixes, and meet their like more often. N-grams of characters are those of each word
by itself, a space before and after it, so that a word that training lacks is known by its parts (subwords; Bojanowski
et al. 2017, arXiv:1607.04606).

An n-gram is known by a 32-bit hash: where a million n-grams have rows, one in 4,000 others is taken for one of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import numpy_array, string_array
from flaxtext.core.parallel import ordered_map
from flaxtext.text.token_ids import TokenIds, offsets_of, places

CHUNK_WORDS = 2**18
"""Words of documents whose features are listed at a time."""
MAX_NGRAMS = 2**24
NO_KEYS = np.zeros(0, np.uint32)
MULTIPLIER = np.uint32(0x9E3779B1)
NO_IDS = np.zeros(0, np.int32)


class FeatureIds(NamedTuple):
    """The features of documents; those of document i are `rows[offsets[i]:offsets[i + 1]]`.

    Attributes:
        rows: int32[k]; of the model's table, 0 for padding.
        offsets: int64[n + 1], from 0.
        weights: float32[k]; what each counts. None: 1.
    """

    rows: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray | None = None

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Features of each document, `int64[n]`."""
        return np.diff(self.offsets)

    @property
    def values(self) -> np.ndarray:
        """What each feature counts, `float32[k]`, where all count 1, too."""
        return np.ones(len(self.rows), np.float32) if self.weights is None else self.weights

    def with_empty(self) -> "FeatureIds":
        """Add a document without features, to fill a batch up with."""
        return self._replace(offsets=np.append(self.offsets, self.offsets[-1]))

    def closed_up(self) -> "FeatureIds":
        """Leave padding out."""
        return self.select(self.rows != 0)

    def select(self, is_kept: np.ndarray) -> "FeatureIds":
        """Keep the features where `is_kept: bool[k]`, in their order."""
        if is_kept.all():
            return self
        weights = self.weights if self.weights is None else self.weights[is_kept]
        return FeatureIds(self.rows[is_kept], np.append(0, np.cumsum(is_kept))[self.offsets], weights)

    def part(self, first: int, last: int) -> "FeatureIds":
        """Take the documents from `first` to before `last`."""
        offsets = self.offsets[first : last + 1]
        kept = slice(offsets[0], offsets[-1])
        return FeatureIds(self.rows[kept], offsets - offsets[0], None if self.weights is None else self.weights[kept])

    def chunks(self, size: int) -> Iterator["FeatureIds"]:
        """Cut into parts of about `size` features, a document at least; one part where there are no documents."""
        for first, last in bounds(self.offsets, size):
            yield self.part(first, last)

    @classmethod
    def together(cls, parts: list["FeatureIds"]) -> "FeatureIds":
        """Put documents after one another; there is at least one part."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            np.concatenate([part.rows for part in parts]),
            offsets_of(np.concatenate([part.lengths for part in parts])),
            np.concatenate(weights) if weights else None,
        )


@dataclass(frozen=True)
class Reading:
    """What is read of a document.

    Attributes:
        prefix: letters of a prefix; None for no prefixes.
        ngrams: words of the longest n-gram; 1 for none.
        marks: whether punctuation and symbols are read, alone and in n-grams, as words are.
        characters: letters of the longest n-gram of characters; 0 for none.
        vectors: whether a word that has a pretrained vector is a second feature, as which it stands for its vector.
    """

    prefix: int | None = None
    ngrams: int = 1
    marks: bool = False
    characters: int = 0
    vectors: bool = False

    @property
    def per_word(self) -> int:
        """Features that begin at a word of a document, n-grams of characters not counted."""
        return 1 + (self.prefix is not None) + (self.ngrams - 1) + self.vectors

    @property
    def reads_unknown(self) -> bool:
        """Whether a word that the vocabulary lacks can have features: its prefix, or n-grams of its characters."""
        return self.prefix is not None or self.characters > 0


class Features:
    """The features of documents, by their rows.

    Args:
        words: `string[n]`; the word with id `i` is `words[i - 1]`.
        reading: what is read.
        ngrams: uint32[k]; the hashes of the n-grams of words and marks, marks alone included, that have a row,
            ascending.
        characters: uint32[k]; likewise of the n-grams of characters.
        vectors: int32[k]; the ids of the words that have a pretrained vector, ascending.
        n_known: how many of the words, the first, have rows of their own; None: all.

    Attributes:
        rows: of the table: padding, words, prefixes, n-grams of words, n-grams of characters, words with vectors.
        first_ngram, first_character, first_vector: the rows where those begin.
    """

    def __init__(
        self,
        words: pa.Array,
        reading: Reading,
        ngrams: np.ndarray = NO_KEYS,
        characters: np.ndarray = NO_KEYS,
        vectors: np.ndarray = NO_IDS,
        n_known: int | None = None,
    ) -> None:
        self.words, self.reading, self.ngrams, self.characters = words, reading, ngrams, characters
        self.vectors = vectors
        self.n_known = len(words) if n_known is None else n_known
        self.first_ngram = self.n_known + 1
        self._prefixes = string_array([])
        self._prefix_rows = np.zeros(0, np.int32)
        if reading.prefix is not None:
            encoded = _first_letters(words, reading.prefix).dictionary_encode()
            self._prefixes = encoded.dictionary
            self._prefix_rows = np.append(0, self.first_ngram + numpy_array(encoded.indices)).astype(np.int32)
            self.first_ngram += len(encoded.dictionary)
        self.first_character = self.first_ngram + len(ngrams)
        self.first_vector = self.first_character + len(characters)
        self.rows = self.first_vector + len(vectors)
        nothing = _Parts(np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(2, np.int64))
        self._seen: tuple[object, _Parts] = (None, nothing)

    def expand(self, documents: TokenIds) -> FeatureIds:
        """List all that documents hold: position after position, and at the end n-grams of characters.

        A position becomes the word or mark, its prefix, and the n-grams that begin there, shortest first; 0 for what
        is not there or has no row, a word that the vocabulary lacks for one. N-grams of characters without a row are
        left out.
        """
        if self.reading == Reading():
            return FeatureIds(self._word_rows(documents.ids), documents.offsets)
        unknown = self._unknown(documents)
        self._known  # noqa: B018  it is made here, and not by each thread
        chosen = (documents[first:last] for first, last in bounds(documents.offsets, CHUNK_WORDS))
        return FeatureIds.together(list(ordered_map(lambda part: self._expand(part, unknown), chosen)))

    def expand_words(self, documents: TokenIds) -> FeatureIds:
        """List what documents hold, position after position, without n-grams of characters."""
        return self._expand_words(documents, self._unknown(documents))

    def expand_characters(self, documents: TokenIds) -> FeatureIds:
        """List the n-grams of characters of each word of documents, a list for each word."""
        return self._expand_characters(documents.ids, self._unknown(documents))

    def _expand(self, documents: TokenIds, unknown: "_Parts") -> FeatureIds:
        listed = self._expand_words(documents, unknown)
        if not self.reading.characters:
            return listed
        found = self._expand_characters(documents.ids, unknown)
        found = FeatureIds(found.rows, found.offsets[documents.offsets])
        rows = np.empty(len(listed.rows) + len(found.rows), np.int32)
        offsets = listed.offsets + found.offsets
        rows[places(offsets[:-1], listed.offsets)] = listed.rows
        rows[places(offsets[:-1] + listed.lengths, found.offsets)] = found.rows
        return FeatureIds(rows, offsets)

    def _expand_words(self, documents: TokenIds, unknown: "_Parts") -> FeatureIds:
        words, base = self._word_rows(documents.ids), self._bases(documents.ids, unknown)
        is_mark = documents.ids < 0
        first, *others = [
            find(self.ngrams, own, present, self.first_ngram)
            for own, present in hash_ngrams(base, documents.offsets, self.reading.ngrams)
        ]
        prefixes = [] if self.reading.prefix is None else [np.where(base > 0, self.n_known + base, 0)]
        vectors = [find(self.vectors, documents.ids, ~is_mark, self.first_vector)] if self.reading.vectors else []
        columns = [np.where(is_mark, first, words), *prefixes, *others, *vectors]
        return FeatureIds(np.stack(columns, axis=1).reshape(-1), documents.offsets * self.reading.per_word)

    def _bases(self, ids: np.ndarray, unknown: "_Parts") -> np.ndarray:
        """What n-grams are made of, `int32[words]`: prefixes or words by number, 0 for none, and marks as they are.

        Prefixes are numbered from 1: a vocabulary of the first words alone has the same n-grams.
        """
        base = self._word_rows(ids)
        if self.reading.prefix is not None:
            of_unknown = unknown.prefixes[self._place(ids, unknown)]
            of_known = self._known.prefixes[np.clip(ids, 0, len(self.words))]
            base = np.maximum(np.where(ids > len(self.words), of_unknown, of_known) - self.n_known, 0)
        return np.where(ids < 0, ids, base)

    def _expand_characters(self, ids: np.ndarray, unknown: "_Parts") -> FeatureIds:
        known, words, is_unknown = self._known, np.clip(ids, 0, len(self.words)), ids > len(self.words)
        place = self._place(ids, unknown)
        starts = np.where(is_unknown, unknown.offsets[place], known.offsets[words])
        ends = np.where(is_unknown, unknown.offsets[place + 1], known.offsets[words + 1])
        offsets = offsets_of(ends - starts)
        at = places(starts, offsets)
        if not is_unknown.any():
            return FeatureIds(known.rows[at], offsets)
        of_unknown = np.repeat(is_unknown, ends - starts)
        rows = np.empty(len(at), np.int32)
        rows[~of_unknown] = known.rows[at[~of_unknown]]
        rows[of_unknown] = unknown.rows[at[of_unknown]]
        return FeatureIds(rows, offsets)

    def _place(self, ids: np.ndarray, unknown: "_Parts") -> np.ndarray:
        """Where unknown words are among `unknown`, the last of which, of no parts, stands for those not told."""
        place: np.ndarray = np.clip(ids - len(self.words) - 1, 0, len(unknown.prefixes) - 1)
        return place

    def _unknown(self, documents: TokenIds) -> "_Parts":
        """What the unknown words of documents are made of; remembered, for parts of the same documents come next."""
        words, parts = self._seen
        if words is not documents.unknown:
            parts = self._parts_of(documents.unknown)
            ends = np.append(parts.offsets, parts.offsets[-1])
            parts = _Parts(np.append(parts.prefixes, np.int32(0)), parts.rows, ends)
            self._seen = documents.unknown, parts
        return parts

    def _word_rows(self, ids: np.ndarray) -> np.ndarray:
        rows: np.ndarray = np.where((ids > 0) & (ids <= self.n_known), ids, 0).astype(np.int32)
        return rows

    @cached_property
    def _known(self) -> "_Parts":
        """What the words are made of, by id; there is nothing in padding, id 0."""
        parts = self._parts_of(self.words.cast(pa.string()))
        prefixes = self._prefix_rows if self.reading.prefix is not None else np.zeros(len(self.words) + 1, np.int32)
        return _Parts(prefixes, parts.rows, np.append(0, parts.offsets))

    def _parts_of(self, words: pa.StringArray) -> "_Parts":
        prefixes = np.zeros(len(words), np.int32)
        if self.reading.prefix is not None:
            found = pc.index_in(_first_letters(words, self.reading.prefix), self._prefixes)
            first = self.n_known + 1
            place = np.frombuffer(found.buffers()[1], np.int32, len(found))
            prefixes = np.where(numpy_array(found.is_valid()), first + place, 0).astype(np.int32)
        if not self.reading.characters:
            return _Parts(prefixes, np.zeros(0, np.int32), np.zeros(len(words) + 1, np.int64))
        hashes, offsets = hash_characters(words, self.reading.characters)
        rows = find(self.characters, hashes, np.ones(len(hashes), bool), self.first_character)
        return _Parts(prefixes, rows[rows > 0], np.append(0, np.cumsum(rows > 0))[offsets])


class _Parts(NamedTuple):
    """What words are made of, by id: `prefixes: int32[n]`, 0 for none, and `rows` of n-grams of characters, ragged."""

    prefixes: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray


def bounds(offsets: np.ndarray, size: int) -> list[tuple[int, int]]:
    """Part documents into runs of about `size` items, a document at least: the first of each run, and its end."""
    starts = np.searchsorted(offsets[:-1], np.arange(0, max(1, offsets[-1]), size))
    starts = np.unique(np.append(0, np.minimum(starts, max(0, len(offsets) - 2))))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(offsets) - 1], strict=True))


def find(keys: np.ndarray, hashes: np.ndarray, present: np.ndarray, first: int) -> np.ndarray:
    """Look hashes up in ascending `keys`: `int32[n]`, rows from `first` on; 0 where none is, or not `present`."""
    rows = np.zeros(len(hashes), np.int32)
    asked = np.flatnonzero(present).astype(np.uint64)
    if not len(keys) or not len(asked):
        return rows
    # Sorted: to go through the keys once takes half the time of looking here and there in them.
    ordered = np.sort(hashes[asked].astype(np.uint64) << np.uint64(32) | asked)
    sought = (ordered >> np.uint64(32)).astype(np.uint32)
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    found = keys[place] == sought
    rows[ordered[found] & np.uint64(0xFFFFFFFF)] = first + place[found]
    return rows


def hash_ngrams(base: np.ndarray, offsets: np.ndarray, longest: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, shortest n-grams first, the hash of that which begins at each position, and whether there is one.

    `base: int32[words]` are the numbers of words or prefixes, 0 for unknown ones, below 0 for marks; documents lie
    between `offsets`. Of one word alone there is an n-gram where it is a mark: words have rows of their own.
    """
    key = _mix(base.astype(np.uint32))
    yield key, base < 0
    present = base != 0
    left = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(base))
    key = base.astype(np.uint32)
    for n in range(2, longest + 1):
        following = np.append(base[n - 1 :], np.zeros(min(n - 1, len(base)), base.dtype))
        key = _mix(key * MULTIPLIER + following.astype(np.uint32))
        present = present & (following != 0) & (left >= n)
        yield key, present


def hash_characters(words: pa.StringArray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash the n-grams of characters of each word, of 1 to `longest`: `uint32[k]` between `offsets: int64[n + 1]`.

    A space stands before and after a word; alone it is no n-gram.
    """
    if not len(words):
        return NO_KEYS, np.zeros(1, np.int64)
    lengths = numpy_array(pc.utf8_length(words)).astype(np.int64) + 2
    text = "".join(f" {word} " for word in words.to_pylist())
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    ends = np.repeat(np.cumsum(lengths), lengths)
    owners = np.repeat(np.arange(len(words)), lengths)
    left = ends - np.arange(len(characters))
    hashes, present = [], []
    key = characters.copy()
    for n in range(1, longest + 1):
        if n > 1:
            following = np.append(characters[n - 1 :], np.zeros(min(n - 1, len(characters)), np.uint32))
            key = _mix(key * MULTIPLIER + following)
        hashes.append(_mix(key + np.uint32(n)))
        present.append((left >= n) if n > 1 else (left < np.repeat(lengths, lengths)) & (left > 1))
    is_one = np.stack(present, axis=1)
    counts = np.bincount(owners, weights=is_one.sum(axis=1), minlength=len(words)).astype(np.int64)
    return np.stack(hashes, axis=1)[is_one], offsets_of(counts)


def _first_letters(words: pa.Array, letters: int) -> pa.StringArray:
    return pc.utf8_slice_codeunits(words, 0, letters).cast(pa.string())


def _mix(key: np.ndarray) -> np.ndarray:
    """Spread `uint32` keys over all 32 bits; the finalizer of MurmurHash3 (Appleby, public domain)."""
    key = (key ^ (key >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    key = (key ^ (key >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    spread: np.ndarray = key ^ (key >> np.uint32(16))
    return spread


def fit_features(
    words: pa.Array,
    documents: TokenIds,
    reading: Reading,
    *,
    min_count: int = 1,
    max_rows: int | None = None,
    vectors: np.ndarray = NO_IDS,
    n_known: int | None = None,
) -> Features:
    """Return the features whose n-grams are those that occur `min_count` times in the documents.

    Where the table would have more than `max_rows` rows, the most frequent n-grams are kept, with `MAX_NGRAMS` at most
    of words, and of characters. `vectors` and `n_known` are as in `Features`.
    """
    unfitted = Features(words, reading, vectors=vectors, n_known=n_known)
    found = [
        _count_ngrams(unfitted, documents[first:last]) for first, last in bounds(documents.offsets, 8 * CHUNK_WORDS)
    ]
    ngrams = _frequent(*_add_up(found), min_count)
    characters = _frequent(*_count_characters(unfitted, documents), min_count)
    room = 2 * MAX_NGRAMS if max_rows is None else max(0, max_rows - unfitted.rows)
    keys = _most_frequent([ngrams, characters], room)
    ngrams, characters = (_most_frequent([own], MAX_NGRAMS)[0] for own in keys)
    return Features(words, reading, ngrams[0], characters[0], vectors, n_known)


Counted = tuple[np.ndarray, np.ndarray]
"""Hashes, `uint32[k]`, ascending, and how often each occurs, `int64[k]`."""


def _count_ngrams(unfitted: Features, documents: TokenIds) -> Counted:
    reading = unfitted.reading
    if reading.ngrams == 1 and not reading.marks:
        return NO_KEYS, np.zeros(0, np.int64)
    base = unfitted._bases(documents.ids, unfitted._unknown(documents))
    hashes = [own[present] for own, present in hash_ngrams(base, documents.offsets, reading.ngrams)]
    return np.unique(np.concatenate(hashes), return_counts=True)


def _count_characters(unfitted: Features, documents: TokenIds) -> Counted:
    if not unfitted.reading.characters:
        return NO_KEYS, np.zeros(0, np.int64)
    counts = np.bincount(documents.ids[documents.ids > 0], minlength=len(unfitted.words) + 1)[1:]
    words = pa.concat_arrays([unfitted.words.cast(pa.string()), documents.unknown])
    counts = np.append(counts, np.zeros(len(words), np.int64))[: len(words)]
    hashes, offsets = hash_characters(words, unfitted.reading.characters)
    return _add_up([(hashes, np.repeat(counts, np.diff(offsets)))])


def _add_up(parts: list[Counted]) -> Counted:
    hashes = np.concatenate([NO_KEYS, *(own for own, _ in parts)])
    keys, inverse = np.unique(hashes, return_inverse=True)
    counts = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in parts)])
    return keys, np.bincount(inverse, weights=counts, minlength=len(keys)).astype(np.int64)


def _frequent(keys: np.ndarray, counts: np.ndarray, min_count: int) -> Counted:
    kept = counts >= min_count
    return keys[kept], counts[kept]


def _most_frequent(kinds: list[Counted], room: int) -> list[Counted]:
    """Keep of all kinds together no more than `room` n-grams, the most frequent; of equal ones, the first."""
    counts = np.concatenate([counts for _, counts in kinds])
    if len(counts) <= room:
        return kinds
    kept = np.zeros(len(counts), bool)
    kept[np.argsort(-counts, kind="stable")[:room]] = True
    masks = np.split(kept, np.cumsum([len(keys) for keys, _ in kinds])[:-1])
    return [(keys[mask], counts[mask]) for (keys, counts), mask in zip(kinds, masks, strict=True)]
