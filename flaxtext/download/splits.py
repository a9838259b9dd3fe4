"""The test split of a source that has none: by a hash of the text, with a document of each class left in train."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from flaxtext.config import Split

Batches = Iterator[tuple[Split, pa.RecordBatch]]


class ReadAgain(Exception):  # noqa: N818 - it is no error
    """The documents are to be read once more: some that went to test are now known to belong into train."""


class HashSplit:
    """Sends about `test_fraction` of the documents to test, each by a hash of its own text.

    So other rows change nothing for a document, equal texts stay together, and each class keeps its share. There is one
    exception: where all documents of a class would go to test, the first of them stays in train, and those of the same
    text with it. That is known once all are read, so they are then to be read again.
    """

    def __init__(self, test_fraction: float, classes: int) -> None:
        self._limit = test_fraction * 2**64
        self._in_train = np.zeros(classes, bool)
        self._first: dict[int, int] = {}  # class -> hash of its first document, while none is in train
        self._stay: frozenset[int] = frozenset()

    def split(self, batch: pa.RecordBatch) -> Batches:
        """Yield the documents of a batch that go to train, and those that go to test."""
        texts = batch["text"].cast(pa.binary()).to_pylist()
        hashes = [int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") for text in texts]
        in_test = np.fromiter((own < self._limit for own in hashes), bool, len(hashes))
        if self._stay:
            in_test &= np.fromiter((own not in self._stay for own in hashes), bool, len(hashes))
        self._note(batch["label"].indices.to_numpy(), in_test, hashes)
        yield "train", batch.filter(pa.array(~in_test))
        yield "test", batch.filter(pa.array(in_test))

    def settle(self) -> None:
        """Hear that all documents were read. Raises `ReadAgain` where a class has some in test and none in train."""
        missed = [first for code, first in self._first.items() if not self._in_train[code]]
        self._in_train[:] = False
        self._first.clear()
        if missed and not self._stay:
            self._stay = frozenset(missed)
            raise ReadAgain

    def _note(self, codes: np.ndarray, in_test: np.ndarray, hashes: list[int]) -> None:
        self._in_train[codes[~in_test]] = True
        if not self._in_train.all():
            only = np.flatnonzero(~self._in_train[codes])
            for code, at in zip(*np.unique(codes[only], return_index=True), strict=True):
                self._first.setdefault(int(code), hashes[only[at]])
