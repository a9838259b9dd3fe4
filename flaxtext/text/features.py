"""What a document holds beside its words: prefixes and n-grams, each an id and a row of the same embedding table.

A word's prefix is its first letters, so that words that begin alike share a row. N-grams are those of the training
documents, if they occur often enough there; where there are prefixes, n-grams are made of them, and meet their like
more often. An n-gram is known by a 32-bit hash: where 100,000 n-grams have rows, one in 40,000 others is taken for one
of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import numpy_array
from flaxtext.core.errors import UserError

CHUNK_ROWS = 16_384
MAX_NGRAMS = 2**24
NO_KEYS = np.zeros(0, np.uint32)


class Features:
    """The ids of a document's words, prefixes and n-grams.

    Args:
        words: `string[n]`; the word with id `i` is `words[i - 1]`.
        prefix: letters of a prefix; None for no prefixes.
        ngrams: words of the longest n-gram; 1 for none.
        keys: uint32[k]; the hashes of the n-grams that have a row, ascending.

    Attributes:
        rows: of the embedding table: padding, words, prefixes, n-grams.
        per_word: ids that a position of the document becomes.
        keys: as given.
    """

    def __init__(self, words: pa.Array, *, prefix: int | None, ngrams: int, keys: np.ndarray) -> None:
        self.rows = len(words) + 1
        self._prefixes: np.ndarray | None = None
        if prefix is not None:
            prefixes = pc.utf8_slice_codeunits(words, 0, prefix).dictionary_encode()
            self._prefixes = np.concatenate([[0], self.rows + numpy_array(prefixes.indices)]).astype(np.int32)
            self.rows += len(prefixes.dictionary)
        self._first, self._ngrams, self.keys = self.rows, ngrams, keys
        self.rows += len(keys)
        self.per_word = 1 + (prefix is not None) + (ngrams - 1)

    def expand(self, ids: Any) -> Any:
        """Lay out all that documents hold, position after position: `int32[n, max_len]` to `[n, max_len * per_word]`.

        A position becomes the word, its prefix, and the n-grams that begin there, shortest first; 0 for what is not
        there or has no row. Arrays of NumPy or of JAX, as given.
        """
        if self.per_word == 1:
            return ids
        xp = ids.__array_namespace__()
        parts = [ids] if self._prefixes is None else [ids, xp.asarray(self._prefixes)[ids]]
        for hashes, present in self._hashes(ids):
            if not len(self.keys):
                parts.append(xp.zeros_like(ids))
                continue
            keys = xp.asarray(self.keys)
            index = xp.clip(xp.searchsorted(keys, hashes.reshape(-1)).reshape(hashes.shape), 0, len(self.keys) - 1)
            known = present & (keys[index] == hashes)
            parts.append(xp.where(known, self._first + index, 0).astype(np.int32))
        return xp.stack(parts, axis=2).reshape(ids.shape[0], ids.shape[1] * self.per_word)

    def _hashes(self, ids: Any) -> Iterator[tuple[Any, Any]]:
        """Yield, shortest n-grams first, the hash of that which begins at each position, and whether there is one."""
        xp = ids.__array_namespace__()
        base = ids if self._prefixes is None else xp.asarray(self._prefixes)[ids]
        key = base.astype(np.uint32)
        for n in range(2, self._ngrams + 1):
            following = xp.concat([base[:, n - 1 :], xp.zeros_like(base[:, : n - 1])], axis=1)[:, : base.shape[1]]
            key = _mix(key * np.uint32(0x9E3779B1) + following.astype(np.uint32))
            yield key, following > 0


def fit_features(words: pa.Array, ids: np.ndarray, *, prefix: int | None, ngrams: int, min_count: int) -> Features:
    """Return the features whose n-grams are those that occur `min_count` times in `ids: int32[n, max_len]`.

    Raises `UserError` where they are too many.
    """
    unfitted = Features(words, prefix=prefix, ngrams=ngrams, keys=NO_KEYS)
    found = [
        hashes[present]
        for start in range(0, len(ids), CHUNK_ROWS)
        for hashes, present in unfitted._hashes(ids[start : start + CHUNK_ROWS])
    ]
    keys, counts = np.unique(np.concatenate([NO_KEYS, *found]), return_counts=True)
    keys = keys[counts >= min_count]
    if len(keys) > MAX_NGRAMS:
        raise UserError(f"{len(keys):,} n-grams, and at most {MAX_NGRAMS:,} have rows; raise ngram_min_count")
    return Features(words, prefix=prefix, ngrams=ngrams, keys=keys)


def _mix(key: Any) -> Any:
    """Spread `uint32` keys over all 32 bits; the finalizer of MurmurHash3 (Appleby, public domain)."""
    key = (key ^ (key >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    key = (key ^ (key >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return key ^ (key >> np.uint32(16))
