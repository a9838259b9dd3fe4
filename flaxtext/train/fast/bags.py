"""Sums of the embeddings of a batch's documents, and their gradient without a scatter over the words.

The gradient of an embedding is the sum of the gradients of the documents that hold its row, each as often as it holds
it. Left to itself, JAX turns the reading of embeddings into a scatter that adds word after word. Here each row gathers
its documents. Most rows of a batch are held once or twice, a few hundreds of times (Zipf): rows held up to 1, 2, 4 and
8 times stand together and gather as many documents, with padding in the places that are left; those held more often
gather in runs of 8, and only these are scattered.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.core.parallel import ordered_map
from flaxtext.model.forward import rows_of
from flaxtext.model.poolings import Summed
from flaxtext.train.fast.rows import grown

TIMES = (1, 2, 4, 8)
RUN = 8
KINDS = np.append(np.searchsorted(TIMES, range(TIMES[-1] + 1)) + 1, 0).astype(np.uint8)
"""Of a row that is held so often, up to once more than any of TIMES: which of them is enough, from 1, or 0."""
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

    The arrays of a segment have an axis `steps` in front. Documents have their number in the batch; the number
    `batch` fills up.

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

    def documents(self, used: jax.Array, _drop: object) -> list[Summed]:
        """Embed the batch, given the rows in use, `used: float32[used, dim]`; drops no words."""
        return [Summed(total(used, self), self.max_len)]


@jax.custom_vjp
def total(used: jax.Array, bags: Bags) -> jax.Array:
    """Add up the embeddings of each document, padding included: `float32[batch, dim]` of `used: float32[used, dim]`."""

    def add(block: int, so_far: jax.Array) -> jax.Array:
        positions = jax.lax.dynamic_slice_in_dim(bags.positions, block * BLOCK, BLOCK, axis=1)
        added: jax.Array = so_far + sum(rows_of(used, positions[:, word]) for word in range(BLOCK))
        return added

    result: jax.Array = jax.lax.fori_loop(0, bags.positions.shape[1] // BLOCK, add, bags.padding[:, None] * used[0])
    return result


def _forward(used: jax.Array, bags: Bags) -> tuple[jax.Array, tuple[int, Bags]]:
    return total(used, bags), (len(used), bags)


def _backward(saved: tuple[int, Bags], gradient: jax.Array) -> tuple[jax.Array, None]:
    rows, bags = saved
    documents = jnp.pad(gradient, ((0, 1), (0, 0)))  # what fills up is 0

    def gather(holders: jax.Array) -> jax.Array:
        summed: jax.Array = rows_of(documents, holders).sum(axis=1)
        return summed

    seldom = [gather(holders) for holders in bags.holders]
    often = jnp.zeros((rows - sum(map(len, seldom)), gradient.shape[1]))
    often = often.at[bags.owners].add(gather(bags.runs), mode="promise_in_bounds").at[0].set(bags.padding @ gradient)
    return jnp.concatenate([often, *seldom]), None


total.defvjp(_forward, _backward)


class Held(NamedTuple):
    """The rows that a batch uses, except for row 0, and the documents that hold them.

    Attributes:
        documents: int32[words]; by their number in the batch, row after row.
        rows: int32[used]; rising.
        start, times: int64[used]; where the documents of each row begin, and how many there are.
        kind: uint8[used]; which of TIMES is enough, from 1, or 0 where none is.
        rank: int64[used]; how many rows of the same kind come before.
    """

    documents: np.ndarray
    rows: np.ndarray
    start: np.ndarray
    times: np.ndarray
    kind: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, ids: np.ndarray) -> "Held":
        """Take the ids of a batch's documents, `int32[batch, width]`."""
        # A row and a document in one number; NumPy sorts those of 32 bits in half the time of those of 64.
        bits = len(ids).bit_length()
        number: type[np.unsignedinteger] = np.uint32 if ids.max(initial=0) < 1 << 32 - bits else np.uint64
        pairs = ids.astype(number) << bits | np.arange(len(ids), dtype=number)[:, None]
        pairs = np.sort(pairs[ids != 0])
        words, documents = (part.astype(np.int32) for part in (pairs >> bits, pairs & (1 << bits) - 1))
        start = np.flatnonzero(np.append(True, words[1:] != words[:-1])[: len(words)])
        times = np.diff(start, append=len(words))
        kind = KINDS[np.minimum(times, TIMES[-1] + 1)]
        numbers = np.bincount(kind)
        rank = np.empty_like(times)
        rank[np.argsort(kind, kind="stable")] = np.arange(len(kind)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        return cls(documents, words[start], start, times, kind, rank)

    @property
    def runs(self) -> np.ndarray:
        """Into how many runs each row of kind 0 is cut, `int64[often]`."""
        result: np.ndarray = -(-self.times[self.kind == 0] // RUN)
        return result

    def sizes(self) -> np.ndarray:
        """How many runs, and rows of each kind: row 0 is with the first, and one of zeros is at the end of the last."""
        numbers = np.bincount(self.kind, minlength=1 + len(TIMES))
        numbers[[0, -1]] += 1
        return np.append(self.runs.sum(), numbers)


class BagLayout:
    """Lays out segments of the documents `ids: int32[n, max_len]` as Bags; the embedding table has `rows` rows.

    Shapes only grow; with `room`, so that a segment shuffled anew seldom needs another compilation.
    """

    def __init__(self, ids: np.ndarray, rows: int, room: bool) -> None:
        present = ids != 0
        width = int(np.flatnonzero(present.any(axis=0)).max(initial=0)) + 1
        self._ids = np.pad(ids[:, :width], ((0, 0), (0, -width % BLOCK)))
        self._padding = (ids.shape[1] - present.sum(axis=1)).astype(np.float32)
        self._filler, self._max_len, self._room = rows, ids.shape[1], room
        self._sizes = np.zeros(2 + len(TIMES), np.int64)  # as of Held.sizes

    def prepare(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, Bags]:
        """Lay out a segment of `documents: int32[steps, batch]`.

        Returns the documents in the order of the layout, the rows that each step uses, `int32[steps, used]`, and the
        layout. Row 0 comes first; the row after the last fills up.
        """
        held = list(ordered_map(lambda step: Held.of(self._ids[step]), documents))
        needed = np.max([each.sizes() for each in held], axis=0)
        if (needed > self._sizes).any():
            self._sizes = grown(needed, room=self._room)
        return documents, *self._lay_out(documents, held)

    def _lay_out(self, documents: np.ndarray, held: list[Held]) -> tuple[np.ndarray, Bags]:
        steps, batch = documents.shape
        run_count, *sizes = self._sizes.tolist()
        ends = np.cumsum(sizes)
        starts = np.append(1, ends[:-1])  # of each kind, among the rows in use
        used = np.full((steps, ends[-1]), self._filler, np.int32)
        used[:, 0] = 0
        positions = np.empty((steps, batch, self._ids.shape[1]), np.int32)
        owners = np.zeros((steps, run_count), np.int32)
        # Runs of all steps, then the holders of each kind, one after another.
        widths = np.array([RUN, *TIMES])
        strides = widths * [run_count, *sizes[1:]]
        bounds = np.cumsum(steps * strides)
        gathered = np.full(bounds[-1], batch, np.int32)

        def lay_out(step: int) -> None:
            rows = held[step]
            slot = starts[rows.kind] + rows.rank
            used[step, slot] = rows.rows
            position = np.empty(self._filler, np.int32)  # of each row in use
            position[0] = ends[-1] - 1
            position[rows.rows] = slot
            np.take(position, self._ids[documents[step]], out=positions[step], mode="clip")
            runs, often = rows.runs, rows.kind == 0
            rank = rows.rank.copy()
            rank[often] = np.cumsum(runs) - runs  # of its first run
            place = (bounds + (step - steps) * strides)[rows.kind] + widths[rows.kind] * rank
            places = np.repeat(place - rows.start, rows.times) + np.arange(len(rows.documents))
            gathered[places] = rows.documents
            owner = np.repeat(slot[often], runs)
            owners[step, : len(owner)] = owner

        for _ in ordered_map(lay_out, range(steps)):
            pass
        parts = zip(np.split(gathered, bounds[:-1]), widths.tolist(), strict=True)
        runs, *holders = (jax.device_put(part.reshape(steps, -1, width)) for part, width in parts)
        put = jax.device_put
        padding = self._padding[documents]
        return used, Bags(put(positions), put(padding), runs, put(owners), tuple(holders), self._max_len)
