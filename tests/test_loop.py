"""Training a network: against a plain loop of optax, and how it ends when it fails."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from flaxtext.config.train import NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.model import poolings
from flaxtext.model.architecture import Architecture, flatten_parameters
from flaxtext.model.calibration import calibrated
from flaxtext.model.forward import Block
from flaxtext.model.poolings import POOLINGS, Pooling
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import FeatureIds
from flaxtext.train.fast.sgd import SparseSgd
from flaxtext.train.fast.trainer import Fast, serves
from flaxtext.train.loop import (
    Watched,
    best_epoch,
    choose_trainer,
    fit_network,
    learning_rate,
    learning_rates,
    order,
    score,
)
from flaxtext.train.network import build, split
from flaxtext.train.trainer import Plain

SETTINGS = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01, "hidden": 8, "embed_dim": 5, "max_len": 6}
WEIGHED = {"optimizer": "sgd", "loss": "squared_hinge", "learning_rate": "auto"}
"""What a pooling that weighs needs."""


def at_large(values, slow):
    """Values for a test, and further ones that prove no more, at large; each takes seconds to compile."""
    return [*values, *(pytest.param(*(v if isinstance(v, tuple) else [v]), marks=pytest.mark.slow) for v in slow)]


def architecture_of(settings):
    sizes = {"pooling": settings.pooling, "embed_dim": settings.embed_dim, "hidden": settings.hidden}
    return Architecture(rows=40, classes=2, max_len=6, **sizes)


def documents(n=100, seed=0):
    """Documents whose class is told by which half of the vocabulary their words come from."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int32)
    ids = rng.integers(1, 20, (n, 6)) + 20 * labels[:, None]
    return Watched(features_of(ids), labels)


def features_of(ids):
    """Documents of six features each."""
    return FeatureIds(ids.astype(np.int32).ravel(), np.arange(len(ids) + 1, dtype=np.int64) * 6)


def weighed(watched):
    """The same documents, weighted."""
    weights = np.full(len(watched.features.rows), 6**-0.5, np.float32)
    return watched._replace(features=watched.features._replace(weights=weights))


def none():
    return Watched(features_of(np.zeros((0, 6))), np.zeros(0, np.int32))


def train_network(train, validation, pooling="padded_mean", initial=0, **changes):
    """Train from the parameters of seed `initial`, with the seed of the settings."""
    settings = NetworkVariant(pooling=pooling, **{**SETTINGS, **changes})
    architecture = architecture_of(settings)
    make = lambda: build(architecture, initial)  # noqa: E731
    return fit_network(architecture, make, train, validation, settings, seed=settings.seed, epochs=settings.epochs)


def plain_loop(network, train, optimizer, batches):
    """The tutorial's loop: slices, no scan, no padding of the last batch."""
    graph, parameters = split(network)
    update = getattr(optax, optimizer)(0.01)
    state = update.init(parameters)
    losses = []
    all_ids = train.features.rows.reshape(-1, 6)

    @jax.jit
    def step(parameters, state, ids, labels):
        def loss(parameters):
            logits = nnx.merge(graph, parameters)(Block(ids))
            return optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, 2)).sum()

        value, gradient = jax.value_and_grad(loss)(parameters)
        updates, state = update.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    for epoch in batches:
        values = []
        for rows in epoch:
            parameters, state, value = step(parameters, state, all_ids[rows], train.labels[rows])
            values.append(float(value))
        losses.append(np.mean(values))
    return flatten_parameters(parameters), losses


@pytest.mark.parametrize(
    ("optimizer", "embed_dim", "pooling"),
    at_large(
        [("adam", 5, "flatten"), ("adamw", 5, "max"), ("sgd", 5, "mean")],
        [("adam", 8, "padded_mean"), ("adam", 5, "attention")],
    ),
)
def test_equals_a_plain_loop_of_optax(optimizer, embed_dim, pooling):
    """What Adam does with the other poolings is in test_trainer.py."""
    train = documents()
    slices = [np.arange(start, min(start + 32, 100)) for start in range(0, 100, 32)]
    settings = NetworkVariant(pooling=pooling, **{**SETTINGS, "embed_dim": embed_dim})
    expected, losses = plain_loop(build(architecture_of(settings), 0), train, optimizer, [slices] * 3)
    changes = {"optimizer": optimizer, "shuffle": False, "embed_dim": embed_dim}
    parameters, history = train_network(train, none(), pooling, **changes)
    np.testing.assert_allclose([epoch.batch_loss for epoch in history], losses, rtol=1e-4)
    for name, array in flatten_parameters(parameters).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


QUICK = ["mean_max", "tfidf"]


@pytest.mark.parametrize("pooling", at_large(QUICK, [pooling for pooling in POOLINGS if pooling not in QUICK]))
def test_the_loss_falls_and_the_classes_are_learned(pooling):
    train, watched, settings = documents(500), documents(200, seed=1), {}
    if POOLINGS[pooling].weighs:
        train, watched, settings = (
            weighed(train),
            weighed(watched),
            {"optimizer": "sgd", "learning_rate": 0.05, "hidden": 0},
        )
    _, history = train_network(train, watched, pooling, epochs=8, **settings)
    assert history[-1].train_loss < history[0].train_loss / 2
    assert history[-1].validation_loss < history[0].validation_loss / 2
    assert history[-1].validation_accuracy > 0.95


@pytest.mark.parametrize("batch_size", at_large([3], [1, 1000]))
def test_any_batch_size_and_empty_documents(batch_size):
    features, labels = documents(7)
    lengths = np.where(np.isin(np.arange(7), [2, 3, 4]), 0, 6)
    is_kept = np.repeat(lengths > 0, 6)
    train = Watched(FeatureIds(features.rows[is_kept], np.append(0, np.cumsum(lengths))), labels)
    changes = {"batch_size": batch_size, "shuffle": False}
    _, sparse = train_network(train, none(), "flatten", **changes)
    _, dense = train_network(train, none(), "flatten", **changes, optimizer="adamw")
    assert sparse[0].train_loss == pytest.approx(dense[0].train_loss, rel=1e-2)


@pytest.mark.parametrize("rng", [None, 5])
def test_a_batch_is_no_larger_than_the_corpus(rng):
    def ordered(batch_size):
        return order(7, batch_size, rng and np.random.default_rng(rng))

    assert ordered(7).shape == (1, 7)
    assert np.array_equal(ordered(10**12), ordered(7))
    assert order(0, 10**12, None).shape == (0, 1)


def test_a_batch_beyond_the_corpus_trains_as_one_of_all_documents():
    runs = [train_network(documents(20), none(), batch_size=size, epochs=2) for size in (20, 10**12)]
    (first, history), (second, again) = runs
    assert [epoch.train_loss for epoch in history] == [epoch.train_loss for epoch in again]
    for name, array in flatten_parameters(first).items():
        assert np.array_equal(array, flatten_parameters(second)[name])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    runs = [train_network(documents(), none(), seed=seed)[0] for seed in (0, 0, 1)]
    first, again, other = (np.asarray(flatten_parameters(run)["embedding.embedding"]).tobytes() for run in runs)
    assert first == again
    assert first != other


def test_a_loss_that_is_not_finite_stops_training():
    with pytest.raises(UserError, match=r"^epoch 1: the loss is no longer finite; lower train.learning_rate$"):
        train_network(documents(), none(), optimizer="sgd", learning_rate=1e30)


@pytest.mark.parametrize(
    ("optimizer", "pooling"), at_large([("adam", "padded_mean"), ("sgd", "mean")], [("adam", "flatten")])
)
def test_what_is_compiled_beside_the_initialisation_is_what_runs(caplog, optimizer, pooling):
    """Once, by a thread, for all epochs: other shapes, or arrays that are placed otherwise, would compile again."""
    jax.clear_caches()
    jax.config.update("jax_log_compiles", True)
    try:
        train_network(documents(), none(), pooling, optimizer=optimizer)
    finally:
        jax.config.update("jax_log_compiles", False)
    compiled = [record for record in caplog.records if record.getMessage().startswith("Finished XLA compilation")]
    epochs = [record for record in compiled if "step" in record.getMessage()]
    assert len(epochs) == 1, compiled
    assert epochs[0].threadName != "MainThread"


def test_adam_is_fast_on_the_poolings_that_it_knows(monkeypatch):
    def chosen(pooling, **changes):
        settings = NetworkVariant(pooling=pooling, **{**SETTINGS, **changes})
        train = weighed(documents()) if pooling == "tfidf" else documents()
        return type(choose_trainer(architecture_of(settings), train, settings, epochs=1, seed=0))

    assert {chosen(pooling) for pooling in POOLINGS if serves(pooling)} == {Fast}
    assert [pooling for pooling in POOLINGS if not serves(pooling)] == ["tfidf"]
    assert chosen("tfidf", **WEIGHED) is SparseSgd
    assert chosen("mean", optimizer="adamw") is Plain
    monkeypatch.setitem(poolings.POOLINGS, "first", Pooling(first))
    assert chosen("first") is Plain


def first(documents):
    """The embedding of the first word alone."""
    return (documents.vectors[:, 0],)


def test_a_pooling_of_ones_own_is_trained_the_plain_way(monkeypatch):
    """Without a line elsewhere; and as optax trains it."""
    monkeypatch.setitem(poolings.POOLINGS, "first", Pooling(first))
    train = documents()
    slices = [np.arange(start, min(start + 32, 100)) for start in range(0, 100, 32)]
    settings = NetworkVariant(pooling="first", **SETTINGS)
    expected, losses = plain_loop(build(architecture_of(settings), 0), train, "adam", [slices] * 3)
    parameters, history = train_network(train, documents(50, seed=1), "first", shuffle=False)
    np.testing.assert_allclose([epoch.batch_loss for epoch in history], losses, rtol=1e-4)
    for name, array in flatten_parameters(parameters).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert np.isfinite(history[-1].validation_loss)


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
    assert np.isnan(score(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))).all()


def test_a_linear_schedule_falls_to_nothing():
    assert learning_rates(0.1, "linear", 4) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert learning_rates(0.1, "constant", 2) == pytest.approx([0.1, 0.1])


def test_the_learning_rate_of_weighted_features_follows_from_the_classes():
    """Of a loss that is summed over the batch, it is divided by the batch."""
    settings = NetworkVariant(pooling="tfidf", **{**SETTINGS, **WEIGHED})
    assert [learning_rate(settings, classes, 1, 10) for classes in (2, 8, 18, 5000)] == [1, 2, 3, 3]
    assert learning_rate(settings, 2, 32, 10) == 1 / 32
    beside_vectors = settings.model_copy(update={"pretrained": True})
    assert [learning_rate(beside_vectors, 2, 32, n) for n in (10**6, 1000, 250)] == [1 / 32, 1 / 32, 1 / 64]
    assert learning_rate(beside_vectors.model_copy(update={"learning_rate": 0.5}), 2, 32, 250) == 0.5


@pytest.mark.parametrize(
    "setting", at_large([{"schedule": "linear"}], [{"label_smoothing": 0.2}, {"class_weights": "balanced"}])
)
def test_the_sparse_path_does_what_the_dense_path_does(monkeypatch, setting):
    """adam takes the rows in use, all others all of them; with optax's adam in sgd's place both must agree."""
    monkeypatch.setattr(optax, "sgd", optax.adam)
    train = documents(120)
    train = Watched(train.features.part(20, 120), train.labels[20:])
    runs = [train_network(train, none(), **setting, optimizer=name) for name in ("adam", "sgd")]
    plain = train_network(train, none())
    assert runs[0][1][-1].train_loss == pytest.approx(runs[1][1][-1].train_loss, rel=1e-4)
    assert runs[0][1][-1].train_loss != pytest.approx(plain[1][-1].train_loss, rel=1e-4)
    for name, array in flatten_parameters(runs[0][0]).items():
        np.testing.assert_allclose(array, flatten_parameters(runs[1][0])[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("optimizer", at_large(["adam"], ["sgd"]))
def test_word_dropout_leaves_out_other_words_in_each_step(optimizer):
    changes = {"optimizer": optimizer, "shuffle": False, "epochs": 2}
    train = documents(64)
    runs = [train_network(train, none(), "padded_sum", **changes, word_dropout=0.5) for _ in range(2)]
    assert str(runs[0][1]) == str(runs[1][1])  # NaN and all
    plain = train_network(train, none(), "padded_sum", **changes)
    assert runs[0][1][0].train_loss != pytest.approx(plain[1][0].train_loss, rel=1e-3)


def at_random(n=200):
    """Documents to train on and to watch, of labels that cannot be learned: the validation loss soon rises."""
    rng = np.random.default_rng(0)
    return [Watched(documents(n, seed=s).features, rng.integers(0, 2, n).astype(np.int32)) for s in (0, 1)]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_patience_ends_training_and_gives_back_the_best_epoch(optimizer):
    train, validation = at_random()
    changes = {"epochs": 50, "learning_rate": 0.05, "optimizer": optimizer}
    parameters, history = train_network(train, validation, **changes, patience=3)
    best = best_epoch(history)
    assert len(history) == best + 3 < 50
    assert history[best - 1].validation_loss == min(epoch.validation_loss for epoch in history)
    architecture = architecture_of(NetworkVariant(pooling="padded_mean", **SETTINGS))
    loss, _ = score(class_probabilities(architecture, parameters, validation.features, "jax"), validation.labels)
    assert loss == pytest.approx(history[best - 1].validation_loss, rel=1e-5)


def test_patience_looks_at_the_loss_after_calibration_where_that_follows():
    train, validation = at_random()
    changes = {"epochs": 50, "learning_rate": 0.05, "patience": 3}
    histories = {}
    for calibrate in (False, True):
        parameters, histories[calibrate] = train_network(train, validation, **changes, calibrate=calibrate)
    assert histories[True][0].validation_accuracy == histories[False][0].validation_accuracy
    shared = zip(histories[True], histories[False], strict=False)
    assert all(scaled.validation_loss < plain.validation_loss for scaled, plain in shared)
    architecture = architecture_of(NetworkVariant(pooling="padded_mean", **SETTINGS))
    answers = class_probabilities(architecture, parameters, validation.features, "jax")
    loss, _ = score(calibrated(answers, validation.labels), validation.labels)
    assert loss == pytest.approx(min(epoch.validation_loss for epoch in histories[True]), rel=1e-5)


def test_patience_may_last_a_number_of_steps_as_well():
    """200 documents are seven steps: forty without a lower loss are six epochs."""
    train, validation = at_random()
    changes = {"epochs": 50, "learning_rate": 0.05, "patience": 2}
    lengths = {}
    for steps in (0, 14, 40, 10**9):
        _, history = train_network(train, validation, **changes, patience_steps=steps)
        lengths[steps] = len(history) - best_epoch(history)
        assert len(history) == 50 or steps < 10**9
    assert (lengths[0], lengths[14], lengths[40]) == (2, 2, 6)
