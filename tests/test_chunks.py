"""Documents of a batch in chunks of much the same length."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.forward import Block, apply, logits
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of
from flaxtext.train.fast import chunks
from flaxtext.train.fast.chunks import ChunkLayout, by_documents, by_ids, uncut
from flaxtext.train.fast.trainer import CUTS


def documents(lengths, width):
    """Documents of ids from 1 to 9."""
    ids = np.random.default_rng(0).integers(1, 10, (len(lengths), width)).astype(np.int32)
    return np.where(np.arange(width) < np.array(lengths)[:, None], ids, 0)


def ragged(ids):
    """The same, up to the last feature of each."""
    lengths = (ids != 0).sum(axis=1)
    return FeatureIds(ids[np.arange(ids.shape[1]) < lengths[:, None]], offsets_of(lengths))


def test_halves_have_much_the_same_number_of_ids():
    assert by_ids(np.array([8, 8, 4, 4, 4, 4])) == (2, 4)
    assert by_ids(np.array([8, 1, 1, 1, 1, 1])) == (1, 5)
    assert by_ids(np.array([4, 4])) == (1, 1)
    assert by_ids(np.array([0, 0, 0])) == (1, 2)


def test_halves_have_as_many_documents_and_longer_ones_are_cut_again_where_they_differ_much():
    assert by_documents(np.array([8, 4, 4, 1])) == (2, 2)
    assert by_documents(np.array([8, 4, 1])) == (2, 1)
    assert by_documents(np.array([8, 1, 1, 1])) == (1, 1, 2)
    assert by_documents(np.array([900, 100, 30, 10, 9, 9, 8, 8])) == (1, 1, 2, 4)
    assert by_documents(np.array([900] + [30] * 7)) == (1, 1, 2, 4)
    assert by_documents(np.array([5])) == (1,)


@pytest.mark.parametrize("lengths", [[3, 12, 5, 0, 7, 1, 12, 2], [12] * 8, [0] * 8, [4] * 7 + [12]])
def test_no_cut_needs_fewer_ids_in_the_larger_part(lengths):
    widths = np.sort(lengths)[::-1]
    larger = [max(size * widths[0], (8 - size) * widths[size]) for size in range(1, 8)]
    assert larger[by_ids(widths)[0] - 1] == min(larger)


@pytest.mark.parametrize("waste", [4, -(2**20)])
@pytest.mark.parametrize(("cut", "parts"), [(uncut, 1), (by_documents, 2), (by_ids, 2)])
def test_chunks_hold_the_documents_longest_first(monkeypatch, cut, parts, waste):
    """Whether the documents are read from a matrix or, where that would be mostly padding, from their lists."""
    monkeypatch.setattr(chunks, "WASTE", waste)
    ids = documents([3, 12, 5, 0, 7, 1, 12, 2], 12)
    order = np.arange(8, dtype=np.int32).reshape(1, 8)
    rows, used, layout = ChunkLayout(ragged(ids), None, 10, cut, room=False).prepare(order)
    assert len(layout.sizes) == parts
    assert layout.total == 0
    assert sum(layout.sizes) == 8
    assert all(wider >= narrower for wider, narrower in pairwise(layout.widths))
    ends = np.cumsum([size * width for size, width in zip(layout.sizes, layout.widths, strict=True)])
    found = [
        np.pad(used[0][part].reshape(size, width), ((0, 0), (0, 12 - width)))
        for part, size, width in zip(
            np.split(np.asarray(layout.positions[0]), ends[:-1]), layout.sizes, layout.widths, strict=True
        )
    ]
    assert np.array_equal(np.concatenate(found), ids[rows[0]])


@pytest.mark.parametrize("cut", [uncut, by_documents, by_ids])
def test_a_batch_of_one_document_is_one_chunk(cut):
    order = np.arange(3, dtype=np.int32).reshape(3, 1)
    _, _, layout = ChunkLayout(ragged(documents([3, 5, 0], 12)), 12, 10, cut, room=False).prepare(order)
    assert layout.sizes == (1,)
    assert layout.widths == (5,)
    assert layout.total == 12


def test_long_documents_widen_chunks_seldom():
    lengths = np.random.default_rng(0).zipf(1.5, 2000).clip(1, 3000)
    ids = FeatureIds(np.ones(lengths.sum(), np.int32), offsets_of(lengths))
    layout = ChunkLayout(ids, None, 10, by_documents, room=True)

    def shapes(seed):
        batches = np.random.default_rng(seed).permutation(2000).reshape(-1, 100)
        return [array.shape for array in jax.tree.leaves(layout.prepare(batches)[2])]

    assert [shapes(seed) == shapes(0) for seed in range(10)].count(True) >= 8


@pytest.mark.parametrize("pooling", CUTS)
def test_the_forward_pass_of_a_layout_is_that_of_the_documents(pooling):
    lengths = [3, 12, 5, 0, 7, 1, 2, 2, 0]
    ids = documents(lengths, 14)
    architecture = Architecture(rows=10, classes=2, max_len=14, pooling=pooling, embed_dim=3, hidden=4)
    rng = np.random.default_rng(2)
    named = {path: rng.normal(size=shape).astype(np.float32) for path, shape in architecture.shapes.items()}
    parameters = unflatten_parameters(named)
    table = jnp.asarray(np.pad(named["embedding.embedding"], ((0, 1), (0, 0))))
    order = np.array([[1, 0, 2, 3], [4, 5, 7, 6]], np.int32)
    order, used, layout = ChunkLayout(ragged(ids), architecture.positions, 10, CUTS[pooling], room=True).prepare(order)
    for step, rows in enumerate(used):
        parts = jax.tree.map(lambda array, step=step: array[step], layout).documents(table[rows], lambda part: part)
        found = np.asarray(logits(architecture, parameters, parts))
        expected = apply(architecture, parameters, Block(ids[order[step]]))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
