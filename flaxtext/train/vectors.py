"""Pretrained word vectors in a model that adds features up: a document's weighted mean of them, and a layer on top.

Steps train the layer alone, on the mean as so many features as vectors have dimensions. Afterwards each word's vector
times the layer is a row of the table, so that the model answers without vectors. A frequent word counts less: by
rank / (rank + `HALF`), which is about smooth inverse frequency (Arora et al. 2017) where ranks follow Zipf's law.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of, places
from flaxtext.text.vocabulary import Vocabulary

HALF = 78
"""The rank of the word that counts half."""
ENOUGH_WORDS = 40_000
"""Words of training documents from which on what they say themselves is worth more, and the vectors' share falls."""


class WordVectors(NamedTuple):
    """The vectors of words, those of the vocabulary and others.

    Attributes:
        words: the vocabulary, and after it the other words, which occur 0 times.
        ids: int32[k]; the words that have vectors, ascending.
        vectors: float32[k, dim].
        weights: float32[k]; what each word counts.
    """

    words: Vocabulary
    ids: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray


def take_vectors(words: Vocabulary, known: Pretrained) -> WordVectors:
    """Put the words that only `known` has behind the vocabulary."""
    both = pa.concat_arrays([words.words.cast(pa.string()), known.words])
    counts = np.append(words.counts, np.zeros(len(known.words), np.int64))
    ranks = np.append(known.ranks, known.extra_ranks).astype(np.float32)
    extra = known.extra if len(known.extra) else np.zeros((0, known.vectors.shape[1]), np.float32)
    return WordVectors(
        Vocabulary(both, counts, words.tokenizer),
        np.append(known.ids, words.rows + np.arange(len(known.words), dtype=np.int32)),
        np.concatenate([known.vectors, extra]),
        ranks / (ranks + HALF),
    )


class MeanVectors:
    """Documents' means of vectors, centred and scaled as those of the training documents ask.

    Args:
        vectors: float32[k, dim], of the rows from `first` on.
        first: the row of the first word that has a vector.
        train: the training documents, weighted.
        n_words: how many words these have.
    """

    def __init__(self, vectors: np.ndarray, first: int, train: FeatureIds, n_words: int) -> None:
        self._vectors, self._first = vectors, first
        means, has_any = self._means(train)
        self._centre = means[has_any].mean(axis=0) if has_any.any() else np.zeros(vectors.shape[1], np.float32)
        spread = float(np.sqrt(np.square(means[has_any] - self._centre).sum(axis=1).mean())) if has_any.any() else 1.0
        self._scale = min(1.0, (ENOUGH_WORDS / max(1, n_words)) ** 0.5) / (spread or 1.0)

    @property
    def rows(self) -> int:
        """Rows of the table that steps train."""
        return self._first + int(self._vectors.shape[1])

    def of(self, features: FeatureIds) -> np.ndarray:
        """Return the means of documents, `float32[n, dim]`; zeros where no word has a vector."""
        means, has_any = self._means(features)
        return np.where(has_any[:, None], (means - self._centre) * np.float32(self._scale), 0)

    def in_place(self, features: FeatureIds) -> FeatureIds:
        """Put the mean, as weights of rows from `first` on, in the place of the words that have vectors."""
        is_vector = features.rows >= self._first
        others = features.select(~is_vector)
        dim = self._vectors.shape[1]
        offsets = offsets_of(others.lengths + dim)
        rows, weights = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
        at = places(offsets[:-1], others.offsets)
        rows[at], weights[at] = others.rows, others.values
        at = (offsets[1:, None] - dim + np.arange(dim)).reshape(-1)
        rows[at] = np.tile(np.arange(self._first, self.rows, dtype=np.int32), features.documents)
        weights[at] = self.of(features).reshape(-1)
        return FeatureIds(rows, offsets, weights)

    def fold(self, table: np.ndarray) -> np.ndarray:
        """Turn the table that steps trained, `float32[rows, columns]`, into that of all words that have vectors."""
        layer = table[self._first :]
        own = ((self._vectors - self._centre) * np.float32(self._scale)) @ layer
        return np.concatenate([table[: self._first], own])

    def _means(self, features: FeatureIds) -> tuple[np.ndarray, np.ndarray]:
        import scipy.sparse as sp

        is_vector = features.rows >= self._first
        offsets = np.append(0, np.cumsum(is_vector))[features.offsets]
        shape = features.documents, len(self._vectors)
        matrix: Any = sp.csr_array((features.values[is_vector], features.rows[is_vector] - self._first, offsets), shape)
        return np.asarray(matrix @ self._vectors, np.float32), np.diff(offsets) > 0


def ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float = 1.0) -> np.ndarray:
    """Return the weights of a ridge regression without intercept, of centred `inputs: [n, dim]`: `float64[dim, k]`."""
    centred = inputs.astype(np.float64) - inputs.mean(axis=0)
    gram = centred.T @ centred + penalty * np.eye(inputs.shape[1])
    result: np.ndarray = np.linalg.solve(gram, centred.T @ (targets - targets.mean(axis=0)))
    return result
