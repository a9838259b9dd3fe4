"""Gradient descent on the rows that a batch holds equals gradient descent on all of a dense matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of
from flaxtext.train.fast import sgd
from flaxtext.train.fast.sgd import BIAS_RATE, SparseSgd
from flaxtext.train.loop import learning_rates, order
from flaxtext.train.objective import Objective

ROWS, CLASSES, BATCH = 6000, 3, 4
LENGTHS = [7, 0, 1, 5000, 16, 17, 3, 40, 2, 1, 9]  # the last batch has three


def documents():
    """Documents of distinct weighted features, and their labels."""
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(np.arange(1, ROWS), length, replace=False)) for length in LENGTHS]
    weights = [rng.random(length) / max(1, length) ** 0.5 for length in LENGTHS]
    offsets = offsets_of(np.array(LENGTHS, np.int64))
    features = FeatureIds(np.concatenate(rows).astype(np.int32), offsets, np.concatenate(weights).astype(np.float32))
    return features, rng.integers(0, CLASSES, len(LENGTHS)).astype(np.int32)


def dense(features):
    matrix = np.zeros((features.documents, ROWS), np.float32)
    matrix[np.repeat(np.arange(features.documents), features.lengths), features.rows] = features.weights
    return matrix


def initial(architecture):
    rng = np.random.default_rng(1)
    named = {path: rng.normal(size=shape).astype(np.float32) / 2 for path, shape in architecture.shapes.items()}
    return unflatten_parameters(named)


def squared_hinge(logits, labels):
    """Summed over documents and classes, each class against the rest."""
    signs = 2.0 * (labels[:, None] == np.arange(CLASSES)) - 1
    return (jnp.maximum(0, 1 - signs * logits) ** 2).sum()


def cross_entropy(logits, labels):
    """Of labels a tenth of which is spread over all classes, with weights of the classes."""
    targets = 0.9 * (labels[:, None] == np.arange(CLASSES)) + 0.1 / CLASSES
    weights = jnp.array([1.0, 2.0, 0.5])[labels]
    return -(weights[:, None] * targets * jax.nn.log_softmax(logits)).sum()


def plain(parameters, matrix, labels, batches, rates, loss):
    """Every step on all parameters but the inverse document frequencies, and the losses."""

    def forward(parameters, rows):
        values = rows @ parameters["embedding.embedding"]
        if "hidden.kernel" in parameters:
            values = jnp.maximum(0, values @ parameters["hidden.kernel"] + parameters["hidden.bias"])
        if "output.kernel" in parameters:
            values = values @ parameters["output.kernel"]
        return values + parameters["output.bias"]

    parameters, losses = flatten_parameters(parameters), []
    idf = parameters.pop("embedding.idf")
    for rows, rate in zip(batches, rates, strict=True):
        own = rows[rows >= 0]
        value, gradient = jax.value_and_grad(lambda p, own=own: loss(forward(p, matrix[own]), labels[own]))(parameters)
        losses.append(float(value))
        parameters = {
            path: array - rate * (BIAS_RATE if path.endswith("bias") else 1) * gradient[path]
            for path, array in parameters.items()
        }
    return {**parameters, "embedding.idf": idf}, losses


NETWORKS = {
    "dimensions are classes": {"embed_dim": CLASSES, "output": False},
    "low rank": {"embed_dim": 2},
    "a hidden layer": {"embed_dim": 5, "hidden": 4},
}
LOSSES = {
    "squared hinge": (Objective(squared_hinge=True), squared_hinge),
    "cross-entropy": (Objective(label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5)), cross_entropy),
}


@pytest.mark.parametrize(
    ("network", "loss", "segment"),
    [
        ("dimensions are classes", "squared hinge", 2**19),
        ("dimensions are classes", "squared hinge", 100),
        ("dimensions are classes", "cross-entropy", 2**19),
        ("low rank", "squared hinge", 2**19),
        ("a hidden layer", "cross-entropy", 2**19),
    ],
)
def test_equals_gradient_descent_on_a_dense_matrix(monkeypatch, network, loss, segment):
    """Over shuffled epochs whose learning rate falls, in segments of many tiles or of few."""
    monkeypatch.setattr(sgd, "SEGMENT_TILES", segment)
    architecture = Architecture(ROWS, CLASSES, "tfidf", **NETWORKS[network])
    features, labels = documents()
    objective, expected_loss = LOSSES[loss]
    rates = learning_rates(0.05, "linear", 9)
    epochs = [order(len(labels), BATCH, np.random.default_rng([3, epoch])) for epoch in range(3)]
    trainer = SparseSgd(architecture, features, labels, rates, objective)
    assert trainer.state is None
    trainer.start(jax.device_put(initial(architecture)))
    losses, segments = [], 0
    for epoch in epochs:
        parts = trainer.segments(epoch)
        segments += len(parts)
        assert np.array_equal(np.concatenate(parts), epoch)
        for part in parts:
            losses.extend(np.asarray(trainer.run(trainer.prepare(part))).tolist())
    assert segments == 3 if segment > 100 else segments > 3
    after, expected = plain(
        initial(architecture), dense(features), labels, np.concatenate(epochs), rates, expected_loss
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for path, array in flatten_parameters(trainer.parameters).items():
        np.testing.assert_allclose(array, after[path], rtol=1e-4, atol=1e-5, err_msg=path)
    assert int(trainer.state.step) == 9
    held = np.unique(features.rows)
    untouched = np.setdiff1d(np.arange(ROWS), held)
    table = np.asarray(trainer.parameters["embedding"]["embedding"])
    assert np.array_equal(table[untouched], initial(architecture)["embedding"]["embedding"][untouched])


def test_the_state_is_one_pytree_and_goes_on_from_where_it_was():
    architecture = Architecture(ROWS, CLASSES, "tfidf", **NETWORKS["low rank"])
    features, labels = documents()
    batches = order(len(labels), BATCH, None)

    def make():
        trainer = SparseSgd(
            architecture, features, labels, learning_rates(0.05, "linear", 6), Objective(squared_hinge=True)
        )
        trainer.start(jax.device_put(initial(architecture)))
        return trainer

    whole, half = make(), make()
    for trainer in (whole, half):
        trainer.run(trainer.prepare(batches))
    saved = jax.tree.map(np.array, half.state)
    again = make()
    again.state = jax.tree.map(jnp.asarray, saved)
    losses = [np.asarray(trainer.run(trainer.prepare(batches))) for trainer in (whole, again)]
    assert np.array_equal(*losses)
    for path, array in flatten_parameters(again.parameters).items():
        assert np.array_equal(array, flatten_parameters(whole.parameters)[path])


def test_documents_without_features_train_the_bias_alone():
    architecture = Architecture(5, CLASSES, "tfidf", embed_dim=CLASSES, output=False)
    nothing = FeatureIds(np.zeros(0, np.int32), np.zeros(4, np.int64), np.zeros(0, np.float32))
    trainer = SparseSgd(
        architecture, nothing, np.array([0, 0, 1], np.int32), np.full(3, 0.1), Objective(squared_hinge=True)
    )
    trainer.start(jax.device_put(initial(architecture)))
    trainer.run(trainer.prepare(np.array([[0, 1, 2]])))
    before, after = flatten_parameters(initial(architecture)), flatten_parameters(trainer.parameters)
    assert np.array_equal(before["embedding.embedding"], after["embedding.embedding"])
    assert (np.asarray(after["output.bias"]) != before["output.bias"]).all()
