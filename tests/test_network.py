"""The network in Flax: its shapes, and what a step of training moves."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from flaxtext.model.poolings import POOLINGS
from flaxtext.model.forward import flat
from flaxtext.train.network import FEW, Network, product, split


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


@pytest.mark.parametrize("outputs", [1, 4, FEW, FEW + 1])
def test_a_product_has_the_gradients_of_the_plain_one(outputs):
    rng = np.random.default_rng(0)
    inputs, kernel, weights = (rng.normal(size=shape).astype(np.float32) for shape in ((7, 5), (5, outputs), outputs))

    def gradients(multiply):
        return jax.value_and_grad(lambda *both: ((multiply(*both) - 1) ** 2 @ weights).sum(), (0, 1))(inputs, kernel)

    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), gradients(product), gradients(jax.numpy.matmul)
    )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_columns_of_padding_may_be_cut_off(pooling):
    graph, parameters = split(make(pooling))
    ids = random_ids()
    ids[:, 2:] = 0
    whole, cut = (nnx.merge(graph, parameters)(width) for width in (ids, ids[:, :2]))
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)
