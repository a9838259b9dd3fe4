"""Sums of the embeddings of a batch's documents, and their gradient without a scatter over the words.

The gradient of an embedding is the sum of the gradients of the documents that hold its row, each as often as it holds
it. Left to itself, JAX turns the reading of embeddings into a scatter that adds word after word. Here each row gathers
its documents. Most rows of a batch are held once or twice, a few hundreds of times (Zipf): rows held up to 1, 2, 4 and
8 times stand together and gather as many documents, with nobody's in the places that are left; those held more often
gather in runs of 8, and only these are scattered.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.pooling import Summed
from flaxtext.rows import take

TIMES = (1, 2, 4, 8)
RUN = 8
BLOCK = 10
"""Words of each document that are read and added up in one go; more take longer to compile, and gain nothing."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["positions", "padding", "runs", "owners", "holders"],
    meta_fields=["max_len"],
)
@dataclass(frozen=True)
class Bags:
    """Which documents of a batch hold which of the rows that it uses.

    The arrays of an epoch have an axis `steps` in front. Documents have their number in the batch; `batch`, nobody's,
    fills up.

    Attributes:
        positions: int32[batch, width]; the words of each document as indices into the rows in use. The last of these
            holds zeros, and fills up.
        padding: float32[batch]; how often each document holds row 0, padding.
        runs: int32[runs, RUN]; the documents of the rows that are held most often; they come after row 0.
        owners: int32[runs]; the row of each run.
        holders: for each of TIMES, int32[rows, times]; the documents of the rows that come next.
        max_len: positions of a document, padding included.
    """

    positions: jax.Array
    padding: jax.Array
    runs: jax.Array
    owners: jax.Array
    holders: tuple[jax.Array, ...]
    max_len: int

    def documents(self, used: jax.Array, dim: int, _drop: object) -> list[Summed]:
        """Embed the batch, given the rows in use, `used: float32[used, dim or more]`; drops no words."""
        return [Summed(total(used, self)[:, :dim], self.max_len)]


@jax.custom_vjp
def total(used: jax.Array, bags: Bags) -> jax.Array:
    """Add up the embeddings of each document, padding included: `float32[batch, dim]` of `used: float32[used, dim]`."""

    def add(block: int, so_far: jax.Array) -> jax.Array:
        positions = jax.lax.dynamic_slice_in_dim(bags.positions, block * BLOCK, BLOCK, axis=1)
        return so_far + sum(take(used, positions[:, word]) for word in range(BLOCK))

    result: jax.Array = jax.lax.fori_loop(0, bags.positions.shape[1] // BLOCK, add, bags.padding[:, None] * used[0])
    return result


def _forward(used: jax.Array, bags: Bags) -> tuple[jax.Array, tuple[int, Bags]]:
    return total(used, bags), (len(used), bags)


def _backward(saved: tuple[int, Bags], gradient: jax.Array) -> tuple[jax.Array, None]:
    rows, bags = saved
    documents = jnp.pad(gradient, ((0, 1), (0, 0)))  # nobody's is 0

    def gather(holders: jax.Array) -> jax.Array:
        return take(documents, holders).sum(axis=1)

    seldom = [gather(holders) for holders in bags.holders]
    often = jnp.zeros((rows - sum(map(len, seldom)), gradient.shape[1]))
    often = often.at[bags.owners].add(gather(bags.runs), mode="promise_in_bounds").at[0].set(bags.padding @ gradient)
    return jnp.concatenate([often, *seldom]), None


total.defvjp(_forward, _backward)


class Held(NamedTuple):
    """The rows that a batch uses, but for row 0, and who holds them.

    Attributes:
        documents: int32[words]; by their number in the batch, row after row.
        rows: int32[used]; rising.
        start, end: int32[used]; where the documents of each row begin and end.
        kind: int[used]; which of TIMES is enough for the row, or len(TIMES) for none.
    """

    documents: np.ndarray
    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    kind: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, documents: np.ndarray) -> "Held":
        """Take the row of each word, `int32[words]`, rising, and its document, `int32[words]`."""
        first = np.flatnonzero(np.append(True, rows[1:] != rows[:-1])[: len(rows)])
        bounds = np.append(first, len(rows)).astype(np.int32)
        start, end = bounds[:-1], bounds[1:]
        return cls(documents, rows[start], start, end, np.searchsorted(TIMES, end - start))

    def sizes(self) -> np.ndarray:
        """How many runs, rows held often with row 0, and rows of each kind with one of zeros at the end."""
        often = self.kind == len(TIMES)
        runs = -(-(self.end - self.start)[often] // RUN)
        kinds = np.bincount(self.kind, minlength=len(TIMES))[: len(TIMES)]
        kinds[-1] += 1
        return np.array([runs.sum(), often.sum() + 1, *kinds])

    def gather(self, start: np.ndarray, end: np.ndarray, columns: int, nobody: int) -> np.ndarray:
        """Lay out the documents from each `start` to `end`, `int32[n, columns]`; `nobody` fills up."""
        at = start[:, None] + np.arange(columns, dtype=np.int32)
        documents = np.take(self.documents, at, mode="clip")
        documents[at >= end[:, None]] = nobody
        return documents

    def runs(self, chosen: np.ndarray, nobody: int) -> tuple[np.ndarray, np.ndarray]:
        """Cut the documents of rows into runs: `int32[runs, RUN]`, and which of `chosen` each is of, `int[runs]`."""
        start, end = self.start[chosen], self.end[chosen]
        counts = -(-(end - start) // RUN)
        owner = np.repeat(np.arange(len(chosen)), counts)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)  # of the run, in its row
        return self.gather(start[owner] + (RUN * number).astype(np.int32), end[owner], RUN, nobody), owner


def turn(
    columns: np.ndarray, bounds: np.ndarray, values: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn a sparse matrix, given row by row, so that it is given by its `size` columns.

    `columns: int32[n]` and `values[n]` of row i lie between `bounds[i]` and `bounds[i + 1]`. Returns rows, values and
    bounds of the columns, rows rising within each.
    """
    from scipy.sparse import csr_array  # imported here for the variants that make no use of it

    turned = csr_array((values, columns, bounds), (len(bounds) - 1, size)).tocsc()
    return turned.indices, turned.data, turned.indptr


class BagLayout:
    """Lays out epochs of the documents `ids: int32[n, max_len]` as Bags; the embedding table has `rows` rows.

    Shapes only grow; with `room`, so that an epoch shuffled anew seldom needs another compilation.
    """

    def __init__(self, ids: np.ndarray, rows: int, room: bool) -> None:
        present = ids != 0
        counts = present.sum(axis=1)
        width = int(np.flatnonzero(present.any(axis=0)).max(initial=0)) + 1
        self._ids = np.pad(ids[:, :width], ((0, 0), (0, -width % BLOCK)))
        self._padding = (ids.shape[1] - counts).astype(np.float32)
        self._nobody, self._max_len, self._room = rows, ids.shape[1], room
        words, bounds = ids[present], np.append(0, np.cumsum(counts)).astype(np.int32)
        # Row after row, the documents that hold it.
        self._documents, _, self._bounds = turn(words, bounds, np.empty(len(words), bool), rows)
        self._sizes = np.zeros(2 + len(TIMES), np.int64)  # as of Held.sizes

    def prepare(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, Bags]:
        """Lay out an epoch of `documents: int32[steps, batch]`; it has all of them once, or more often if empty.

        Returns the documents in the order of the layout, the rows that each step uses, `int32[steps, used]`, and the
        layout. Row 0 comes first; nobody's, the row after the last, fills up.
        """
        steps, batch = documents.shape
        place = np.empty(len(self._ids), np.int32)
        place[documents] = np.arange(documents.size, dtype=np.int32).reshape(steps, batch)
        place = place[self._documents]
        # In order by row as they are, they get in order by step, and by row within each step.
        rows, places, bounds = turn(place // batch, self._bounds, place, steps)
        cuts = [slice(start, end) for start, end in pairwise(bounds.tolist())]
        held = [Held.of(rows[cut], places[cut] - step * batch) for step, cut in enumerate(cuts)]
        needed = np.max([each.sizes() for each in held], axis=0)
        if (needed > self._sizes).any():
            self._sizes = -(-(needed + self._room * (needed // 50)) // 64) * 64
        return documents, *self._lay_out(documents, held)

    def _lay_out(self, documents: np.ndarray, held: list[Held]) -> tuple[np.ndarray, Bags]:
        steps, batch = documents.shape
        run_count, often, *sizes = self._sizes.tolist()
        starts = np.cumsum([often, *sizes])
        used = np.full((steps, starts[-1]), self._nobody, np.int32)
        used[:, 0] = 0
        positions = np.empty((steps, batch, self._ids.shape[1]), np.int32)
        runs = np.full((steps, run_count, RUN), batch, np.int32)
        owners = np.zeros((steps, run_count), np.int32)
        holders = [np.full((steps, size, times), batch, np.int32) for size, times in zip(sizes, TIMES, strict=True)]
        position = np.zeros(self._nobody, np.int32)
        position[0] = starts[-1] - 1
        for step, rows in enumerate(held):
            for kind, start in enumerate([*starts[:-1].tolist(), 1]):
                chosen = np.flatnonzero(rows.kind == kind)
                end = start + len(chosen)
                used[step, start:end] = rows.rows[chosen]
                position[rows.rows[chosen]] = np.arange(start, end)
                if kind < len(TIMES):
                    gathered = rows.gather(rows.start[chosen], rows.end[chosen], TIMES[kind], batch)
                    holders[kind][step, : len(chosen)] = gathered
                else:
                    gathered, owner = rows.runs(chosen, batch)
                    runs[step, : len(owner)], owners[step, : len(owner)] = gathered, start + owner
            np.take(position, self._ids[documents[step]], out=positions[step], mode="clip")
        put = jax.device_put
        padding = self._padding[documents]
        return used, Bags(put(positions), put(padding), put(runs), put(owners), put(tuple(holders)), self._max_len)
