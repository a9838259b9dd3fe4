"""The vocabulary: `word, count, id`, a row for each word, in a Parquet file that may come from a stranger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.artifacts import Format
from flaxtext.core.arrow import numpy_array, string_array
from flaxtext.core.errors import UserError, one_line
from flaxtext.core.files import atomic
from flaxtext.text.vocabulary import Vocabulary

FORMAT = Format("vocabulary", 1)
SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64()), ("id", pa.int32())])
MAX_WORDS = 2**24
BATCH_ROWS = 65_536
ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
"""Of Parquet; the others can make much of few bytes."""


def write_vocabulary(path: str | Path, vocabulary: Vocabulary) -> None:
    """Write `word, count, id`, sorted by id from 1, to a Parquet file.

    Without compression, so that `read_vocabulary` can trust a file of strangers not to grow beyond its size.
    """
    ids = pa.array(np.arange(1, vocabulary.rows, dtype=np.int32))
    table = pa.table([vocabulary.words, pa.array(vocabulary.counts), ids], schema=FORMAT.stamp(SCHEMA))
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="none")


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read what `write_vocabulary` wrote. Raises `UserError` where the file is no vocabulary."""
    words, counts, ids = [string_array([])], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    with _open(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            if any(column.null_count for column in batch.columns):
                raise UserError(f"{path}: not a vocabulary: a word, count or id is missing")
            # Still encoded: distinct words take no more memory than the file has bytes.
            if pc.count_distinct(batch["word"].indices).as_py() < len(batch):
                raise UserError(f"{path}: not a vocabulary: a word stands twice")
            words.append(batch["word"].dictionary_decode())
            counts.append(numpy_array(batch["count"]))
            ids.append(numpy_array(batch["id"]))
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
            FORMAT.check(path, file.schema_arrow)
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
    except KeyError:  # no column of that name
        raise UserError(f"{path}: not a vocabulary: expected word, count and id, sorted by id from 1") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise UserError(f"{path}: not a vocabulary: {one_line(error)}") from None
