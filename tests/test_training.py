"""Training against a plain optax loop, and how it ends when it fails."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn.utils.class_weight import compute_class_weight

from flaxtext.core.errors import UserError
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.forward import flat, probabilities
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.train.network import Network, split
from flaxtext.train.fast.stepping import Objective
from flaxtext.train.loop import balanced, best_epoch, close_up, fit, learning_rates, order, score

SETTINGS = {"epochs": 3, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01, "shuffle": True, "seed": 0}


def make(pooling="mean", embed_dim=5):
    return Network(rows=40, classes=2, max_len=6, pooling=pooling, embed_dim=embed_dim, hidden=8, rngs=nnx.Rngs(0))


def documents(n=100, seed=0):
    """Documents whose class is told by which half of the vocabulary their words come from."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int32)
    ids = rng.integers(1, 20, (n, 6)) + 20 * labels[:, None]
    return Vectors(ids.astype(np.int32), labels)


def none():
    return Vectors(np.zeros((0, 6), np.int32), np.zeros(0, np.int32))


def train_network(network, *documents, **settings):
    return fit(network, lambda: network, *documents, **settings)


def plain_loop(network, train, optimizer, batches):
    """The tutorial's loop: slices, no scan, no padding of the last batch."""
    graph, parameters = split(network)
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


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("optimizer", "embed_dim"), [("adam", 5), ("adam", 8), ("adamw", 5), ("sgd", 5)])
def test_equals_a_plain_loop_of_optax(optimizer, embed_dim, pooling):
    train = documents()
    slices = [np.arange(start, min(start + 32, 100)) for start in range(0, 100, 32)]
    expected, losses = plain_loop(make(pooling, embed_dim), train, optimizer, [slices] * 3)
    settings = {**SETTINGS, "optimizer": optimizer, "shuffle": False}
    parameters, history = train_network(make(pooling, embed_dim), train, none(), **settings)
    np.testing.assert_allclose([epoch.batch_loss for epoch in history], losses, rtol=1e-4)
    for name, array in flat(parameters).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_loss_falls_and_the_classes_are_learned(pooling):
    _, history = train_network(make(pooling), documents(500), documents(200, seed=1), **{**SETTINGS, "epochs": 8})
    assert history[-1].train_loss < history[0].train_loss / 2
    assert history[-1].validation_loss < history[0].validation_loss / 2
    assert history[-1].validation_accuracy > 0.95


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_any_batch_size_and_empty_documents(batch_size):
    ids, labels = documents(7)
    ids[2:5] = 0
    settings = {**SETTINGS, "batch_size": batch_size, "shuffle": False}
    _, sparse = train_network(make("flatten"), Vectors(ids, labels), none(), **settings)
    _, dense = train_network(make("flatten"), Vectors(ids, labels), none(), **{**settings, "optimizer": "adamw"})
    assert sparse[0].train_loss == pytest.approx(dense[0].train_loss, rel=1e-2)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    runs = [train_network(make(), documents(), none(), **{**SETTINGS, "seed": seed})[0] for seed in (0, 0, 1)]
    first, again, other = (np.asarray(flat(run)["embedding.embedding"]).tobytes() for run in runs)
    assert first == again
    assert first != other


def test_a_loss_that_is_not_finite_stops_training():
    with pytest.raises(UserError, match=r"^epoch 1: the loss is no longer finite; lower train.learning_rate$"):
        train_network(make(), documents(), none(), **{**SETTINGS, "optimizer": "sgd", "learning_rate": 1e30})


def test_each_epoch_is_reported():
    reports = []
    _, history = train_network(make(), documents(), none(), **SETTINGS, report=lambda *report: reports.append(report))
    assert [epoch for epoch, _ in reports] == history
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert all(seconds > 0 for _, seconds in reports)
    assert np.isnan(history[0].validation_accuracy)


@pytest.mark.parametrize(
    ("optimizer", "pooling"), [("adam", "flatten"), ("adam", "mean"), ("adam", "max"), ("sgd", "mean")]
)
def test_what_is_compiled_beside_the_initialisation_is_what_runs(caplog, optimizer, pooling):
    jax.clear_caches()
    jax.config.update("jax_log_compiles", True)  # jax.log_compiles() would tell of this thread alone
    try:
        train_network(make(pooling), documents(), none(), **{**SETTINGS, "optimizer": optimizer})
    finally:
        jax.config.update("jax_log_compiles", False)
    compiled = [record for record in caplog.records if record.getMessage().startswith("Finished XLA compilation")]
    epochs = [record for record in compiled if "epoch" in record.getMessage()]
    assert len(epochs) == 1, compiled
    assert epochs[0].threadName != "MainThread"


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


def test_a_linear_schedule_falls_to_nothing():
    assert learning_rates(0.1, "linear", 4) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert learning_rates(0.1, "constant", 2) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("setting", [{"schedule": "linear"}, {"label_smoothing": 0.2}, {"class_weights": "balanced"}])
def test_the_sparse_path_does_what_the_dense_path_does(monkeypatch, setting):
    """adam takes the rows in use, all other optimizers all of them; under adam's name both must agree."""
    monkeypatch.setattr(optax, "dense_adam", optax.adam, raising=False)
    train = documents(120)
    train = Vectors(train.ids[20:], train.labels[20:])
    runs = [
        train_network(make(), train, none(), **{**SETTINGS, **setting, "optimizer": name})
        for name in ("adam", "dense_adam")
    ]
    plain = train_network(make(), train, none(), **SETTINGS)
    assert runs[0][1][-1].train_loss == pytest.approx(runs[1][1][-1].train_loss, rel=1e-4)
    assert runs[0][1][-1].train_loss != pytest.approx(plain[1][-1].train_loss, rel=1e-4)
    for name, array in flat(runs[0][0]).items():
        np.testing.assert_allclose(array, flat(runs[1][0])[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_label_smoothing_by_hand():
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]))
    loss = Objective(label_smoothing=0.3).loss(logits, jnp.array([0, -1]))
    assert float(loss) == pytest.approx(-(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1)), rel=1e-5)


def test_balanced_classes_count_the_same():
    labels = np.array([0, 0, 0, 1])
    weights = balanced(labels)
    assert weights == pytest.approx((4 / 6, 2))
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.array([0, 1]), y=labels))


def test_dropped_words_are_padding_and_about_as_many_as_asked_for():
    ids = jnp.ones((100, 100), jnp.int32)
    dropped = Objective(word_dropout=0.3).drop(ids, jax.random.key(0))
    assert float((dropped == 0).mean()) == pytest.approx(0.3, abs=0.02)
    assert Objective().drop(ids, jax.random.key(0)) is ids


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_word_dropout_leaves_out_other_words_in_each_step(optimizer):
    settings = {**SETTINGS, "optimizer": optimizer, "word_dropout": 0.5, "shuffle": False, "epochs": 2}
    train = documents(64)
    runs = [train_network(make("sum"), train, none(), **settings) for _ in range(2)]
    assert str(runs[0][1]) == str(runs[1][1])  # NaN and all
    plain = train_network(make("sum"), train, none(), **{**settings, "word_dropout": 0.0})
    assert runs[0][1][0].train_loss != pytest.approx(plain[1][0].train_loss, rel=1e-3)


def test_patience_ends_training_and_gives_back_the_best_epoch():
    """Labels at random cannot be learned: the validation loss soon rises."""
    rng = np.random.default_rng(0)
    train, validation = (Vectors(documents(200, seed=s).ids, rng.integers(0, 2, 200).astype(np.int32)) for s in (0, 1))
    settings = {**SETTINGS, "epochs": 50, "learning_rate": 0.05}
    parameters, history = train_network(make(), train, validation, **settings, patience=3)
    best = best_epoch(history)
    assert len(history) == best + 3 < 50
    assert history[best - 1].validation_loss == min(epoch.validation_loss for epoch in history)
    loss, _ = score(probabilities(make().pooling, parameters, validation.ids), validation.labels)
    assert loss == pytest.approx(history[best - 1].validation_loss, rel=1e-5)


def test_closing_up_keeps_the_words_in_order():
    ids = np.array([[0, 3, 0, 5], [0, 0, 0, 0], [7, 0, 2, 0]], np.int32)
    assert close_up(ids).tolist() == [[3, 5], [0, 0], [7, 2]]
    assert close_up(np.zeros((0, 3), np.int32)).shape == (0, 1)
