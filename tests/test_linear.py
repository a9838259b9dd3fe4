"""The linear variant is scikit-learn's TF-IDF and LinearSVC, in arrays of its own."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from flaxtext.config.train import LinearVariant
from flaxtext.model.linear import count_features, linear_probabilities, margins
from flaxtext.text.token_ids import Examples
from flaxtext.train.linear import counts, fit_linear


def documents(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(np.int32)
    ids = rng.integers(1, 30, (n, 8)) + 6 * labels[:, None]
    ids[rng.random(ids.shape) < 0.2] = 0
    return Examples(ids.astype(np.int32), labels)


def none():
    return Examples(np.zeros((0, 8), np.int32), np.zeros(0, np.int32))


def fit(train, validation, classes, **settings):
    return fit_linear(LinearVariant(model="linear", **settings), train, validation, rows=60, classes=classes)


@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_answers_are_scikit_learns(classes, weights):
    train, test = documents(400, classes), documents(200, classes, seed=1)
    model = fit(train, none(), classes, C=0.5, class_weights=weights)
    texts, unseen = ([" ".join(f"w{i}" for i in row if i) for row in ids] for ids in (train.ids, test.ids))
    tfidf = TfidfVectorizer(token_pattern=r"\S+")  # noqa: S106, a pattern
    svm = LinearSVC(C=0.5, class_weight=weights, random_state=0).fit(tfidf.fit_transform(texts), train.labels)
    expected = svm.decision_function(tfidf.transform(unseen))
    scores = margins(model, test.ids)
    if classes == 2:
        scores = scores[:, 1] - scores[:, 0]
    np.testing.assert_allclose(scores, expected, atol=0.02)  # liblinear takes the features in another order
    assert (linear_probabilities(model, test.ids).argmax(axis=1) == svm.predict(tfidf.transform(unseen))).mean() > 0.99


def test_the_temperature_makes_validation_likelier():
    train, validation = documents(400, 3), documents(400, 3, seed=1)

    def loss(model):
        return -np.log(linear_probabilities(model, validation.ids)[np.arange(400), validation.labels]).mean()

    plain, scaled = fit(train, none(), 3), fit(train, validation, 3)
    assert plain.temperature == 1
    assert loss(scaled) < loss(plain)
    assert np.array_equal(plain.kernel, scaled.kernel)


def test_a_class_without_documents_is_never_the_answer():
    train = documents(300, 2)
    model = fit(train, none(), 3)
    probability = linear_probabilities(model, train.ids)
    assert probability.shape == (300, 3)
    assert set(probability.argmax(axis=1)) == {0, 1}


def test_documents_without_known_words_and_no_documents():
    model = fit(documents(300, 3), none(), 3)
    probability = linear_probabilities(model, np.zeros((2, 8), np.int32))
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert np.array_equal(probability[0], probability[1])
    assert linear_probabilities(model, np.zeros((0, 8), np.int32)).shape == (0, 3)


def test_the_same_seed_gives_the_same_bytes():
    first, second = (fit(documents(300, 3), none(), 3) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_features_are_counted_alike_for_training_and_for_predicting():
    """By SciPy where it is installed, and by NumPy alone where a model only predicts."""
    ids = documents(50, 3).ids
    ids[7] = 0
    matrix = counts(ids, 60)
    assert matrix.shape == (50, 60)
    rows, features, numbers = count_features(ids)
    found = np.zeros((50, 60))
    found[rows, features] = numbers
    assert np.array_equal(matrix.toarray(), found)
    assert np.array_equal(found.sum(axis=1), (ids != 0).sum(axis=1))
