"""Reading rows in parts, and the gradient of that."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.forward import rows_of
from flaxtext.train.fast.rows import put, take_parts

TABLE = jnp.asarray(np.random.default_rng(0).normal(size=(7, 4)), jnp.float32)
PARTS = [jnp.array([3, 0, 3, 6], jnp.int32), jnp.array([3, 5], jnp.int32)]  # rows come twice, and in both parts


def test_takes_and_puts_rows():
    assert np.array_equal(rows_of(TABLE, PARTS[0]), np.asarray(TABLE)[[3, 0, 3, 6]])
    assert np.array_equal(rows_of(TABLE, PARTS[0][None]), np.asarray(TABLE)[[[3, 0, 3, 6]]])
    assert np.array_equal(rows_of(np.asarray(TABLE), np.asarray(PARTS[0])), rows_of(TABLE, PARTS[0]))
    changed = np.array(TABLE)
    changed[[5, 1]] = [[1] * 4, [2] * 4]
    assert np.array_equal(put(TABLE, jnp.array([5, 1]), jnp.array([[1.0] * 4, [2.0] * 4])), changed)


def test_the_gradient_of_parts_is_that_of_plain_indexing():
    weights = [np.random.default_rng(i).normal(size=(len(part), 4)).astype(np.float32) for i, part in enumerate(PARTS)]

    def read(table):
        return take_parts(table, PARTS)

    def index(table):
        return [table[part] for part in PARTS]

    def weigh(how):
        return lambda table: sum((part**2 * weight).sum() for part, weight in zip(how(table), weights, strict=True))

    assert all(np.array_equal(*pair) for pair in zip(read(TABLE), index(TABLE), strict=True))
    found, expected = (jax.jit(jax.grad(weigh(how)))(TABLE) for how in (read, index))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert np.abs(expected[3]).min() > 0
    assert not np.any(found[4])  # a row that is not read
