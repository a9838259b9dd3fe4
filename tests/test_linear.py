"""The linear variant is scikit-learn's LinearSVC on TF-IDF, as a network without layers."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from flaxtext.config.train import LinearVariant
from flaxtext.model.calibration import log_softmax
from flaxtext.text.token_ids import Examples, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant


def documents(n, classes, seed=0):
    """Texts whose words lean to their class, and its number."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(np.int32)
    ids = rng.integers(1, 30, (n, 8)) + 6 * labels[:, None]
    return [" ".join(f"w{number}" for number in own[rng.random(8) < 0.8]) for own in ids], labels


NONE = ([], np.zeros(0, np.int32))


def fit(train, validation, classes, **settings):
    words = fit_vocabulary([pa.array(train[0], pa.string())])
    examples = [
        Examples(number_words(pa.array(texts, pa.string()), words), labels) for texts, labels in (train, validation)
    ]
    about = {"name": "linear", "words": words, "classes": [f"c{i}" for i in range(classes)]}
    variant = LinearVariant(model="linear", **settings)
    return train_variant(variant, *examples, **about, origin={"source": "made"}).model


def margins(model, texts):
    """Logits, up to what is the same for all classes."""
    return np.log(model.predict_proba(texts))


@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("ngrams", [1, 2])
def test_the_margins_are_scikit_learns(classes, weights, ngrams):
    train, test = documents(400, classes), documents(200, classes, seed=1)
    model = fit(train, NONE, classes, C=0.5, class_weights=weights, ngrams=ngrams)
    tfidf = TfidfVectorizer(token_pattern=r"\S+", sublinear_tf=True, ngram_range=(1, ngrams))  # noqa: S106, a pattern
    svm = LinearSVC(C=0.5, class_weight=weights, random_state=0).fit(tfidf.fit_transform(train[0]), train[1])
    expected = svm.decision_function(tfidf.transform(test[0]))
    if classes == 2:
        expected = np.stack([-expected / 2, expected / 2], axis=1)
    # liblinear takes the features in another order
    np.testing.assert_allclose(margins(model, test[0]), log_softmax(expected), atol=0.02)
    answers = np.array([int(name[1:]) for name in model.predict(test[0])])
    assert (answers == svm.predict(tfidf.transform(test[0]))).mean() > 0.99


def test_on_the_same_features_the_margins_are_those_of_scikit_learn_to_the_last_digits():
    train, test = documents(400, 3), documents(200, 3, seed=1)
    model = fit(train, NONE, 3, ngrams=2, characters=3)

    def dense(texts):
        found = model.features_of(model.read(pa.array(texts)))
        matrix = np.zeros((len(texts), model.architecture.rows))
        matrix[np.repeat(np.arange(len(texts)), found.lengths), found.rows] = found.weights
        return matrix

    svm = LinearSVC(random_state=0).fit(dense(train[0]), train[1])
    np.testing.assert_allclose(
        margins(model, test[0]), log_softmax(svm.decision_function(dense(test[0]))), rtol=1e-3, atol=1e-3
    )


def test_the_temperature_makes_validation_likelier_and_divides_the_logits():
    train, validation = documents(400, 3), documents(400, 3, seed=1)

    def loss(model):
        return -margins(model, validation[0])[np.arange(400), validation[1]].mean()

    plain, scaled = fit(train, NONE, 3), fit(train, validation, 3)
    assert loss(scaled) < loss(plain)
    assert plain.predict(validation[0]).tolist() == scaled.predict(validation[0]).tolist()
    [before], [after] = plain.members, scaled.members
    assert np.array_equal(before["embedding"]["idf"], after["embedding"]["idf"])
    divisor = before["output"]["bias"] / after["output"]["bias"]
    np.testing.assert_allclose(divisor, divisor[0], rtol=1e-5)
    assert divisor[0] != pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(
        after["embedding"]["embedding"] * divisor[0], before["embedding"]["embedding"], rtol=1e-4
    )


def test_a_class_without_documents_is_never_the_answer():
    train = documents(300, 2)
    model = fit(train, NONE, 3)
    probability = model.predict_proba(train[0])
    assert probability.shape == (300, 3)
    assert set(probability.argmax(axis=1)) == {0, 1}


def test_documents_without_known_words_and_no_documents():
    model = fit(documents(300, 3), NONE, 3)
    probability = model.predict_proba(["", "nothing known"])
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert np.array_equal(probability[0], probability[1])
    assert model.predict_proba([""]).tolist() == probability[:1].tolist()
    assert model.predict_proba([]).shape == (0, 3)


def test_the_same_seed_gives_the_same_bytes():
    [first], [second] = (fit(documents(300, 3), NONE, 3).members for _ in range(2))
    for layer, own in first.items():
        assert all(array.tobytes() == second[layer][name].tobytes() for name, array in own.items())


def test_it_is_a_network_without_layers():
    model = fit(documents(300, 3), NONE, 3, ngrams=2)
    assert model.is_linear
    assert (model.architecture.pooling, model.architecture.embed_dim, model.architecture.output) == ("tfidf", 3, False)
    assert model.description == "TF-IDF and a linear support vector machine, of words, pairs of words"
