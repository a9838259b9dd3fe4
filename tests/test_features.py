"""Prefixes and n-grams as rows of the embedding table, worked out by hand and in plain Python."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

from flaxtext.text.features import fit_features

WORDS = pa.array(["running", "runner", "the", "naïve", "naïvety"])  # ids 1 to 5


def documents(n=40, max_len=7, seed=0):
    ids = np.sort(np.random.default_rng(seed).integers(0, 6, (n, max_len), dtype=np.int32))[:, ::-1]
    return np.ascontiguousarray(ids)


def test_words_alone_are_left_as_they_are():
    ids = np.array([[1, 2, 0]], np.int32)
    features = fit_features(WORDS, ids, prefix=None, ngrams=1, min_count=1)
    assert features.expand(ids) is ids
    assert (features.rows, features.per_word) == (6, 1)


def test_words_that_begin_alike_share_a_prefix():
    ids = np.array([[1, 2, 3, 4, 5, 0]], np.int32)
    features = fit_features(WORDS, ids, prefix=4, ngrams=1, min_count=1)
    expanded = features.expand(ids)
    assert expanded.dtype == np.int32
    assert expanded.tolist() == [[1, 6, 2, 6, 3, 7, 4, 8, 5, 8, 0, 0]]  # letters, not bytes
    assert features.rows == 9


@pytest.mark.parametrize("min_count", [1, 3, 1000])
@pytest.mark.parametrize("ngrams", [2, 3])
def test_ngrams_that_occur_often_enough_have_a_row_each(ngrams, min_count):
    ids = documents()
    features = fit_features(WORDS, ids, prefix=None, ngrams=ngrams, min_count=min_count)
    counts = Counter()
    for row in ids.tolist():
        words = [word for word in row if word]
        counts.update(tuple(words[i : i + n]) for n in range(2, ngrams + 1) for i in range(len(words) - n + 1))
    kept = {ngram for ngram, count in counts.items() if count >= min_count}
    assert features.rows == 6 + len(kept)

    rows = {}
    for row, expanded in zip(ids.tolist(), features.expand(ids).reshape(len(ids), 7, ngrams).tolist(), strict=True):
        for position, (word, *found) in enumerate(expanded):
            assert word == row[position]
            for n, index in enumerate(found, 2):
                ngram = tuple(row[position : position + n])
                if ngram in kept and len(ngram) == n:
                    assert rows.setdefault(ngram, index) == index
                else:
                    assert index == 0
    assert sorted(rows.values()) == list(range(6, features.rows))


def test_ngrams_are_made_of_prefixes_where_there_are_some():
    features = fit_features(WORDS, np.array([[1, 4]], np.int32), prefix=4, ngrams=2, min_count=1)
    pairs = features.expand(np.array([[1, 4], [2, 5], [4, 1]], np.int32)).reshape(3, 2, 3)[:, :, 2]
    assert pairs[0, 0] == pairs[1, 0] == features.rows - 1
    assert pairs[2, 0] == 0


def test_documents_to_come_change_nothing():
    features = fit_features(WORDS, documents(), prefix=None, ngrams=2, min_count=1)
    rows = features.rows
    features.expand(documents(seed=1))
    assert features.rows == rows


@pytest.mark.parametrize("max_len", [1, 2, 7])
@pytest.mark.parametrize("min_count", [1, 1000])
def test_jax_gives_what_numpy_gives(max_len, min_count):
    ids = documents(max_len=max_len)
    features = fit_features(WORDS, ids, prefix=2, ngrams=4, min_count=min_count)
    expanded = features.expand(ids)
    assert expanded.shape == (40, max_len * 5)
    assert np.array_equal(features.expand(jnp.asarray(ids)), expanded)
    assert expanded.max() < features.rows
