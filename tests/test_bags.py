"""Sums of embeddings and their gradient, against the plain way, and what a layout holds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.forward import Block, apply, logits
from flaxtext.train.fast.bags import BLOCK, RUN, TIMES, BagLayout, Held

ROWS = 300


def documents(n, max_len, seed=0):
    """Words as text has them, a few very often and most once; of any length, the last document empty."""
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.zipf(1.3, (n, max_len)), ROWS - 1).astype(np.int32)
    ids[np.arange(max_len) >= rng.integers(0, max_len + 1, n)[:, None]] = 0
    ids[-1] = 0
    return ids


def batches(n, batch, seed=0):
    """All documents but the last one, shuffled; -1, the last, fills up."""
    order = np.random.default_rng(seed).permutation(n - 1)
    return np.pad(order, (0, -len(order) % batch), constant_values=-1).reshape(-1, batch)


def at(layout, step):
    return jax.tree.map(lambda array: array[step], layout)


def total(used, bags):
    [documents] = bags.documents(used, None)
    return documents.total


def weighted(used, bags, weights):
    return (total(used, bags) * weights).sum(), total(used, bags)


differentiated = jax.jit(jax.grad(weighted, has_aux=True))


def sums(table, ids):
    return table[ids].sum(axis=1)


@pytest.mark.parametrize(("n", "max_len", "batch"), [(200, 12, 64), (50, 2 * BLOCK + 1, 7), (9, 1, 20)])
def test_sums_and_their_gradient_are_those_of_the_plain_way(n, max_len, batch):
    ids = documents(n, max_len)
    rng = np.random.default_rng(1)
    table = rng.normal(size=(ROWS, 3)).astype(np.float32)
    extended = jnp.asarray(np.pad(table, ((0, 1), (0, 0))))  # the spare row comes last
    order, used, layout = BagLayout(ids, ROWS, room=n % 2 == 0).prepare(batches(n, batch))
    for step, rows in enumerate(used):
        weights = rng.normal(size=(batch, 3)).astype(np.float32)
        gradient, total = differentiated(extended[rows], at(layout, step), weights)
        expected, back = jax.vjp(partial(sums, ids=ids[order[step]]), jnp.asarray(table))
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
        in_table = np.zeros((ROWS + 1, 3), np.float32)
        np.add.at(in_table, rows, gradient)
        np.testing.assert_allclose(in_table[:-1], back(weights)[0], rtol=1e-5, atol=1e-5)
        assert not in_table[-1].any()


def test_rows_held_any_number_of_times_have_a_place():
    """One row for each number of times, and on either side of what TIMES and RUN divide."""
    counts = [1, 2, 3, 4, 5, 8, 9, RUN, RUN + 1, 3 * RUN + 5]
    assert {np.searchsorted(TIMES, count) for count in counts} == set(range(len(TIMES) + 1))
    words = np.repeat(np.arange(1, len(counts) + 1, dtype=np.int32), counts)
    ids = np.append(np.random.default_rng(0).permutation(words), 0)[:, None]
    order = np.arange(len(words))[None]
    _, [used], layout = BagLayout(ids, ROWS, room=True).prepare(order)
    gradient, _ = differentiated(jnp.zeros((len(used), 1)), at(layout, 0), 1)
    held = {int(row): float(value) for row, [value] in zip(used, gradient, strict=True) if value}
    assert held == dict(enumerate(counts, start=1))


@pytest.mark.parametrize("rows", [1 << 8, 1 << 24, 2**31 - 1])
def test_rows_of_any_number_are_held_by_their_documents(rows):
    """2,000 documents take 11 of the 32 bits that hold a small row and a document."""
    ids = np.random.default_rng(0).integers(0, rows, (2000, 3), np.int32)
    ids[1::2] = ids[::2]
    ids[-1] = rows - 1, 0, 0
    held = Held.of(ids)
    assert held.rows.tolist() == sorted({*ids.ravel().tolist()} - {0})
    for row, start, times in zip(held.rows, held.start, held.times, strict=True):
        assert held.documents[start : start + times].tolist() == np.argwhere(ids == row)[:, 0].tolist()
    assert not len(Held.of(np.zeros_like(ids)).rows)


def test_each_step_uses_each_row_once_and_padding_first():
    ids = documents(200, 12)
    order, used, _ = BagLayout(ids, ROWS, room=True).prepare(batches(200, 64))
    for documents_of, rows in zip(order, used, strict=True):
        real = rows[rows < ROWS]
        assert rows[0] == 0
        assert rows[-1] == ROWS
        assert sorted(real) == sorted({0, *ids[documents_of].ravel().tolist()})


def test_shapes_seldom_change_from_epoch_to_epoch():
    layout = BagLayout(documents(3000, 12), ROWS, room=True)

    def shapes(seed):
        return [array.shape for array in jax.tree.leaves(layout.prepare(batches(3000, 500, seed)))]

    assert [shapes(seed) == shapes(0) for seed in range(10)].count(True) >= 8


def test_documents_without_words():
    _, used, layout = BagLayout(np.zeros((5, 4), np.int32), ROWS, room=True).prepare(np.array([[0, 1], [2, 3]]))
    table = jnp.ones((ROWS + 1, 2)).at[ROWS].set(0)
    np.testing.assert_array_equal(total(table[used[1]], at(layout, 1)), 4)


@pytest.mark.parametrize("pooling", ["padded_mean", "padded_sum"])
def test_the_forward_pass_of_a_layout_is_that_of_the_documents(pooling):
    ids = documents(40, 12)
    architecture = Architecture(rows=ROWS, classes=2, max_len=12, pooling=pooling, embed_dim=3, hidden=4)
    rng = np.random.default_rng(2)
    named = {path: rng.normal(size=shape).astype(np.float32) for path, shape in architecture.shapes.items()}
    parameters = unflatten_parameters(named)
    table = jnp.asarray(np.pad(named["embedding.embedding"], ((0, 1), (0, 0))))
    order, used, layout = BagLayout(ids, ROWS, room=True).prepare(batches(40, 16))
    for step, rows in enumerate(used):
        [found] = at(layout, step).documents(table[rows], None)
        expected = apply(architecture, parameters, Block(ids[order[step]]))
        np.testing.assert_allclose(logits(architecture, parameters, [found]), expected, rtol=1e-4, atol=1e-5)
