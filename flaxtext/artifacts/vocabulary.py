"""The vocabulary: `word, count, id`, a row for each word, in a Parquet file, whose metadata name the tokenizer."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.artifacts import Format
from flaxtext.core.arrow import numpy_array
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.text.vocabulary import MAX_WORD_BYTES, MAX_WORDS, Vocabulary
from flaxtext.text.words import TOKENIZERS

FORMAT = Format("vocabulary", 2)
SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64()), ("id", pa.int32())])


def write_vocabulary(path: str | Path, vocabulary: Vocabulary) -> None:
    """Write `word, count, id`, sorted by id from 1, to a Parquet file, without compression.

    Raises `UserError` for more, or longer, words than a model can have.
    """
    size = pc.sum(pc.binary_length(vocabulary.words)).as_py() or 0
    if len(vocabulary) > MAX_WORDS or size > MAX_WORD_BYTES:
        raise UserError(
            f"{len(vocabulary):,} words of {size >> 20:,} MB; a model has at most {MAX_WORDS:,}, of "
            f"{MAX_WORD_BYTES >> 20} MB: raise build_vocab.min_count, or set build_vocab.max_words"
        )
    ids = pa.array(np.arange(1, vocabulary.rows, dtype=np.int32))
    schema = FORMAT.stamp(SCHEMA, tokenizer=vocabulary.tokenizer)
    table = pa.table([vocabulary.words, pa.array(vocabulary.counts), ids], schema=schema)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="none")


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read what `write_vocabulary` wrote. Raises `UserError` where the file is no vocabulary."""
    table = FORMAT.read(path)

    def refuse(reason: str) -> UserError:
        return UserError(f"{path}: not a vocabulary: {reason}; run `dvc repro`")

    if table.schema.names != SCHEMA.names or table.schema.types != SCHEMA.types:
        raise refuse("expected word, count and id, sorted by id from 1")
    words, counts, ids = (column.combine_chunks() for column in table.columns)
    if words.null_count or counts.null_count or ids.null_count:
        raise refuse("a word, count or id is missing")
    tokenizer: Any = FORMAT.check(path, table.schema).get("tokenizer")
    vocabulary = Vocabulary(words, numpy_array(counts), tokenizer)
    if not np.array_equal(numpy_array(ids), np.arange(1, vocabulary.rows)):
        raise refuse("expected word, count and id, sorted by id from 1")
    if pc.count_distinct(words).as_py() < len(words):
        raise refuse("a word occurs twice")
    if tokenizer not in TOKENIZERS:
        raise refuse(f"of the tokenizer {repr(tokenizer)[:20]}; there are {', '.join(TOKENIZERS)}")
    return vocabulary
