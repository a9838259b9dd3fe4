"""TF-IDF: each distinct feature of a document once, with a weight that grows with its count and falls with its use.

A weight is (1 + ln count) times the feature's inverse document frequency, ln((1 + documents) / (1 + documents that hold
it)) + 1, as scikit-learn's TfidfVectorizer has it with `sublinear_tf`. The weights of a document's words, prefixes and
n-grams of words have norm 1 together, and so have those of its n-grams of characters.
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
    documents = np.bincount(counted.rows, minlength=rows)
    idf = np.log((1 + counted.documents) / (1 + documents)) + 1
    return np.where(documents > 0, idf, 0).astype(np.float32)


def weigh(counted: FeatureIds, idf: np.ndarray, first_character: int) -> FeatureIds:
    """Turn counts into weights, given `idf: float32[rows]` and the row of the first n-gram of characters."""
    return FeatureIds.together(
        list(ordered_map(lambda part: _weigh(part, idf, first_character), counted.chunks(CHUNK_FEATURES)))
    )


def _count(features: FeatureIds) -> FeatureIds:
    documents = np.repeat(np.arange(features.documents, dtype=np.int64), features.lengths)
    keys = np.sort((documents << 32 | features.rows)[features.rows > 0])
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    counts = np.diff(begins, append=len(keys)).astype(np.float32)
    keys = keys[begins]
    offsets = np.searchsorted(keys, np.arange(features.documents + 1, dtype=np.int64) << 32)
    return FeatureIds((keys & 0xFFFFFFFF).astype(np.int32), offsets, counts)


def _weigh(counted: FeatureIds, idf: np.ndarray, first_character: int) -> FeatureIds:
    weights = (1 + np.log(counted.weights)) * idf[counted.rows]
    # Rows rise within a document, so its two blocks are two runs: those of even and of odd number.
    owners = np.repeat(2 * np.arange(counted.documents), counted.lengths) + (counted.rows >= first_character)
    squares = np.bincount(owners, weights=weights.astype(np.float64) ** 2, minlength=2 * counted.documents)
    scale = 1 / np.sqrt(np.where(squares > 0, squares, 1))
    return FeatureIds(counted.rows, counted.offsets, (weights * scale[owners]).astype(np.float32))
