"""The network's shapes, its arithmetic against NumPy, and what a step of training moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxtext import network
from flaxtext.network import Network, flat, probabilities, split, unflat
from flaxtext.pooling import POOLINGS


def make(pooling, rows=30, classes=3, max_len=5, embed_dim=4, hidden=6, seed=0):
    return Network(
        rows=rows,
        classes=classes,
        max_len=max_len,
        pooling=pooling,
        embed_dim=embed_dim,
        hidden=hidden,
        rngs=nnx.Rngs(seed),
    )


def random_ids(n=7, max_len=5, rows=30, seed=0):
    return np.random.default_rng(seed).integers(0, rows, (n, max_len), dtype=np.int32)


def test_shapes_of_the_tutorial():
    abstract = nnx.eval_shape(lambda: make("flatten", rows=72003, classes=4, max_len=50, embed_dim=10, hidden=100))
    shapes = {name: array.shape for name, array in flat(split(abstract)[1]).items()}
    assert shapes == {
        "embedding.embedding": (72003, 10),
        "hidden.kernel": (500, 100),
        "hidden.bias": (100,),
        "output.kernel": (100, 4),
        "output.bias": (4,),
    }


def in_numpy(pooling, embedded, ids):
    """Pool one document at a time, in the plainest way."""
    words = [row[present] for row, present in zip(embedded, ids != 0, strict=True)]
    if pooling == "flatten":
        return embedded.reshape(len(ids), -1)
    if pooling == "mean":  # padding, id 0, has a row like any other
        return embedded.mean(axis=1)
    if pooling == "sum":
        return embedded.sum(axis=1)
    average, largest = (
        np.array([reduce(row, axis=0) if len(row) else 0 * embedded[0, 0] for row in words])
        for reduce in (np.mean, np.max)
    )
    if pooling == "attention":
        weights = [np.exp(row[:, -1]) / np.exp(row[:, -1]).sum() for row in words]
        return np.array([weight @ row for weight, row in zip(weights, words, strict=True)])
    return {"masked_mean": average, "max": largest, "mean_max": np.concatenate([average, largest], axis=1)}[pooling]


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_forward_pass_in_numpy(pooling, hidden):
    graph, parameters = split(make(pooling, hidden=hidden))
    arrays = {name: np.asarray(array, np.float64) for name, array in flat(parameters).items()}
    ids = random_ids()
    ids[0], ids[1, 2:] = 0, 0  # no words; two
    pooled = in_numpy(pooling, arrays["embedding.embedding"][ids], ids)
    if hidden:
        pooled = np.maximum(pooled @ arrays["hidden.kernel"] + arrays["hidden.bias"], 0)
    logits = pooled @ arrays["output.kernel"] + arrays["output.bias"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(graph, parameters, ids), expected, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_step_changes_every_parameter_that_it_should(pooling):
    graph, parameters = split(make(pooling))
    parameters["hidden"]["bias"] += 10.0  # keeps every unit of the relu alive
    ids = random_ids()

    def loss(parameters):
        return jax.nn.logsumexp(nnx.merge(graph, parameters)(ids)).sum()

    gradient = flat(jax.grad(loss)(parameters))
    used = np.unique(ids)
    assert used[0] == 0
    moved = np.flatnonzero(np.abs(gradient.pop("embedding.embedding")).sum(axis=1))
    if pooling in ("flatten", "mean", "sum"):  # where padding counts
        assert np.array_equal(moved, used)
    elif pooling == "max":  # a word that is nowhere the largest stays
        assert set(moved) < set(used[1:])
    else:
        assert np.array_equal(moved, used[1:])
    for name, array in gradient.items():
        assert np.all(array != 0), name


@pytest.mark.parametrize("n", [0, 1, 5, 8, 9, 20])
def test_probabilities_do_not_depend_on_the_chunks(monkeypatch, n):
    graph, parameters = split(make("mean"))
    ids = random_ids(n)
    whole = probabilities(graph, parameters, ids)
    monkeypatch.setattr(network, "CHUNK_ROWS", 8)
    np.testing.assert_allclose(probabilities(graph, parameters, ids), whole, rtol=1e-6)
    assert whole.shape == (n, 3)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_columns_of_padding_may_be_cut_off(pooling):
    graph, parameters = split(make(pooling))
    ids = random_ids()
    ids[:, 2:] = 0
    whole, cut = (nnx.merge(graph, parameters)(width) for width in (ids, ids[:, :2]))
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)


def test_flat_and_back():
    _, parameters = split(make("sum"))
    again = unflat(flat(parameters))
    assert jax.tree.structure(again) == jax.tree.structure(parameters)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, parameters)))
