"""What a document holds beside its words: stems and n-grams, each an id and a row of the same embedding table.

Nothing of them is stored. A word's stem is its first letters, so that words that begin alike share a row. An n-gram
is hashed to one of `buckets` rows; those that meet in a bucket share it. (The hashing trick, as in fastText: Joulin
et al. 2016, arXiv:1607.01759.) Where there are stems, n-grams are made of them, and meet their like more often.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Features:
    """The ids of a document's words, stems and n-grams.

    Args:
        words: `string[n]`; the word with id `i` is `words[i - 1]`.
        stem: letters of a stem; None for no stems.
        ngrams: words of the longest n-gram; 1 for none.
        buckets: rows for n-grams.

    Attributes:
        rows: of the embedding table: padding, words, stems, buckets.
        per_word: ids that a position of the document becomes.
    """

    def __init__(self, words: pa.Array, *, stem: int | None, ngrams: int, buckets: int) -> None:
        self.rows = len(words) + 1
        self._stems: np.ndarray | None = None
        if stem is not None:
            stems = pc.utf8_slice_codeunits(words, 0, stem).dictionary_encode()
            self._stems = np.concatenate([[0], self.rows + stems.indices.to_numpy()]).astype(np.int32)
            self.rows += len(stems.dictionary)
        self._first_bucket, self._buckets, self._ngrams = self.rows, buckets, ngrams
        if ngrams > 1:
            self.rows += buckets
        self.per_word = per_word(stem, ngrams)

    def expand(self, ids: Any) -> Any:
        """Lay out all that documents hold, position after position: `int32[n, max_len]` to `[n, max_len * per_word]`.

        A position becomes the word, its stem, and the n-grams that begin there, shortest first. Arrays of NumPy or
        of JAX, as given.
        """
        if self.per_word == 1:
            return ids
        xp = ids.__array_namespace__()
        parts = [ids]
        base = ids
        if self._stems is not None:
            base = xp.asarray(self._stems)[ids]
            parts.append(base)
        key = base.astype(np.uint32)
        for n in range(2, self._ngrams + 1):
            following = xp.concat([base[:, n - 1 :], xp.zeros_like(base[:, : n - 1])], axis=1)[:, : base.shape[1]]
            key = _mix(key * np.uint32(0x9E3779B1) + following.astype(np.uint32))
            bucket = self._first_bucket + (key % np.uint32(self._buckets)).astype(np.int32)
            parts.append(xp.where(following > 0, bucket, 0).astype(np.int32))
        return xp.stack(parts, axis=2).reshape(ids.shape[0], ids.shape[1] * self.per_word)


def per_word(stem: int | None, ngrams: int) -> int:
    """Count the ids that a position of a document becomes."""
    return 1 + (stem is not None) + (ngrams - 1)


def _mix(key: Any) -> Any:
    """Spread `uint32` keys over all 32 bits; the finalizer of MurmurHash3 (Appleby, public domain)."""
    key = (key ^ (key >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    key = (key ^ (key >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return key ^ (key >> np.uint32(16))
