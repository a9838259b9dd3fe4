"""Documents in tiles: their sums and gradients are those of the documents, however long they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.forward import Block, apply, logits
from flaxtext.model.prediction import lay_out
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of
from flaxtext.train.fast.tiles import TILE, TileLayout, TileNumbers, add_up

ROWS = 50
LENGTHS = [3, 0, TILE, TILE + 1, 500, 1, 0, 2 * TILE, 7]


def documents(lengths=LENGTHS, weights=False):
    rng = np.random.default_rng(0)
    offsets = offsets_of(np.array(lengths, np.int64))
    drawn = rng.random(offsets[-1]).astype(np.float32) if weights else None
    return FeatureIds(rng.integers(1, ROWS, offsets[-1]).astype(np.int32), offsets, drawn)


def at(layout, step):
    return jax.tree.map(lambda array: array[step], layout)


@pytest.mark.parametrize("weights", [False, True])
def test_tiles_hold_the_features_of_a_document_each_once(weights):
    features = documents(weights=weights)
    numbers = TileNumbers(features)
    assert numbers.counts.tolist() == [1, 0, 1, 2, 32, 1, 0, 2, 1, 0]  # the last is the document that fills up
    assert numbers.tiles == 40
    tiles = numbers.cut(features)
    assert tiles.rows.shape == (41, TILE)
    assert not tiles.rows[-1].any()
    batches = np.array([[4, 1, 0], [8, 3, -1]])
    found, owners = numbers.of(batches, room=False)
    assert found.shape == owners.shape == (2, 64)
    for step, batch in enumerate(batches):
        for place, document in enumerate(batch.tolist()):
            own = found[step][owners[step] == place]
            expected = features.part(document, document + 1).rows if document >= 0 else np.zeros(0)
            rows = tiles.rows[own].ravel()
            assert rows[rows > 0].tolist() == expected.tolist()
            if weights and document >= 0:
                assert (
                    tiles.weights[own].ravel()[rows > 0].tolist()
                    == features.part(document, document + 1).weights.tolist()
                )
        assert (found[step][owners[step] == 3] == 40).all()


def test_no_documents_and_none_with_features():
    for lengths in ([], [0, 0]):
        features = documents(lengths)
        numbers = TileNumbers(features)
        assert numbers.cut(features).rows.shape == (1, TILE)
        tiles, owners = numbers.of(np.full((2, 3), -1), room=True)
        assert (tiles == 0).all()
        assert (owners == 3).all()


def test_sums_of_tiles_are_added_up_for_their_documents():
    sums = jnp.arange(8.0).reshape(4, 2)
    assert add_up(sums, jnp.array([2, 0, 2, 3]), 3).tolist() == [[2, 3], [0, 0], [4, 6]]


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_the_forward_pass_and_its_gradient_are_those_of_padded_documents(pooling):
    features = documents()
    architecture = Architecture(ROWS, 2, pooling, embed_dim=3, hidden=4)
    rng = np.random.default_rng(2)
    named = {path: rng.normal(size=shape).astype(np.float32) for path, shape in architecture.shapes.items()}
    parameters = unflatten_parameters(named)
    table = jnp.asarray(np.pad(named["embedding.embedding"], ((0, 1), (0, 0))))
    batches = np.array([[4, 1, 0, 2], [8, 3, 5, -1], [6, 7, -1, -1]], np.int32)
    order, used, layout = TileLayout(features, ROWS, room=True).prepare(batches)
    assert np.array_equal(order, batches)
    for step, rows in enumerate(used):
        block = Block(
            lay_out(features.with_empty(), np.where(batches[step] < 0, len(LENGTHS), batches[step]), 500).rows
        )
        weights = rng.normal(size=(4, 2)).astype(np.float32)

        def of_tiles(used, step=step, weights=weights):
            parts = at(layout, step).documents(used, None)
            found = logits(architecture, parameters, parts)
            return (found * weights).sum(), found

        def of_block(table, block=block, weights=weights):
            own = {**parameters, "embedding": {"embedding": table}}
            found = apply(architecture, own, block)
            return (found * weights).sum(), found

        gradient, found = jax.grad(of_tiles, has_aux=True)(table[rows])
        expected_gradient, expected = jax.grad(of_block, has_aux=True)(table[:-1])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        in_table = np.zeros((ROWS + 1, 3), np.float32)
        np.add.at(in_table, rows, gradient)
        assert rows[0] == 0
        assert not in_table[[0, ROWS]].any()
        np.testing.assert_allclose(in_table[1:-1], np.asarray(expected_gradient)[1:], rtol=1e-4, atol=1e-4)
        real = rows[rows < ROWS]
        assert len(set(real.tolist())) == len(real)


def test_shapes_seldom_change_from_epoch_to_epoch():
    lengths = np.random.default_rng(0).integers(0, 60, 3000)
    layout = TileLayout(documents(lengths), ROWS, room=True)

    def shapes(seed):
        batches = np.random.default_rng(seed).permutation(3000).reshape(-1, 500)
        return [array.shape for array in jax.tree.leaves(layout.prepare(batches))]

    assert [shapes(seed) == shapes(0) for seed in range(10)].count(True) >= 8
