"""The one forward pass: the same on NumPy, on JAX and in the network, and that of a plain loop over documents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_network import architecture, made, random_ids

from flaxtext.model import prediction
from flaxtext.model.forward import Block, apply, dense, softmax
from flaxtext.model.poolings import POOLINGS, Repeated
from flaxtext.model.prediction import choose_backend, class_probabilities

MAX_LEN = 5


def pooled(pooling, table, ids):
    """Pool one document, `ids: int[MAX_LEN]`, in the plainest way."""
    everything, words = table[ids], table[ids[ids != 0]]
    if pooling == "flatten":
        return everything.ravel()
    if pooling == "padded_mean":  # padding, id 0, has a row like any other
        return everything.sum(axis=0) / MAX_LEN
    if pooling == "padded_sum":
        return everything.sum(axis=0)
    if not len(words):
        return np.zeros(table.shape[1] * (2 if pooling == "mean_max" else 1))
    if pooling == "attention":
        weights = np.exp(words[:, -1]) / np.exp(words[:, -1]).sum()
        return weights @ words
    average, largest = words.mean(axis=0), words.max(axis=0)
    return {
        "mean": average,
        "sum": words.sum(axis=0),
        "max": largest,
        "mean_max": np.concatenate([average, largest]),
    }[pooling]


def plainly(pooling, parameters, ids):
    """Logits, document by document, in double precision."""
    arrays = jax.tree.map(lambda array: np.asarray(array, np.float64), parameters)
    logits = []
    for document in ids:
        values = pooled(pooling, arrays["embedding"]["embedding"], document)
        if "hidden" in arrays:
            values = np.maximum(values @ arrays["hidden"]["kernel"] + arrays["hidden"]["bias"], 0)
        logits.append(values @ arrays["output"]["kernel"] + arrays["output"]["bias"])
    return np.array(logits)


def blocks(ids):
    """The same documents, in every width that holds all words; of full width, lengths say where padding begins."""
    whole = Block.of(ids)
    return [
        Block(ids[:, :width], whole.lengths)
        for width in {whole.ids.shape[1], 4, MAX_LEN}
        if whole.ids.shape[1] <= width
    ]


LONG = np.concatenate([random_ids(), [[0] * 5, [3, 0, 7, 0, 0]]]).astype(np.int32)  # one is empty; one has a gap
DOCUMENTS = {"long": LONG, "short": np.where(np.arange(5) < 3, LONG, 0), "all empty": np.zeros((9, 5), np.int32)}


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_numpy_jax_and_the_network_say_what_a_plain_loop_says(pooling, hidden):
    own = architecture(pooling, hidden=hidden)
    graph, parameters = made(own)
    compiled = jax.jit(apply, static_argnums=0)
    parameters["embedding"]["embedding"] *= 3  # so that largest and average lie well apart
    in_numpy = jax.tree.map(np.asarray, parameters)
    for name, ids in DOCUMENTS.items():
        expected = plainly(pooling, parameters, ids).reshape(-1, 3)
        for block in blocks(ids):
            by_numpy = apply(own, in_numpy, block)
            by_jax = compiled(own, parameters, block)
            assert type(by_numpy) is np.ndarray
            assert by_numpy.dtype == by_jax.dtype == np.float32
            for found in (by_numpy, by_jax):
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)
    network = nnx.merge(graph, parameters)
    documents = Block.of(DOCUMENTS["short"])
    np.testing.assert_array_equal(network(documents), apply(own, parameters, jax.tree.map(jnp.asarray, documents)))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_wider_documents_are_pooled_over_more_positions(pooling, backend):
    """Documents that are shorter than the architecture says hold padding there."""
    ids = random_ids(max_len=3)
    own = architecture(pooling)
    parameters = jax.tree.map(np.asarray, made(own)[1])
    expected = softmax(plainly(pooling, parameters, np.pad(ids, ((0, 0), (0, 2)))))
    np.testing.assert_allclose(class_probabilities(own, parameters, ids, backend), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("n", [0, 1, 5, 8, 9, 20])
def test_probabilities_do_not_depend_on_the_chunks(monkeypatch, n, backend):
    own = architecture("padded_mean")
    parameters = made(own)[1]
    parameters = parameters if backend == "jax" else jax.tree.map(np.asarray, parameters)
    ids = random_ids(n)
    whole = class_probabilities(own, parameters, ids, backend)
    np.testing.assert_allclose(whole, softmax(plainly("padded_mean", parameters, ids).reshape(-1, 3)), rtol=1e-5)
    monkeypatch.setattr(prediction, "CHUNK_IDS", 8 * 5)
    np.testing.assert_allclose(class_probabilities(own, parameters, ids, backend), whole, rtol=1e-6)
    assert whole.shape == (n, 3)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


def test_jax_is_compiled_for_few_sizes():
    own = architecture("max", rows=31)  # an architecture of its own, so that nothing is compiled for it
    parameters = made(own)[1]
    before = prediction._compiled()._cache_size()
    for n in (1, 2, 3, 5, 60, 61, 250):
        class_probabilities(own, parameters, random_ids(n), "jax")
    assert prediction._compiled()._cache_size() - before <= 4


def test_jax_is_for_many_ids_and_where_it_is_installed(monkeypatch):
    assert choose_backend(1000) == "numpy"
    assert choose_backend(10**8) == "jax"
    monkeypatch.setattr(prediction, "find_spec", lambda _name: None)
    assert choose_backend(10**8) == "numpy"


def test_a_part_that_is_the_same_for_all_documents_is_multiplied_once():
    rng = np.random.default_rng(0)
    first, vector, kernel, bias = (rng.normal(size=shape) for shape in ((4, 3), 2, (3 + 2 * 5, 6), 6))
    whole = np.concatenate([first, np.tile(vector, (4, 5))], axis=1)
    found = dense(kernel.T, bias, (first, Repeated(vector, 5, 0)))
    np.testing.assert_allclose(found, whole @ kernel + bias)


def test_large_logits_have_probabilities():
    np.testing.assert_allclose(softmax(np.float32([[1000, 1000], [0, -1000]])), [[0.5, 0.5], [1, 0]])
