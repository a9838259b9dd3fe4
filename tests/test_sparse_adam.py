"""Adam on the rows in use equals optax.adam on all rows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flaxtext.train.fast import sparse_adam

ROWS, DIM, STEPS, RATE = 60, 4, 200, 0.01


def schedule():
    """The rows of each step: random ones, some idle for 1 to 150 steps, one touched once, one never."""
    rng = np.random.default_rng(0)
    steps = [set(rng.choice(np.arange(10, ROWS), 8, replace=False)) for _ in range(STEPS)]
    for row in range(8):  # row r comes back after 1, 2, 5, 20, 50, 100, 149, 150 idle steps
        gap = (1, 2, 5, 20, 50, 100, 149, 150)[row]
        for step in range(row, STEPS, gap + 1):
            steps[step].add(row)
    steps[7].add(8)
    return [np.array(sorted(rows), np.int32) for rows in steps]  # row 9 is never touched


def gradients(rows, seed):
    scale = 10.0 ** np.random.default_rng(seed + 1000).uniform(-2, 2)
    return (scale * np.random.default_rng(seed).normal(size=(len(rows), DIM))).astype(np.float32)


def dense(embedding, learning_rate):
    optimizer = optax.adam(learning_rate)
    state = optimizer.init(embedding)
    update = jax.jit(optimizer.update)
    for step, rows in enumerate(schedule()):
        gradient = jnp.zeros_like(embedding).at[rows].set(gradients(rows, step))
        updates, state = update(gradient, state, embedding)
        embedding = optax.apply_updates(embedding, updates)
    return embedding


def sparse(embedding, rates):
    table = sparse_adam.tables(rates)
    rows = sparse_adam.init(embedding)
    width = max(map(len, schedule()))
    read_rows, write_rows = jax.jit(sparse_adam.read), jax.jit(sparse_adam.write)
    for step, used in enumerate(schedule(), start=1):
        indices = np.full(width, ROWS, np.int32)  # filled up with the spare row
        indices[: len(used)] = used
        gradient = np.zeros((width, DIM), np.float32)
        gradient[: len(used)] = gradients(used, step - 1)
        _, read = read_rows(table, rows, indices, jnp.int32(step))
        rows = write_rows(table, rows, read, gradient, jnp.int32(step))
    return sparse_adam.embedding(table, rows, jnp.int32(STEPS))


@pytest.fixture
def embedding():
    return jnp.asarray(np.random.default_rng(7).normal(size=(ROWS, DIM)), jnp.float32)


def test_equals_optax(embedding):
    found = sparse(embedding, np.full(STEPS, RATE))
    expected = dense(embedding, RATE)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(jnp.abs(expected).max()))
    assert np.array_equal(found[9], embedding[9])
    assert not np.array_equal(found[8], embedding[8])


def test_equals_optax_with_a_learning_rate_that_changes(embedding):
    cosine = optax.cosine_decay_schedule(RATE, STEPS)
    found = sparse(embedding, np.array([cosine(step) for step in range(STEPS)]))
    np.testing.assert_allclose(found, dense(embedding, cosine), rtol=1e-5, atol=1e-5)


def test_the_distance_of_idle_steps_is_the_sum_that_it_stands_for():
    table = sparse_adam.tables(np.full(50, RATE))
    b1, b2 = sparse_adam.B1, sparse_adam.B2
    last, step = 5, 30
    total = sum(
        RATE * (b1 / np.sqrt(b2)) ** (s - last) * np.sqrt(1 - b2**s) / (1 - b1**s) for s in range(last + 1, step + 1)
    )
    found = table.tail[last] - table.ratio[step - last] * table.tail[step]
    assert found == pytest.approx(total, rel=1e-5)
