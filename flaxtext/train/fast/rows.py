"""Writing rows of a table by their numbers, and adding to them, as fast as XLA does it on a CPU.

All numbers are those of rows, and none counts from the end: JAX is told so, and compiles no checks.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.forward import rows_of


def put(table: jax.Array, numbers: jax.Array, values: jax.Array) -> jax.Array:
    """Write `values: [n, ...]` over the rows `numbers: int32[n]`; of rows named twice, any value stays."""
    return table.at[numbers].set(values, mode="promise_in_bounds", wrap_negative_indices=False)


@jax.custom_vjp
def take_parts(table: jax.Array, parts: Sequence[jax.Array]) -> list[jax.Array]:
    """Read rows of `table: float32[rows, columns]`, for each `int32[n]` of the parts.

    The gradient of one part after another is added to one table. JAX's own would lay the parts end to end before, or
    add up a table for each.
    """
    return [rows_of(table, part) for part in parts]


def _forward(
    table: jax.Array, parts: Sequence[jax.Array]
) -> tuple[list[jax.Array], tuple[jax.Array, Sequence[jax.Array]]]:
    return take_parts(table, parts), (table, parts)


def _backward(
    saved: tuple[jax.Array, Sequence[jax.Array]], gradients: Sequence[jax.Array]
) -> tuple[jax.Array, list[np.ndarray]]:
    table, parts = saved
    total = jnp.zeros_like(table)
    for part, gradient in zip(parts, gradients, strict=True):
        total = add(total, part, gradient)
    return total, [np.zeros(part.shape, jax.dtypes.float0) for part in parts]  # numbers have no gradient


take_parts.defvjp(_forward, _backward)


def add(table: jax.Array, numbers: jax.Array, values: jax.Array) -> jax.Array:
    """Add `values: float32[n, columns]` to the rows `numbers: int32[n]`, each as often as it is named.

    This is `table.at[numbers].add(values)`, said with blocks of a row, which is XLA's own way: it need not copy the
    values.
    """
    dimensions = jax.lax.ScatterDimensionNumbers((1, 2), (), (0,))
    return jax.lax.scatter_add(
        table, numbers[:, None], values[:, None], dimensions, mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
    )


def grown(needed: Any, *, room: bool) -> Any:
    """Round sizes of arrays up, so that few are compiled for; with `room`, to 2% more than is needed now."""
    return -(-(needed + room * (needed // 50)) // 64) * 64


class RowsInUse:
    """Lists the rows that steps use of a table of `rows`, and numbers ids by these lists, whose size only grows."""

    def __init__(self, rows: int, *, room: bool) -> None:
        self._rows, self._room, self._size = rows, room, 0

    def number(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what each step of `ids: int32[steps, k]` uses, `int32[steps, used]`, and its ids as places there.

        Row 0 comes first, the others rise, and the row after the table's last fills up.
        """
        used = []
        positions = np.empty_like(ids)
        position = np.zeros(self._rows, np.int32)
        for step, step_ids in enumerate(ids):
            is_used = np.zeros(self._rows, bool)
            is_used[0] = True
            is_used[step_ids] = True
            used.append(np.flatnonzero(is_used))
            position[used[-1]] = np.arange(len(used[-1]))
            np.take(position, step_ids, out=positions[step], mode="clip")  # "raise" would go by a copy
        most = max(map(len, used))
        if most > self._size:
            self._size = grown(most, room=self._room)
        padded = np.full((len(used), self._size), self._rows, np.int32)
        for step, own in enumerate(used):
            padded[step, : len(own)] = own
        return padded, positions
