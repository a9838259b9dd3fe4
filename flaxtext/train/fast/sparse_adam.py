r"""Adam on a few rows of a large table, equal to Adam on all of it.

Adam moves a row even in steps that give it no gradient, because its moments m and v outlive the gradient.
Over the whole table that costs more than the rest of the step. But what k idle steps after step t do to a
row has a closed form. The moments decay, m -> b1^k m and v -> b2^k v, and step t+j moves the row by

    lr(t+j) * (b1^j m / (1 - b1^(t+j))) / sqrt(b2^j v / (1 - b2^(t+j)))
        =  m / sqrt(v)  *  r^j c(t+j),   r = b1 / sqrt(b2),   c(s) = lr(s) sqrt(1 - b2^s) / (1 - b1^s)

so that k of them move it by m / sqrt(v) times sum_{j=1..k} r^j c(t+j). With G(s) = sum_{j>=1} r^j c(s+j),
tabulated once by the recursion G(s) = r (c(s+1) + G(s+1)), that sum is G(t) - r^k G(t+k).

Each step therefore reads the rows that its batch uses, brings them up to date, steps them and writes them
back; `embedding` tells where all rows stand. A row is kept as its parameters, the direction
q = m / (sqrt(v) + eps') and the scale sqrt(v), from which m and v follow: reading it then takes no root and no
division. eps' is Adam's eps beside sqrt(v) without its bias correction, eps sqrt(1 - b2^t), at the row's own last
step t; over idle steps it enters the closed form with that value, which is exact to first order of eps / sqrt(v).

Adam: Kingma and Ba, 2015 (arXiv:1412.6980). Constants and arithmetic are those of `optax.adam`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.forward import rows_of
from flaxtext.train.fast.rows import put

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
        parameters, direction, scale: float32[rows + 1, dim] each. The last row is spare: what fills `indices` up
            points at it.
        last: int32[rows + 1]; the step up to which each row is up to date.
    """

    parameters: jax.Array
    direction: jax.Array
    scale: jax.Array
    last: jax.Array


class Read(NamedTuple):
    """Rows between `read` and `write`: where they lie, parameters up to date, and the rest as it was left at
    step `last: int32[n]`."""

    indices: jax.Array
    parameters: jax.Array
    direction: jax.Array
    scale: jax.Array
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
    return Tables(*jax.device_put([np.asarray(column, np.float32) for column in columns]))


def init(parameters: jax.Array | np.ndarray) -> Rows:
    """Start from `parameters: float32[rows, dim]` with zero moments."""
    parameters = np.pad(parameters, ((0, 1), (0, 0)))  # by NumPy: there is nothing to compile
    direction, scale = np.zeros_like(parameters), np.zeros_like(parameters)
    return Rows(*jax.device_put((parameters, direction, scale, np.zeros(len(parameters), np.int32))))


def read(table: Tables, rows: Rows, indices: jax.Array, step: jax.Array) -> tuple[jax.Array, Read]:
    """Return the parameters of the rows `indices: int32[n]` as they stand before step `step`, float32[n, dim].

    The second result is for `write`.
    """
    parameters, direction, scale, last = (rows_of(part, indices) for part in rows)
    parameters -= _idle_rate(table, last, step - 1) * direction
    return parameters, Read(indices, parameters, direction, scale, last)


def write(table: Tables, rows: Rows, read: Read, gradient: jax.Array, step: jax.Array) -> Rows:
    """Take step `step` with `gradient: float32[n, dim]` and put the rows back."""
    idle = step - 1 - read.last
    m = B1 * table.decay1[idle][:, None] * read.direction * (read.scale + table.eps[read.last][:, None])
    v = B2 * table.decay2[idle][:, None] * read.scale**2
    m += (1 - B1) * gradient
    v += (1 - B2) * gradient**2
    scale = jnp.sqrt(v)
    direction = m / (scale + table.eps[step])
    new = Rows(read.parameters - table.rate[step] * direction, direction, scale, jnp.full_like(read.last, step))
    return Rows(*(put(part, read.indices, values) for part, values in zip(rows, new, strict=True)))


def embedding(table: Tables, rows: Rows, step: jax.Array) -> jax.Array:
    """Return all parameters as they stand after step `step`, `float32[rows, dim]`; the rows stay as they are."""
    parameters, direction, _, last = (part[:-1] for part in rows)
    return parameters - _idle_rate(table, last, step) * direction


def _idle_rate(table: Tables, last: jax.Array, step: jax.Array) -> jax.Array:
    """What the idle steps after `last: int32[n]`, up to and with `step`, make of a direction: float32[n, 1]."""
    return (table.tail[last] - table.ratio[step - last] * table.tail[step])[:, None]
