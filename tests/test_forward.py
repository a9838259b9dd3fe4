"""What a network answers in JAX alone: its arithmetic against NumPy and against Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_network import make, random_ids

from flaxtext.model.poolings import POOLINGS
from flaxtext.model import forward
from flaxtext.model.forward import flat, logits, probabilities, shapes, unflat
from flaxtext.train.network import build, split


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
    _, parameters = split(make(pooling, hidden=hidden))
    arrays = {name: np.asarray(array, np.float64) for name, array in flat(parameters).items()}
    ids = random_ids()
    ids[0], ids[1, 2:] = 0, 0  # no words; two
    pooled = in_numpy(pooling, arrays["embedding.embedding"][ids], ids)
    if hidden:
        pooled = np.maximum(pooled @ arrays["hidden.kernel"] + arrays["hidden.bias"], 0)
    logits = pooled @ arrays["output.kernel"] + arrays["output.bias"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(pooling, parameters, ids), expected, rtol=1e-5)


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_network_in_flax_says_the_same(pooling, hidden):
    graph, parameters = split(make(pooling, hidden=hidden))
    ids = random_ids()
    ids[0], ids[:, 3:] = 0, 0
    expected = nnx.merge(graph, parameters)(jnp.asarray(ids))
    for width in (3, 4, 5):
        found = logits(pooling, 5, parameters, jnp.asarray(ids[:, :width]))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_shapes_are_those_of_the_network(pooling, hidden):
    config = {"classes": ["a", "b", "c"], "max_len": 7, "pooling": pooling, "embed_dim": 4, "hidden": hidden}
    for reads in ({}, {"stem": 5, "ngrams": 3}):
        arrays = flat(split(build(config | reads, 30, seed=0))[1])
        assert shapes(config | reads, 30) == {name: array.shape for name, array in arrays.items()}


@pytest.mark.parametrize("n", [0, 1, 5, 8, 9, 20])
def test_probabilities_do_not_depend_on_the_chunks(monkeypatch, n):
    _, parameters = split(make("mean"))
    ids = random_ids(n)
    whole = probabilities("mean", parameters, ids)
    monkeypatch.setattr(forward, "CHUNK_IDS", 8 * 5)
    np.testing.assert_allclose(probabilities("mean", parameters, ids), whole, rtol=1e-6)
    assert whole.shape == (n, 3)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


def test_flat_and_back():
    _, parameters = split(make("sum"))
    again = unflat(flat(parameters))
    assert jax.tree.structure(again) == jax.tree.structure(parameters)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, parameters)))
