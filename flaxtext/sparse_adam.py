r"""Adam on a few rows of a large table, equal to Adam on all of it.

Adam moves a row even in steps that give it no gradient, because its moments m and v outlive the gradient.
Over the whole table that costs more than the rest of the step. But what k idle steps after step t do to a
row has a closed form. The moments decay, m -> b1^k m and v -> b2^k v, and step t+j moves the row by

    lr(t+j) * (b1^j m / (1 - b1^(t+j))) / sqrt(b2^j v / (1 - b2^(t+j)))
        =  m / sqrt(v)  *  r^j c(t+j),   r = b1 / sqrt(b2),   c(s) = lr(s) sqrt(1 - b2^s) / (1 - b1^s)

so that k of them move it by m / sqrt(v) times sum_{j=1..k} r^j c(t+j). With G(s) = sum_{j>=1} r^j c(s+j),
tabulated once by the recursion G(s) = r (c(s+1) + G(s+1)), that sum is G(t) - r^k G(t+k).

Each step therefore reads the rows that its batch uses, brings them up to date, steps them and writes them
back; `finish` brings all rows up to date. Adam's eps enters the closed form at its value of the first idle
step, which is exact to first order of eps / sqrt(v).

Adam: Kingma and Ba, 2015 (arXiv:1412.6980). Constants and arithmetic are those of `optax.adam`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

B1, B2, EPS = 0.9, 0.999, 1e-8


class Tables(NamedTuple):
    """What depends on the step alone, float32[steps + 1] each: index s is step s, counted from 1.

    Attributes:
        learning_rate: lr(s).
        rate: lr(s) sqrt(1 - b2^s) / (1 - b1^s), the c of the derivation.
        tail: G(s).
        eps: eps sqrt(1 - b2^s), which is eps as seen beside sqrt(v) without its bias correction.
        ratio, decay1, decay2: r^s, b1^s and b2^s.
    """

    learning_rate: jax.Array
    rate: jax.Array
    tail: jax.Array
    eps: jax.Array
    ratio: jax.Array
    decay1: jax.Array
    decay2: jax.Array


class Rows(NamedTuple):
    """An embedding table in training.

    Attributes:
        packed: float32[rows + 1, 3 * dim]; parameters, m and v side by side, so that one gather reads a
            row and one scatter writes it. The last row is nobody's: padding of `indices` points at it.
        last: int32[rows + 1]; the step up to which each row is up to date.
    """

    packed: jax.Array
    last: jax.Array


def tables(learning_rate: np.ndarray) -> Tables:
    """Tabulate for `learning_rate: float[steps]`, the rate of each step."""
    step = np.arange(len(learning_rate) + 1, dtype=np.float64)
    step[0] = 1  # there is no step 0; any finite value will do
    correction = np.sqrt(1 - B2**step)
    learning_rate = np.concatenate([[0], learning_rate])
    rate = learning_rate * correction / (1 - B1**step)
    ratio = B1 / np.sqrt(B2)
    tail = np.zeros_like(rate)
    for s in range(len(rate) - 2, -1, -1):
        tail[s] = ratio * (rate[s + 1] + tail[s + 1])
    powers = np.arange(len(rate), dtype=np.float64)
    columns = (learning_rate, rate, tail, EPS * correction, ratio**powers, B1**powers, B2**powers)
    return Tables(*(jnp.asarray(column, jnp.float32) for column in columns))


def init(embedding: jax.Array) -> Rows:
    """Start from `embedding: float32[rows, dim]` with zero moments."""
    packed = jnp.pad(embedding, ((0, 1), (0, 2 * embedding.shape[1])))
    return Rows(packed, jnp.zeros(len(packed), jnp.int32))


def read(table: Tables, rows: Rows, indices: jax.Array, step: jax.Array) -> jax.Array:
    """Return `float32[n, 3 * dim]`, the rows `indices: int32[n]` as they stand before step `step`."""
    packed = rows.packed.at[indices].get(mode="promise_in_bounds")
    last = rows.last.at[indices].get(mode="promise_in_bounds")
    return _bring_up(table, packed, last, step - 1)


def update(table: Tables, packed: jax.Array, gradient: jax.Array, step: jax.Array) -> jax.Array:
    """Step `packed: float32[n, 3 * dim]` by `gradient: float32[n, dim]`."""
    parameters, m, v = jnp.split(packed, 3, axis=1)
    m = B1 * m + (1 - B1) * gradient
    v = B2 * v + (1 - B2) * gradient**2
    parameters -= table.rate[step] * m / (jnp.sqrt(v) + table.eps[step])
    return jnp.concatenate([parameters, m, v], axis=1)


def write(rows: Rows, indices: jax.Array, packed: jax.Array, step: jax.Array) -> Rows:
    """Put rows back as they stand after step `step`."""
    return Rows(
        rows.packed.at[indices].set(packed, mode="promise_in_bounds"),
        rows.last.at[indices].set(step, mode="promise_in_bounds"),
    )


def finish(table: Tables, rows: Rows, step: jax.Array) -> tuple[Rows, jax.Array]:
    """Bring all rows up to date with step `step`; returns them and the embedding, `float32[rows, dim]`."""
    packed = _bring_up(table, rows.packed, rows.last, step)
    return Rows(packed, jnp.full_like(rows.last, step)), packed[:-1, : packed.shape[1] // 3]


def _bring_up(table: Tables, packed: jax.Array, last: jax.Array, step: jax.Array) -> jax.Array:
    """Apply the idle steps after `last: int32[n]`, up to and with `step`."""
    idle = step - last
    distance = (table.tail[last] - table.ratio[idle] * table.tail[step])[:, None]
    parameters, m, v = jnp.split(packed, 3, axis=1)
    eps = table.eps[jnp.minimum(last + 1, step)][:, None]
    parameters -= distance * m / (jnp.sqrt(v) + eps)
    return jnp.concatenate([parameters, table.decay1[idle][:, None] * m, table.decay2[idle][:, None] * v], axis=1)
