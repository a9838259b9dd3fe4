"""flaxtext's vocabulary and vectors, through its public functions. Does without JAX, as the stages do."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.text import vectors, vocabulary
from flaxtext.artifacts.corpus import BATCH_ROWS, Corpus
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.text.vocabulary import Vocabulary

MAX_LEN = 50


def batches(texts: pa.Array) -> list[pa.Array]:
    """Cut texts into the record batches that a corpus is read in; copies nothing."""
    return [texts[start : start + BATCH_ROWS] for start in range(0, len(texts), BATCH_ROWS)]


def vectorize(texts: pa.Array, words: Vocabulary) -> np.ndarray:
    """Turn `string[n]` into `int32[n, 50]`, in memory."""
    return np.concatenate([vectors.vectorize(batch, words, MAX_LEN) for batch in batches(texts)])


def in_memory(train: pa.Array, test: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Fit a vocabulary on both splits, and vectorize them."""
    words = vocabulary.fit([*batches(train), *batches(test)])
    return vectorize(train, words), vectorize(test, words)


def in_files(
    folder: str,
    splits: Sequence[str] = ("train", "test"),
    warm_up: str | None = None,
    fit_on: Sequence[str] | None = None,
) -> dict[str, float]:
    """Do the same from Parquet to Parquet, a batch at a time; returns seconds.

    `warm_up` is a folder of a few documents to do first: what a process spends once then does not count. The
    vocabulary is that of the splits `fit_on`, or of all.
    """
    if warm_up is not None:
        in_files(warm_up, splits)
    vocab = Path(folder, "vocab.parquet")
    started = time.perf_counter()
    vocabulary.save(vocabulary.fit(_texts(folder, fit_on or splits)), vocab)
    between = time.perf_counter()
    words = vocabulary.load(vocab)
    for split in splits:
        corpus = Corpus(Path(folder, f"{split}.parquet"))
        vectors.write(Path(folder, "vectors", f"{split}.parquet"), _vectors(corpus, words), len(corpus), MAX_LEN)
    return {"vocabulary": between - started, "vectors": time.perf_counter() - between}


def _texts(folder: str, splits: Sequence[str]) -> Iterator[pa.Array]:
    for split in splits:
        yield from Corpus(Path(folder, f"{split}.parquet")).texts()


def _vectors(corpus: Corpus, words: Vocabulary) -> Iterator[Vectors]:
    for texts, labels in corpus.texts_and_labels():
        yield Vectors(vectors.vectorize(texts, words, MAX_LEN), labels)


class Files:
    """A folder of documents that `in_files` has vectorized."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.words = vocabulary.load(self.folder / "vocab.parquet")
        self.classes = Corpus(self.folder / "train.parquet").classes

    def vectors(self, split: str) -> Vectors:
        """Read the vectors of a split."""
        return vectors.read(self.folder / "vectors" / f"{split}.parquet")
