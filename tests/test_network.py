"""The network in Flax: its shapes, its initial parameters, and what a step of training moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.forward import Block
from flaxtext.model.poolings import POOLINGS
from flaxtext.train.network import Network, abstract, build, split


def architecture(pooling, **changes):
    sizes = {"rows": 30, "classes": 3, "max_len": 5, "embed_dim": 4, "hidden": 6}
    return Architecture(pooling=pooling, **{**sizes, **changes})


def made(own):
    """A network that holds random numbers: its static part and its parameters, with nothing compiled."""
    rng = np.random.default_rng(0)
    named = {path: (rng.normal(size=shape) / 2).astype(np.float32) for path, shape in own.shapes.items()}
    return split(abstract(own))[0], jax.device_put(unflatten_parameters(named))


def block_of(own, ids):
    """Documents as rows, weighted where the pooling weighs."""
    if not own.weighs:
        return Block(ids)
    return Block(ids, np.where(ids != 0, np.random.default_rng(5).random(ids.shape) + 0.1, 0).astype(np.float32))


def random_ids(n=7, max_len=5, rows=30, seed=0):
    return np.random.default_rng(seed).integers(0, rows, (n, max_len), dtype=np.int32)


def test_shapes_of_the_tutorial():
    tutorial = Architecture(rows=72003, classes=4, max_len=50, pooling="flatten", embed_dim=10, hidden=100)
    expected = {
        "embedding.embedding": (72003, 10),
        "hidden.kernel": (500, 100),
        "hidden.bias": (100,),
        "output.kernel": (100, 4),
        "output.bias": (4,),
    }
    assert {name: array.shape for name, array in flatten_parameters(split(abstract(tutorial))[1]).items()} == expected
    assert tutorial.shapes == expected
    assert tutorial.size == 720_030 + 50_000 + 100 + 400 + 4


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_shapes_are_those_of_the_network(pooling, hidden):
    for reads in ({}, {"prefix": 5, "ngrams": 3}):
        own = architecture(pooling, max_len=7, hidden=hidden, **reads)
        assert_shapes_are_those_of_the_network(own)


def assert_shapes_are_those_of_the_network(own):
    arrays = flatten_parameters(split(abstract(own))[1])
    assert list(own.shapes.items()) == [(name, array.shape) for name, array in arrays.items()]


def test_ids_of_a_word_and_of_a_document():
    own = architecture("flatten", prefix=5, ngrams=3, hidden=0)
    assert (own.reading.per_word, own.positions, own.pooled) == (4, 20, 80)
    assert (architecture("mean_max").pooled, architecture("mean_max").positions) == (8, None)
    assert architecture("mean", max_len=None).words == 2**15
    assert architecture("mean", max_len=7).words == 7


def test_a_network_whose_dimensions_are_the_classes():
    own = Architecture(rows=30, classes=3, pooling="tfidf", embed_dim=3, output=False)
    assert (own.weighs, own.reading.per_word, own.pooled, own.positions) == (True, 1, 3, None)
    assert own.shapes == {"embedding.idf": (30,), "embedding.embedding": (30, 3), "output.bias": (3,)}
    assert own.size == 30 * 3 + 30 + 3
    assert_shapes_are_those_of_the_network(own)
    named = flatten_parameters(split(build(own, 0))[1])
    assert not any(np.any(array) for array in named.values())


def test_all_seeds_are_initialised_by_one_compiled_function_and_as_flax_does():
    own = architecture("mean")
    found = flatten_parameters(split(build(own, 3))[1])
    plain = flatten_parameters(split(Network(own, nnx.Rngs(jax.random.key(3))))[1])
    for name, array in found.items():
        np.testing.assert_allclose(array, plain[name], rtol=1e-6, err_msg=name)
    assert not np.array_equal(found["output.kernel"], flatten_parameters(split(build(own, 4))[1])["output.kernel"])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_step_changes_every_parameter_that_it_should(pooling):
    own = architecture(pooling)
    graph, parameters = made(own)
    parameters["hidden"]["bias"] += 10.0  # keeps every unit of the relu alive
    ids = random_ids()
    block = block_of(own, ids)

    def loss(parameters):
        return jax.nn.logsumexp(nnx.merge(graph, parameters)(block)).sum()

    gradient = flatten_parameters(jax.jit(jax.grad(loss))(parameters))
    used = np.unique(ids)
    assert used[0] == 0
    moved = np.flatnonzero(np.abs(gradient.pop("embedding.embedding")).sum(axis=1))
    if pooling in ("flatten", "padded_mean", "padded_sum"):  # where padding counts
        assert np.array_equal(moved, used)
    elif pooling == "max":  # a word that is nowhere the largest stays
        assert set(moved) < set(used[1:])
    else:
        assert np.array_equal(moved, used[1:])
    if pooling == "tfidf":  # weights come from the documents, and no step changes them
        assert not np.any(gradient.pop("embedding.idf"))
    for name, array in gradient.items():
        assert np.all(array != 0), name


def test_flattened_and_back():
    _, parameters = made(architecture("sum"))
    named = flatten_parameters(parameters)
    assert list(named) == list(architecture("sum").shapes)
    again = unflatten_parameters(named)
    assert jax.tree.structure(again) == jax.tree.structure(parameters)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, parameters)))
