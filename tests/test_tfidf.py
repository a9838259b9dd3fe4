"""TF-IDF weights are scikit-learn's."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from test_features import of_characters

from flaxtext.model import tfidf
from flaxtext.model.tfidf import count_features, inverse_document_frequency, weigh
from flaxtext.text.features import FeatureIds, Reading, fit_features
from flaxtext.text.token_ids import number_words
from flaxtext.text.vocabulary import fit_vocabulary


def texts(n, seed=0, unknown=0):
    """Texts in which a few words are frequent; some are empty, and some words are further ones."""
    rng = np.random.default_rng(seed)
    drawn = [rng.zipf(1.4, rng.integers(0, 30)).clip(0, 60) for _ in range(n)]
    return ["", *(" ".join(f"w{number + unknown}" for number in own) for own in drawn)]


def matrix(features, rows):
    return sp.csr_array((features.weights, features.rows, features.offsets), shape=(features.documents, rows))


def weighted(train, test, reading):
    """The TF-IDF of both, by what is read of the first."""
    words = fit_vocabulary([pa.array(train)])
    known, asked = (number_words(pa.array(own), words) for own in (train, test))
    features = fit_features(words.words, known, reading)
    counted, others = (count_features(features.expand(own)) for own in (known, asked))
    idf = inverse_document_frequency(counted, features.rows)
    assert idf.dtype == np.float32
    found = [weigh(own, idf, features.first_character, features.first_vector) for own in (counted, others)]
    assert all(own.weights.dtype == np.float32 for own in found)
    return [matrix(own, features.rows) for own in found]


def same_products(found, expected):
    """Columns come in another order, which no product of two documents shows."""
    for one in range(2):
        for other in range(2):
            ours, theirs = ((own[one] @ own[other].T).toarray() for own in (found, expected))
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert found[0].nnz == expected[0].nnz


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_words_and_n_grams_weigh_as_in_scikit_learn(ngrams):
    train, test = texts(150), texts(80, seed=1, unknown=5)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+", ngram_range=(1, ngrams))  # noqa: S106
    expected = [vectorizer.fit_transform(train), vectorizer.transform(test)]
    same_products(weighted(train, test, Reading(ngrams=ngrams)), expected)


def test_characters_are_a_block_of_norm_1_beside_that_of_the_words():
    train, test = texts(150), texts(80, seed=1, unknown=5)
    reading = Reading(ngrams=2, characters=4)
    blocks = [
        TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+", ngram_range=(1, 2)),  # noqa: S106
        TfidfVectorizer(
            sublinear_tf=True, analyzer=lambda text: [name for _, name in of_characters(text.split(), reading)]
        ),
    ]
    expected = [sp.hstack([block.fit_transform(train) for block in blocks]).tocsr()]
    expected.append(sp.hstack([block.transform(test) for block in blocks]).tocsr())
    found = weighted(train, test, reading)
    same_products(found, expected)
    norms = np.sqrt((found[0] ** 2).sum(axis=1))
    is_empty = np.array([not text for text in train])
    np.testing.assert_allclose(norms, np.where(is_empty, 0, np.sqrt(2)), rtol=1e-5)
    words_alone = weighted(train, test, replace(reading, characters=0))
    np.testing.assert_allclose(np.sqrt((words_alone[0] ** 2).sum(axis=1)), np.where(is_empty, 0, 1), rtol=1e-5)


def test_weights_by_hand():
    rows = np.array([2, 0, 1, 2, 2, 3, 1], np.int32)
    counted = count_features(FeatureIds(rows, np.array([0, 5, 5, 7])))
    assert counted.rows.tolist() == [1, 2, 1, 3]
    assert counted.offsets.tolist() == [0, 2, 2, 4]
    assert counted.weights.tolist() == [1, 3, 1, 1]
    idf = inverse_document_frequency(counted, 5)
    np.testing.assert_allclose(idf, [0, np.log(4 / 3) + 1, np.log(4 / 2) + 1, np.log(4 / 2) + 1, 0], rtol=1e-6)
    found = weigh(counted, idf, first_character=3, first_vector=9)  # row 3 is a block of its own
    raw = np.array([idf[1], (1 + np.log(3)) * idf[2]])
    np.testing.assert_allclose(found.weights, [*(raw / np.linalg.norm(raw)), 1, 1], rtol=1e-6)


def test_vectors_of_words_are_averaged_by_their_weight():
    """As often as the words occur, beside the two blocks of norm 1."""
    counted = count_features(FeatureIds(np.array([1, 2, 3, 3, 3, 4, 4, 1], np.int32), np.array([0, 7, 8])))
    idf = np.array([0, 2, 1.5, 0.25, 0.5], np.float32)  # rows 3 and 4 are vectors, 2 is of characters
    found = weigh(counted, idf, first_character=2, first_vector=3)
    assert found.rows.tolist() == [1, 2, 3, 4, 1]
    np.testing.assert_allclose(found.weights, [1, 1, 0.75 / 1.75, 1 / 1.75, 1], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 7])
def test_how_many_features_are_counted_at_a_time_changes_nothing(monkeypatch, size):
    whole = weighted(texts(30), texts(20, seed=1), Reading(ngrams=2, characters=2))
    monkeypatch.setattr(tfidf, "CHUNK_FEATURES", size)
    parts = weighted(texts(30), texts(20, seed=1), Reading(ngrams=2, characters=2))
    assert all(np.array_equal(one.toarray(), other.toarray()) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("documents", [0, 3])
def test_documents_without_features_weigh_nothing(documents):
    nothing = FeatureIds(np.zeros(0, np.int32), np.zeros(documents + 1, np.int64))
    counted = count_features(nothing)
    idf = inverse_document_frequency(counted, 4)
    assert idf.tolist() == [0] * 4
    found = weigh(counted, idf, 4, 4)
    assert (found.documents, len(found.rows), len(found.weights)) == (documents, 0, 0)
