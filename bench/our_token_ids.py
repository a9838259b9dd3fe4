"""flaxtext's vocabulary and token ids, through its public functions. Does without JAX, as the stages do."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.artifacts.corpus import BATCH_ROWS, Corpus
from flaxtext.artifacts.token_ids import read_token_ids, write_token_ids, write_unknown_words
from flaxtext.artifacts.vocabulary import read_vocabulary, write_vocabulary
from flaxtext.core.parallel import ordered_map
from flaxtext.text.token_ids import Examples, TokenIds, UnknownWords, number_words, offsets_of
from flaxtext.text.vocabulary import Vocabulary, fit_vocabulary
from flaxtext.text.words import Tokenizer

MAX_LEN = 50


def batches(texts: pa.Array) -> list[pa.Array]:
    """Cut texts into the record batches that a corpus is read in; copies nothing."""
    return [texts[start : start + BATCH_ROWS] for start in range(0, len(texts), BATCH_ROWS)]


def number(texts: pa.Array, words: Vocabulary) -> TokenIds:
    """Turn `string[n]` into the first 50 known words of each, in memory, batch by batch on all cores as everywhere."""

    def one(batch: pa.Array) -> TokenIds:
        return tutorials(number_words(batch, words), words)

    parts = list(ordered_map(one, batches(texts)))
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenIds(np.concatenate([part.ids for part in parts]), offsets_of(lengths))


def tutorials(documents: TokenIds, words: Vocabulary) -> TokenIds:
    """Take of documents what the tutorial reads: known words alone, the first 50."""
    return documents.known(words.rows).first(MAX_LEN)


def in_memory(train: pa.Array, test: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Fit a vocabulary on both splits, and number the words of both: `int32[n, 50]` each."""
    words = fit_vocabulary([*batches(train), *batches(test)], tokenizer="keras")
    return number(train, words).padded(MAX_LEN), number(test, words).padded(MAX_LEN)


def in_files(
    folder: str,
    splits: Sequence[str] = ("train", "test"),
    warm_up: str | None = None,
    fit_on: Sequence[str] | None = None,
    tokenizer: Tokenizer = "keras",
) -> dict[str, float]:
    """Do the same from Parquet to Parquet, a batch at a time and documents whole; returns seconds.

    `warm_up` is a folder of a few documents to do first: what a process spends once then does not count. The
    vocabulary is that of the splits `fit_on`, or of all, and `tokenizer` says what a word is.
    """
    if warm_up is not None:
        in_files(warm_up, splits)
    vocab = Path(folder, "vocab.parquet")
    started = time.perf_counter()
    write_vocabulary(vocab, fit_vocabulary(_texts(folder, fit_on or splits), tokenizer=tokenizer))
    between = time.perf_counter()
    words = read_vocabulary(vocab)
    unknown = UnknownWords(words)
    for split in splits:
        corpus = Corpus(Path(folder, f"{split}.parquet"))
        write_token_ids(
            Path(folder, "token_ids", f"{split}.parquet"),
            unknown.number(corpus.texts_and_labels()),
            classes=corpus.classes,
            origin=corpus.origin,
        )
    write_unknown_words(Path(folder, "token_ids", "unknown.parquet"), unknown.words, words.rows)
    return {"vocabulary": between - started, "token ids": time.perf_counter() - between}


def _texts(folder: str, splits: Sequence[str]) -> Iterator[pa.Array]:
    for split in splits:
        yield from Corpus(Path(folder, f"{split}.parquet")).texts()


class Files:
    """A folder of documents that `in_files` has numbered."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.words = read_vocabulary(self.folder / "vocab.parquet")
        self.classes = Corpus(self.folder / "train.parquet").classes

    def whole(self, split: str) -> Examples:
        """Read a split, its documents whole, with the marks between their words."""
        folder = self.folder / "token_ids"
        found = read_token_ids(folder / f"{split}.parquet", folder / "unknown.parquet", marks=True)
        return Examples(found.documents, found.labels)

    def examples(self, split: str) -> Examples:
        """Read of a split what the tutorial reads."""
        found = read_token_ids(self.folder / "token_ids" / f"{split}.parquet")
        return Examples(tutorials(found.documents, self.words), found.labels)
