"""The one forward pass: the same on NumPy, on JAX and in the network, and that of a plain loop over documents."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_network import architecture, block_of, made, random_ids

from flaxtext.model import prediction
from flaxtext.model.forward import Block, apply, dense, softmax
from flaxtext.model.poolings import POOLINGS, Embedded, Repeated, tfidf
from flaxtext.model.prediction import WIDTHS, blocks, choose_backend, class_probabilities, lay_out
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of

MAX_LEN = 5


def pooled(pooling, table, ids, weights=None):
    """Pool one document, `ids: int[MAX_LEN]`, in the plainest way."""
    everything, words = table[ids], table[ids[ids != 0]]
    if pooling == "flatten":
        return everything.ravel()
    if pooling == "padded_mean":  # padding, id 0, has a row like any other
        return everything.sum(axis=0) / MAX_LEN
    if pooling == "padded_sum":
        return everything.sum(axis=0)
    if pooling == "tfidf":
        return weights @ everything
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


def plainly(own, parameters, ids):
    """Logits, document by document, in double precision."""
    arrays = jax.tree.map(lambda array: np.asarray(array, np.float64), parameters)
    weights = block_of(own, ids).weights
    logits = []
    for place, document in enumerate(ids):
        values = pooled(own.pooling, arrays["embedding"]["embedding"], document, weights is not None and weights[place])
        if "hidden" in arrays:
            values = np.maximum(values @ arrays["hidden"]["kernel"] + arrays["hidden"]["bias"], 0)
        if own.output:
            values = values @ arrays["output"]["kernel"]
        logits.append(values + arrays["output"]["bias"])
    return np.array(logits).reshape(-1, 3)


def in_widths(own, ids):
    """The same documents, in every width that holds all words, and wider ones where padding does not count."""
    filled = int(np.flatnonzero(ids.any(axis=0)).max(initial=0)) + 1
    whole = block_of(own, ids)
    for width in {filled, 4, MAX_LEN} - set(range(filled)):
        yield Block(*(part if part is None else part[:, :width] for part in whole))
    if own.positions is None:
        yield Block(*(part if part is None else np.pad(part, ((0, 0), (0, 4))) for part in whole))


def ragged(own, ids):
    """Documents by their features, up to the last that is no padding."""
    block = block_of(own, ids)
    is_there = np.cumsum((ids != 0)[:, ::-1], axis=1)[:, ::-1] > 0
    weights = block.weights if block.weights is None else block.weights[is_there]
    return FeatureIds(ids[is_there], offsets_of(is_there.sum(axis=1)), weights)


LONG = np.concatenate([random_ids(), [[0] * 5, [3, 0, 7, 0, 0]]]).astype(np.int32)  # one is empty; one has a gap
DOCUMENTS = {"long": LONG, "short": np.where(np.arange(5) < 3, LONG, 0), "all empty": np.zeros((9, 5), np.int32)}


def check(own):
    graph, parameters = made(own)
    compiled = jax.jit(apply, static_argnums=0)
    parameters["embedding"]["embedding"] *= 3  # so that largest and average lie well apart
    in_numpy = jax.tree.map(np.asarray, parameters)
    for name, ids in DOCUMENTS.items():
        expected = plainly(own, parameters, ids)
        for block in in_widths(own, ids):
            by_numpy = apply(own, in_numpy, block)
            by_jax = compiled(own, parameters, block)
            assert type(by_numpy) is np.ndarray
            assert by_numpy.dtype == by_jax.dtype == np.float32
            for found in (by_numpy, by_jax):
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)
    network = nnx.merge(graph, parameters)
    documents = jax.tree.map(jnp.asarray, block_of(own, DOCUMENTS["short"]))
    np.testing.assert_array_equal(network(documents), apply(own, parameters, documents))


@pytest.mark.parametrize("hidden", [6, 0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_numpy_jax_and_the_network_say_what_a_plain_loop_says(pooling, hidden):
    check(architecture(pooling, hidden=hidden))


def test_a_network_whose_dimensions_are_the_classes_says_what_a_plain_loop_says():
    check(architecture("tfidf", embed_dim=3, hidden=0, output=False))


def test_features_without_weights_are_not_added_up_by_weight():
    with pytest.raises(ValueError, match="tfidf adds up weighted features, and these have no weights"):
        tfidf(Embedded(np.zeros((1, 2, 3)), np.ones((1, 2), bool), np.zeros(3), 0))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_documents_of_any_length_are_padded_to_as_many_positions_where_padding_counts(pooling, backend):
    ids = np.pad(random_ids(max_len=3), ((0, 0), (0, 2)))
    ids[0] = 0
    own = architecture(pooling)
    parameters = jax.tree.map(np.asarray, made(own)[1])
    found = class_probabilities(own, parameters, ragged(own, ids), backend)
    np.testing.assert_allclose(found, softmax(plainly(own, parameters, ids)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("n", [0, 1, 5, 8, 9, 20])
def test_probabilities_do_not_depend_on_the_chunks(monkeypatch, n, backend):
    own = architecture("padded_mean")
    parameters = made(own)[1]
    parameters = parameters if backend == "jax" else jax.tree.map(np.asarray, parameters)
    features = ragged(own, random_ids(n))
    whole = class_probabilities(own, parameters, features, backend)
    np.testing.assert_allclose(whole, softmax(plainly(own, parameters, random_ids(n))), rtol=1e-5)
    monkeypatch.setattr(prediction, "CHUNK_IDS", 8 * 5)
    np.testing.assert_allclose(class_probabilities(own, parameters, features, backend), whole, rtol=1e-6)
    assert whole.shape == (n, 3)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


def mixed(lengths, seed=0, weights=False):
    """Documents of these lengths, some rows of which are padding."""
    rng = np.random.default_rng(seed)
    offsets = offsets_of(np.array(lengths, np.int64))
    rows = rng.integers(0, 30, offsets[-1]).astype(np.int32)
    return FeatureIds(rows, offsets, rng.random(offsets[-1]).astype(np.float32) if weights else None)


LENGTHS = [3, 0, 700, 8, 9, 1, 0, 64, 65, 2000, 12, 7, 13, 8]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("pooling", ["mean", "sum", "max", "mean_max", "attention", "tfidf"])
def test_documents_of_mixed_lengths_get_what_each_gets_alone(pooling, backend):
    own = architecture(pooling, max_len=None)
    parameters = jax.tree.map(np.asarray, made(own)[1])
    features = mixed(LENGTHS, weights=own.weighs)
    together = class_probabilities(own, parameters, features, backend)
    alone = [class_probabilities(own, parameters, features.part(i, i + 1), "numpy") for i in range(len(LENGTHS))]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("embed_dim", [4, 2**14])
def test_blocks_hold_every_document_once_and_little_padding(embed_dim):
    own = architecture("mean", max_len=None, embed_dim=embed_dim)
    lengths = np.random.default_rng(0).zipf(1.3, 3000).clip(0, 20_000)
    features = mixed(lengths)
    seen = np.zeros(len(lengths), int)
    for documents, block in blocks(own, features):
        width = block.rows.shape[1]
        seen[documents] += 1
        assert width in WIDTHS
        assert width == 8 or 3 * lengths[documents].min() >= 2 * width * 0.99 - 3
        assert lengths[documents].max() <= width
        assert len(documents) == 1 or block.rows.size <= min(prediction.CHUNK_IDS, prediction.CHUNK_VALUES // embed_dim)
        for place, document in enumerate(documents):
            own_rows = features.rows[features.offsets[document] : features.offsets[document + 1]]
            assert np.array_equal(block.rows[place, : len(own_rows)], own_rows)
            assert not block.rows[place, len(own_rows) :].any()
    assert (seen == 1).all()
    assert not list(blocks(own, mixed([])))


def test_a_block_is_laid_out_with_padding_at_the_end_and_its_weights():
    features = FeatureIds(np.array([3, 1, 2], np.int32), np.array([0, 2, 2, 3]), np.array([0.5, 1, 2], np.float32))
    block = lay_out(features, np.array([2, 1, 0, 0]), 3)
    assert block.rows.tolist() == [[2, 0, 0], [0, 0, 0], [3, 1, 0], [3, 1, 0]]
    assert block.weights.tolist() == [[2, 0, 0], [0, 0, 0], [0.5, 1, 0], [0.5, 1, 0]]
    assert lay_out(features._replace(weights=None), np.array([0]), 1).rows.tolist() == [[3]]
    assert lay_out(mixed([0, 0]), np.array([0, 1]), 8).rows.tolist() == [[0] * 8] * 2


@pytest.mark.parametrize("pooling", ["mean", "attention", "tfidf"])
def test_a_document_of_20_000_words_among_short_ones_takes_memory_of_its_own_alone(pooling):
    own = architecture(pooling, max_len=None, embed_dim=20)
    parameters = jax.tree.map(np.asarray, made(own)[1])
    features = mixed([5] * 2000 + [20_000] + [5] * 2000, weights=own.weighs)
    tracemalloc.start()
    found = class_probabilities(own, parameters, features, "numpy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (4001, 3)
    assert peak < 2**26  # padded to the longest, all would take 6 GB


def test_jax_is_compiled_for_few_sizes():
    own = architecture("max", rows=31)  # an architecture of its own, so that nothing is compiled for it
    parameters = made(own)[1]
    before = prediction._compiled()._cache_size()
    for n in (1, 2, 3, 5, 60, 61, 250):
        class_probabilities(own, parameters, ragged(own, random_ids(n)), "jax")
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
