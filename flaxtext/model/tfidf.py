"""TF-IDF: each distinct feature of a document once, with a weight that grows with its count and falls with its use.

A weight is (1 + ln count) times the feature's inverse document frequency, ln((1 + documents) / (1 + documents that hold
it)) + 1, as scikit-learn's TfidfVectorizer has it with `sublinear_tf`. The weights of a document's words, prefixes and
n-grams of words have norm 1 together, and so have those of its n-grams of characters. A word as which its pretrained
vector is read counts as often as it occurs, times a weight of its own; these sum to 1, for a mean of vectors.
"""

import numpy as np

from flaxtext.core.parallel import ordered_map
from flaxtext.text.features import FeatureIds

CHUNK_FEATURES = 2**21
"""Features counted at a time."""


def count_features(features: FeatureIds) -> FeatureIds:
    """Give each document its distinct features, rising, with their counts for weights; padding does not count."""
    return FeatureIds.together(list(ordered_map(_count, features.chunks(CHUNK_FEATURES))))


def inverse_document_frequency(counted: FeatureIds, rows: int) -> np.ndarray:
    """Return what `count_features` found as `float32[rows]`; 0 for padding and for what no document holds."""
    documents = np.bincount(counted.rows, minlength=rows)[:rows]
    idf = np.log((1 + counted.documents) / (1 + documents)) + 1
    return np.where(documents > 0, idf, 0).astype(np.float32)


def weigh(counted: FeatureIds, idf: np.ndarray, first_character: int, first_vector: int) -> FeatureIds:
    """Turn counts into weights, given `idf: float32[rows]` and the rows where characters and vectors begin."""
    return FeatureIds.together(
        list(ordered_map(lambda part: _weigh(part, idf, first_character, first_vector), counted.chunks(CHUNK_FEATURES)))
    )


def _count(features: FeatureIds) -> FeatureIds:
    documents = np.repeat(np.arange(features.documents, dtype=np.int64), features.lengths)
    keys = np.sort((documents << 32 | features.rows)[features.rows > 0])
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    counts = np.diff(begins, append=len(keys)).astype(np.float32)
    keys = keys[begins]
    offsets = np.searchsorted(keys, np.arange(features.documents + 1, dtype=np.int64) << 32)
    return FeatureIds((keys & 0xFFFFFFFF).astype(np.int32), offsets, counts)


def _weigh(counted: FeatureIds, idf: np.ndarray, first_character: int, first_vector: int) -> FeatureIds:
    # Rows rise within a document, so that its blocks are runs.
    block = (counted.rows >= first_character).astype(np.int8) + (counted.rows >= first_vector)
    is_vector = block == 2
    counts = counted.values
    weights = np.where(is_vector, counts, 1 + np.log(counts)) * idf[counted.rows]
    owners = 3 * np.repeat(np.arange(counted.documents), counted.lengths) + block
    wide = weights.astype(np.float64)
    sums = np.bincount(owners, weights=np.where(is_vector, wide, wide**2), minlength=3 * counted.documents)
    norms = np.where(np.arange(len(sums)) % 3 < 2, np.sqrt(sums), sums)
    scale = 1 / np.where(norms > 0, norms, 1)
    return FeatureIds(counted.rows, counted.offsets, (weights * scale[owners]).astype(np.float32))
