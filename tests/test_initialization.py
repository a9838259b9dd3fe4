"""Networks that start from log-count ratios, and from pretrained vectors."""

import numpy as np
import pytest

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.model.architecture import Architecture
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import FeatureIds
from flaxtext.train import initialization
from flaxtext.train.initialization import (
    EMBEDDING_SCALE,
    ODDS_SMOOTHING,
    OUTPUT_SCALE,
    SMOOTHING,
    TRUST,
    count_by_class,
    log_ratios,
    odds_ratios,
    principal_components,
    start_as_naive_bayes,
    start_from_log_ratios,
    start_from_pretrained,
    start_projected,
)
from flaxtext.train.network import build, split

FEATURES = FeatureIds(np.array([1, 1, 2, 0, 1, 3, 2, 3, 3], np.int32), np.array([0, 4, 6, 9]))
LABELS = np.array([0, 0, 1], np.int32)


def test_ratios_counted_by_hand():
    counts = count_by_class(FEATURES, LABELS, 5, 2)
    assert counts.tolist() == [[0, 0], [3, 0], [1, 1], [1, 2], [0, 0]]
    ratios = log_ratios(counts, SMOOTHING)
    assert ratios.dtype == np.float32
    assert ratios.shape == (5, 2)
    # Class 0 holds five words, class 1 three; each total is one more, so that a class without words has one.
    share = np.array([6, 4]) / 10
    for row, counts in {1: (3, 0), 2: (1, 1), 3: (1, 2)}.items():
        logs = np.log((counts + SMOOTHING * 2 * share) / [6, 4])
        np.testing.assert_allclose(ratios[row], logs - logs.mean(), rtol=1e-6)
    assert ratios[1, 0] > 0 > ratios[1, 1]


def test_padding_and_rows_that_no_document_holds_say_nothing():
    ratios = log_ratios(count_by_class(FEATURES, LABELS, 5, 3), SMOOTHING)  # a class without documents, too
    np.testing.assert_allclose(ratios[[0, 4]], 0, atol=1e-6)
    assert np.isfinite(ratios).all()
    np.testing.assert_allclose(ratios.sum(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("pooling", [name for name, pooling in POOLINGS.items() if pooling.averages])
def test_a_network_starts_as_naive_bayes(pooling):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300).astype(np.int32)
    ids = np.where(rng.random((300, 8)) < 0.4, 1 + labels[:, None], rng.integers(1, 30, (300, 8))).astype(np.int32)
    rows, features = 30, FeatureIds(ids.ravel(), np.arange(301, dtype=np.int64) * 8)
    architecture = Architecture(rows=rows, classes=3, max_len=8, pooling=pooling, embed_dim=5)
    network, fresh = (build(architecture, 0) for _ in range(2))
    start_from_log_ratios(network, features, labels)
    table, kernel = (np.asarray(param[...]) for param in (network.embedding.embedding, network.output.kernel))
    ratios = log_ratios(count_by_class(features, labels, rows, 3), SMOOTHING)
    np.testing.assert_allclose(table[:, :3], EMBEDDING_SCALE * ratios, rtol=1e-6)
    np.testing.assert_array_equal(table[:, 3:], fresh.embedding.embedding[...][:, 3:])
    np.testing.assert_array_equal(kernel[:3], OUTPUT_SCALE * np.eye(3))
    np.testing.assert_array_equal(kernel[3:], fresh.output.kernel[...][3:])
    naive_bayes = ratios[ids].sum(axis=1).argmax(axis=1)
    answers, of_fresh = (
        class_probabilities(architecture, split(each)[1], features, "jax").argmax(axis=1) for each in (network, fresh)
    )
    assert (answers == naive_bayes).mean() > 0.9  # what is random in the other dimensions moves a few
    assert (answers == labels).mean() > 0.9 > (of_fresh == labels).mean()


WEIGHTED = FeatureIds(
    np.array([1, 2, 1, 3, 2, 3], np.int32), np.array([0, 2, 4, 6]), np.float32([0.6, 0.8, 1, 0, 0.8, 0.6])
)


def test_odds_ratios_by_hand(monkeypatch):
    """Of classes 0, 1 and 2, which has no documents: 4, 2 and 0 features, and one more each."""
    ratios = odds_ratios(WEIGHTED, LABELS, 5, 3)
    assert ratios.dtype == np.float32
    totals = np.array([5.0, 3.0, 1.0])
    share = totals / totals.sum()
    for row, counts in {1: [2, 0, 0], 2: [1, 1, 0], 3: [1, 1, 0]}.items():
        counts = np.array(counts, float)
        odds = (counts + ODDS_SMOOTHING * share) / totals
        rest = (counts.sum() - counts + ODDS_SMOOTHING * (1 - share)) / (totals.sum() - totals)
        np.testing.assert_allclose(ratios[row], np.log(odds / rest), rtol=1e-5)
    assert not ratios[[0, 4]].any()
    assert ratios[1, 0] > 0 > ratios[1, 1]
    monkeypatch.setattr(initialization, "CHUNK_VALUES", 1)
    assert np.array_equal(odds_ratios(WEIGHTED, LABELS, 5, 3), ratios)


def dense(features, rows):
    matrix = np.zeros((features.documents, rows))
    matrix[np.repeat(np.arange(features.documents), features.lengths), features.rows] = features.weights
    return matrix


def weighted(n, seed=0):
    """Documents of distinct features of norm 1, two of three of their class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n).astype(np.int32)
    rows = [np.sort(rng.choice(np.r_[1:30, 30 + 10 * label : 40 + 10 * label], 6, replace=False)) for label in labels]
    weights = np.full(6 * n, 6**-0.5, np.float32)
    return FeatureIds(np.concatenate(rows).astype(np.int32), np.arange(n + 1, dtype=np.int64) * 6, weights), labels


def test_weighted_features_start_as_naive_bayes():
    """Ratios of one half are scaled to come nearest to the other half's labels, and the bias centres their scores."""
    features, labels = weighted(400)
    network = build(Architecture(60, 3, "tfidf", embed_dim=3, output=False), 0)
    start_as_naive_bayes(network, features, labels)
    table, bias = (np.asarray(param[...]) for param in (network.embedding.embedding, network.output.bias))
    matrix, targets = dense(features, 60), 2.0 * (labels[:, None] == np.arange(3)) - 1
    is_half = np.random.default_rng(0).permutation(400) % 2 == 0
    scores = np.zeros((400, 3))
    for own in (is_half, ~is_half):
        held = dense(features, 60)[own]
        part = FeatureIds(np.nonzero(held)[1].astype(np.int32), np.append(0, np.cumsum((held > 0).sum(axis=1))))
        scores[~own] = matrix[~own] @ odds_ratios(part, labels[own], 60, 3)
        scores[~own] -= scores[~own].mean(axis=0)
    scale = TRUST * (targets * scores).sum() / (scores**2).sum()
    assert scale > 0
    np.testing.assert_allclose(table, scale * odds_ratios(features, labels, 60, 3), rtol=1e-4)
    np.testing.assert_allclose((matrix @ table + bias).mean(axis=0), targets.mean(axis=0), atol=1e-5)
    test, true = weighted(200, seed=1)
    assert ((dense(test, 60) @ table + bias).argmax(axis=1) == true).mean() > 0.85  # by chance, a third


def test_of_more_classes_than_dimensions_they_start_as_random_directions():
    """The table and the kernel multiplied keep the classes apart, and the bias is that of guessing by their shares."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(60, dtype=np.int32), 5)
    rows = np.stack([1 + labels, 61 + rng.integers(0, 20, 300)], axis=1).astype(np.int32)
    features = FeatureIds(rows.ravel(), np.arange(301, dtype=np.int64) * 2, np.full(600, 0.5**0.5, np.float32))
    network = build(Architecture(81, 60, "tfidf", embed_dim=32), 0)
    start_projected(network, features, labels)
    table, kernel, bias = (
        np.asarray(param[...]) for param in (network.embedding.embedding, network.output.kernel, network.output.bias)
    )
    assert (table.shape, kernel.shape) == ((81, 32), (32, 60))
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=0.5)
    np.testing.assert_allclose(bias, 2 / 60 - 1, rtol=1e-5)
    assert not table[0].any()
    answers = (dense(features, 81) @ table @ kernel + bias).argmax(axis=1)
    assert (answers == labels).mean() > 0.9


def test_ratios_that_say_nothing_are_not_trusted():
    features, labels = weighted(400)
    labels = np.random.default_rng(1).permutation(labels)
    network = build(Architecture(60, 3, "tfidf", embed_dim=3, output=False), 0)
    start_as_naive_bayes(network, features, labels)
    assert np.abs(network.embedding.embedding[...]).max() < 0.1
    nothing = FeatureIds(np.zeros(0, np.int32), np.zeros(4, np.int64), np.zeros(0, np.float32))
    start_as_naive_bayes(network, nothing, LABELS)
    assert not np.any(network.embedding.embedding[...])
    np.testing.assert_allclose(network.output.bias[...], [1 / 3, -1 / 3, -1], rtol=1e-6)


def test_principal_components_keep_distances_and_fall_in_variance():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 3)) * [1, 5, 2] @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 7).astype(np.float32)
    whole = principal_components(vectors, 10)
    assert whole.shape == (200, 3)
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(whole[0] - whole[1]), np.linalg.norm(vectors[0] - vectors[1]), rtol=1e-4)
    np.testing.assert_allclose(whole.std(axis=0), [5, 2, 1], rtol=0.15)
    np.testing.assert_array_equal(principal_components(vectors, 2), whole[:, :2])


def test_words_start_from_their_vectors_and_the_rest_at_random():
    architecture = Architecture(rows=50, classes=2, max_len=4, pooling="max", embed_dim=6)
    network, fresh = (build(architecture, 0) for _ in range(2))
    known = Pretrained(
        np.arange(3, 40, dtype=np.int32), np.random.default_rng(0).normal(size=(37, 4)).astype(np.float32)
    )
    start_from_pretrained(network, known, first=2)
    after, before = (np.asarray(each.embedding.embedding[...]) for each in (network, fresh))
    components = principal_components(known.vectors, 4)
    np.testing.assert_allclose(after[known.ids, 2:], components * before.std() / components.std(), rtol=1e-5)
    is_given = np.zeros(after.shape, bool)
    is_given[known.ids, 2:] = True
    np.testing.assert_array_equal(after[~is_given], before[~is_given])
    assert after[is_given].std() == pytest.approx(before.std(), rel=1e-4)


def test_a_single_vector_leaves_all_finite():
    network = build(Architecture(rows=5, classes=2, max_len=4, pooling="max", embed_dim=3), 0)
    start_from_pretrained(network, Pretrained(np.array([2], np.int32), np.float32([[1, 2, 3]])), first=0)
    assert np.isfinite(network.embedding.embedding[...]).all()
