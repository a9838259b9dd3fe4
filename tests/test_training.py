"""Training against a plain optax loop, and how it ends when it fails."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from flaxtext.errors import UserError
from flaxtext.network import Network, flat, split
from flaxtext.training import fit, order, score
from flaxtext.vectors import Vectors

SETTINGS = {"epochs": 3, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01, "shuffle": True, "seed": 0}


def make(pooling="mean"):
    return Network(rows=40, classes=2, max_len=6, pooling=pooling, embed_dim=5, hidden=8, rngs=nnx.Rngs(0))


def documents(n=100, seed=0):
    """Documents whose class is told by which half of the vocabulary their words come from."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int32)
    ids = rng.integers(1, 20, (n, 6)) + 20 * labels[:, None]
    return Vectors(ids.astype(np.int32), labels)


def none():
    return Vectors(np.zeros((0, 6), np.int32), np.zeros(0, np.int32))


def plain_loop(train, optimizer, batches, pooling="mean"):
    """The tutorial's loop: slices, no scan, no padding of the last batch."""
    graph, parameters = split(make(pooling))
    update = getattr(optax, optimizer)(0.01)
    state = update.init(parameters)
    losses = []

    def loss(parameters, ids, labels):
        logits = nnx.merge(graph, parameters)(ids)
        return optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, 2)).sum()

    for epoch in batches:
        values = []
        for rows in epoch:
            value, gradient = jax.value_and_grad(loss)(parameters, train.ids[rows], train.labels[rows])
            updates, state = update.update(gradient, state, parameters)
            parameters = optax.apply_updates(parameters, updates)
            values.append(float(value))
        losses.append(np.mean(values))
    return flat(parameters), losses


@pytest.mark.parametrize("pooling", ["flatten", "mean", "sum"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_equals_a_plain_loop_of_optax(optimizer, pooling):
    train = documents()
    slices = [np.arange(start, min(start + 32, 100)) for start in range(0, 100, 32)]
    expected, losses = plain_loop(train, optimizer, [slices] * 3, pooling)
    parameters, history = fit(make(pooling), train, none(), **{**SETTINGS, "optimizer": optimizer, "shuffle": False})
    np.testing.assert_allclose([epoch.batch_loss for epoch in history], losses, rtol=1e-4)
    for name, array in flat(parameters).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("pooling", ["flatten", "mean", "sum"])
def test_the_loss_falls_and_the_classes_are_learned(pooling):
    _, history = fit(make(pooling), documents(500), documents(200, seed=1), **{**SETTINGS, "epochs": 8})
    assert history[-1].train_loss < history[0].train_loss / 2
    assert history[-1].validation_loss < history[0].validation_loss / 2
    assert history[-1].validation_accuracy > 0.95


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_any_batch_size_and_empty_documents(batch_size):
    ids, labels = documents(7)
    ids[2:5] = 0
    settings = {**SETTINGS, "batch_size": batch_size, "shuffle": False}
    _, sparse = fit(make("flatten"), Vectors(ids, labels), none(), **settings)
    _, dense = fit(make("flatten"), Vectors(ids, labels), none(), **{**settings, "optimizer": "adamw"})
    assert sparse[0].train_loss == pytest.approx(dense[0].train_loss, rel=1e-2)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    runs = [fit(make(), documents(), none(), **{**SETTINGS, "seed": seed})[0] for seed in (0, 0, 1)]
    first, again, other = (np.asarray(flat(run)["embedding.embedding"]).tobytes() for run in runs)
    assert first == again
    assert first != other


def test_a_loss_that_is_not_finite_stops_training():
    with pytest.raises(UserError, match=r"^epoch 1: the loss is no longer finite; lower train.learning_rate$"):
        fit(make(), documents(), none(), **{**SETTINGS, "optimizer": "sgd", "learning_rate": 1e30})


def test_each_epoch_is_reported():
    reports = []
    _, history = fit(make(), documents(), none(), **SETTINGS, report=lambda *report: reports.append(report))
    assert [epoch for epoch, _ in reports] == history
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert all(seconds > 0 for _, seconds in reports)
    assert np.isnan(history[0].validation_accuracy)


def test_an_epoch_holds_each_document_once():
    in_order = order(10, 4, None)
    assert in_order.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, -1, -1]]
    shuffled = order(10, 4, np.random.default_rng(0))
    assert sorted(shuffled.ravel()) == sorted(in_order.ravel())
    assert not np.array_equal(shuffled, in_order)


def test_score():
    loss, accuracy = score(np.array([[0.5, 0.5], [0.1, 0.9]], np.float32), np.array([0, 0]))
    assert loss == pytest.approx(-np.log([0.5, 0.1]).mean())
    assert accuracy == 0.5
