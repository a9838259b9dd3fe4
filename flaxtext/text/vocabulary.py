"""Words and their ids: 1 for the most frequent word, ties in order of first appearance, 0 for padding."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import numpy_array
from flaxtext.core.parallel import ordered_map
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.words import Tokenizer

MAX_WORDS, MAX_WORD_BYTES = 2**24, 2**28
"""How many words a vocabulary has at most, and how many bytes all of them together."""


class Vocabulary:
    """The words of a corpus by id.

    Attributes:
        words: `string[n]`; the word with id `i` is `words[i - 1]`.
        counts: `int64[n]`, how often each occurs where the vocabulary was fitted.
        tokenizer: what finds such words in texts.
    """

    def __init__(self, words: pa.Array, counts: np.ndarray, tokenizer: Tokenizer = "unicode") -> None:
        self.words = words
        self.counts = counts
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.words)

    @property
    def rows(self) -> int:
        """Rows of an embedding table: one a word, and row 0 for padding."""
        return len(self.words) + 1

    def ids(self, words: pa.Array) -> np.ndarray:
        """Look words up: `int32[len(words)]`, 0 for a word that is not in the vocabulary."""
        found = pc.index_in(words, self.words.cast(words.type))
        ids = np.frombuffer(found.buffers()[1], np.int32, len(found)) + np.int32(1)
        ids[numpy_array(found.is_null())] = 0
        return ids


def fit_vocabulary(
    texts: Iterable[pa.Array],
    max_words: int | None = None,
    min_count: int = 1,
    tokenizer: Tokenizer = "unicode",
) -> Vocabulary:
    """Count the words of all batches of texts (`string[rows]` each) and number them by falling count.

    Memory grows with the number of distinct words, not with the corpus.
    """
    words, counts = pa.array([], pa.string()), np.zeros(0, np.int64)
    pending: list[tuple[pa.Array, np.ndarray]] = []
    for tally in ordered_map(partial(_tally, tokenizer=tokenizer), texts):
        pending.append(tally)
        if sum(len(batch_words) for batch_words, _ in pending) > max(len(words), 100_000):
            words, counts = _merge([(words, counts), *pending])
            pending = []
    words, counts = _merge([(words, counts), *pending])

    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count][:max_words]
    return Vocabulary(words.take(pa.array(order)), counts[order], tokenizer)


def _tally(texts: pa.Array, tokenizer: Tokenizer) -> tuple[pa.Array, np.ndarray]:
    """Count the words of one batch; words in order of first appearance."""
    tally = pc.value_counts(tokenize(texts, tokenizer).values)
    return tally.field("values").cast(pa.string()), tally.field("counts").to_numpy()


def _merge(tallies: list[tuple[pa.Array, np.ndarray]]) -> tuple[pa.Array, np.ndarray]:
    """Add up counts of words, which stay in order of first appearance."""
    words = pa.concat_arrays([words for words, _ in tallies]).dictionary_encode()
    counts = np.zeros(len(words.dictionary), np.int64)
    np.add.at(counts, words.indices.to_numpy(), np.concatenate([counts for _, counts in tallies]))
    return words.dictionary, counts
