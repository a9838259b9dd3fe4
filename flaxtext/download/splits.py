"""The test split of a source that has none: by a hash of the text, with a document of each class left in train."""

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from flaxtext.config import Split

Batches = Iterator[tuple[Split, pa.RecordBatch]]

NONE = np.uint64(2**64 - 1)
"""Stands for no document: one of this hash goes to train, whatever the fraction."""


class ReadAgain(Exception):  # noqa: N818 - it is no error
    """The documents are to be read once more: some that went to test are now known to belong into train."""


class HashSplit:
    """Sends about `test_fraction` of the documents to test, each by a hash of its own text.

    So other rows change nothing for a document, equal texts stay together, and each class keeps its share. There is one
    exception: where all documents of a class would go to test, the one of the smallest hash stays in train, and those
    of the same text with it, in whatever order the rows come. So added rows can only move documents of a class that was
    all in test, which hardly any class of ten documents or more is. That is known once all are read, so they are then
    to be read again.
    """

    def __init__(self, test_fraction: float, classes: int) -> None:
        self._limit = np.uint64(math.ceil(test_fraction * 2**64))
        self._in_train = np.zeros(classes, bool)
        self._smallest = np.full(classes, NONE)  # hash of each class, while none of its documents is in train
        self._stay = np.zeros(0, np.uint64)

    def split(self, batch: pa.RecordBatch) -> Batches:
        """Yield the documents of a batch that go to train, and those that go to test."""
        texts = batch["text"].cast(pa.binary()).to_pylist()
        digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
        hashes = np.frombuffer(digests, ">u8").astype(np.uint64)
        in_test = hashes < self._limit
        if len(self._stay):
            in_test &= ~np.isin(hashes, self._stay)
        self._note(batch["label"].indices.to_numpy(), in_test, hashes)
        yield "train", batch.filter(pa.array(~in_test))
        yield "test", batch.filter(pa.array(in_test))

    def settle(self) -> None:
        """Hear that all documents were read. Raises `ReadAgain` where a class has some in test and none in train."""
        missed = self._smallest[~self._in_train & (self._smallest != NONE)]
        self._in_train[:] = False
        self._smallest[:] = NONE
        if len(missed) and not len(self._stay):
            self._stay = missed
            raise ReadAgain

    def _note(self, codes: np.ndarray, in_test: np.ndarray, hashes: np.ndarray) -> None:
        self._in_train[codes[~in_test]] = True
        if not self._in_train.all():
            np.minimum.at(self._smallest, codes, hashes)
