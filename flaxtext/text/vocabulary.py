"""Words and their ids: 1 for the most frequent word, ties in order of first appearance, 0 for padding."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.core.parallel import ordered_map
from flaxtext.text.tokens import tokenize

SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64()), ("id", pa.int32())])
MAX_WORDS = 2**24
BATCH_ROWS = 65_536
ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
"""Of Parquet; the others can make much of few bytes."""


class Vocabulary:
    """The words of a corpus by id.

    Attributes:
        words: `string[n]`; the word with id `i` is `words[i - 1]`.
        counts: `int64[n]`, how often each occurs where the vocabulary was fitted.
    """

    def __init__(self, words: pa.Array, counts: np.ndarray) -> None:
        self.words = words
        self.counts = counts

    def __len__(self) -> int:
        return len(self.words)

    @property
    def rows(self) -> int:
        """Rows of an embedding table: one a word, and row 0 for padding."""
        return len(self.words) + 1

    def ids(self, words: pa.Array) -> np.ndarray:
        """Look words up: `int32[len(words)]`, 0 for a word that is not in the vocabulary."""
        found = pc.index_in(words, self.words.cast(words.type))
        return np.asarray(pc.add(found, 1).fill_null(0), np.int32)


def fit(texts: Iterable[pa.Array], max_words: int | None = None, min_count: int = 1) -> Vocabulary:
    """Count the words of all batches of texts (`string[rows]` each) and number them by falling count.

    Memory grows with the number of distinct words, not with the corpus.
    """
    words, counts = pa.array([], pa.string()), np.zeros(0, np.int64)
    pending: list[tuple[pa.Array, np.ndarray]] = []
    for tally in ordered_map(_tally, texts):
        pending.append(tally)
        if sum(len(batch_words) for batch_words, _ in pending) > max(len(words), 100_000):
            words, counts = _merge([(words, counts), *pending])
            pending = []
    words, counts = _merge([(words, counts), *pending])

    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count][:max_words]
    return Vocabulary(words.take(pa.array(order)), counts[order])


def _tally(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Count the words of one batch; words in order of first appearance."""
    tally = pc.value_counts(tokenize(texts).values)
    return tally.field("values").cast(pa.string()), tally.field("counts").to_numpy()


def _merge(tallies: list[tuple[pa.Array, np.ndarray]]) -> tuple[pa.Array, np.ndarray]:
    """Add up counts of words, which stay in order of first appearance."""
    words = pa.concat_arrays([words for words, _ in tallies]).dictionary_encode()
    counts = np.zeros(len(words.dictionary), np.int64)
    np.add.at(counts, words.indices.to_numpy(), np.concatenate([counts for _, counts in tallies]))
    return words.dictionary, counts


def save(vocabulary: Vocabulary, path: str | Path) -> None:
    """Write `word, count, id`, sorted by id from 1, to a Parquet file.

    Without compression, so that `load` can trust a file of strangers not to grow beyond its size.
    """
    ids = pa.array(np.arange(1, vocabulary.rows, dtype=np.int32))
    table = pa.table([vocabulary.words, pa.array(vocabulary.counts), ids], schema=SCHEMA)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="none")


def load(path: str | Path) -> Vocabulary:
    """Read what `save` wrote. Raises `UserError` where the file is no vocabulary."""
    words, counts, ids = [pa.array([], pa.string())], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    with _open(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            if any(column.null_count for column in batch.columns):
                raise UserError(f"{path}: not a vocabulary: a word, count or id is missing")
            # Still encoded: distinct words take no more memory than the file has bytes.
            if pc.count_distinct(batch["word"].indices).as_py() < len(batch):
                raise UserError(f"{path}: not a vocabulary: a word stands twice")
            words.append(batch["word"].dictionary_decode())
            counts.append(batch["count"].to_numpy())
            ids.append(batch["id"].to_numpy())
    vocabulary = Vocabulary(pa.concat_arrays(words), np.concatenate(counts))
    if not np.array_equal(np.concatenate(ids), np.arange(1, vocabulary.rows)):
        raise UserError(f"{path}: not a vocabulary: expected word, count and id, sorted by id from 1")
    try:
        vocabulary.words.validate(full=True)
    except pa.ArrowInvalid:
        raise UserError(f"{path}: not a vocabulary: a word is not UTF-8") from None
    if pc.count_distinct(vocabulary.words).as_py() < len(vocabulary):
        raise UserError(f"{path}: not a vocabulary: a word stands twice")
    return vocabulary


@contextmanager
def _open(path: str | Path) -> Iterator[pq.ParquetFile]:
    """Open a file that holds the columns of `SCHEMA`, uncompressed, and a believable number of words."""
    try:
        with pq.ParquetFile(path, read_dictionary=["word"]) as file:
            types = [pa.dictionary(pa.int32(), pa.string()), *SCHEMA.types[1:]]
            if file.schema_arrow.names != SCHEMA.names or file.schema_arrow.types != types:
                raise UserError(f"{path}: not a vocabulary: expected word, count and id, sorted by id from 1")
            if file.metadata.num_rows > MAX_WORDS:
                raise UserError(f"{path}: {file.metadata.num_rows:,} words; at most {MAX_WORDS:,} are read")
            groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
            columns = [group.column(index) for group in groups for index in range(len(SCHEMA))]
            if any(
                column.compression != "UNCOMPRESSED" or not ENCODINGS.issuperset(column.encodings) for column in columns
            ):
                raise UserError(f"{path}: not as this version of flaxtext writes vocabularies; run `dvc repro`")
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise UserError(f"{path}: not a vocabulary: {' '.join(str(error).split())[:200]}") from None
