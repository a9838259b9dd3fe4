"""Length buckets: documents of a batch, embedded position by position, in chunks of much the same length."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.poolings import Embedded
from flaxtext.train.fast.rows import take_parts


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["positions"],
    meta_fields=["sizes", "widths", "max_len"],
)
@dataclass(frozen=True)
class Chunks:
    """The ids of a batch. The arrays of a segment have an axis `steps` in front.

    Attributes:
        positions: int32[ids]; the ids as indices into the rows that the batch uses, chunk after chunk.
        sizes: of each chunk, how many documents it has.
        widths: of each chunk, the positions that are not padding in all of its documents.
        max_len: positions of a document, padding included.
    """

    positions: jax.Array
    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    max_len: int

    def documents(self, used: jax.Array, drop: Callable[[jax.Array], jax.Array]) -> list[Embedded]:
        """Embed the batch, given the rows in use, `used: float32[used, dim]`.

        `drop` turns some ids into padding.
        """
        bounds = np.cumsum([size * width for size, width in zip(self.sizes, self.widths, strict=True)])[:-1]
        parts = jnp.split(drop(self.positions), bounds)
        vectors = take_parts(used, parts)
        return [
            Embedded(each.reshape(*shape, used.shape[1]), (part != 0).reshape(shape), used[0], self.max_len - shape[1])
            for each, part, shape in zip(vectors, parts, zip(self.sizes, self.widths, strict=True), strict=True)
        ]


class ChunkLayout:
    """Lays out segments of the documents `ids: int32[n, max_len]` as Chunks; the embedding table has `rows` rows.

    The documents of a batch are sorted by length, longest first, and `cut` (uncut, by_documents, by_ids) into chunks,
    each no wider than its documents need. Shapes only grow; with `room`, so that a segment shuffled anew seldom needs
    another compilation.
    """

    def __init__(self, ids: np.ndarray, rows: int, cut: Callable[[np.ndarray], tuple[int, ...]], room: bool) -> None:
        self._ids, self._filler, self._room = ids, rows, room
        self._lengths = lengths(ids)
        self._cut = cut
        self._sizes: tuple[int, ...] = ()
        self._widths: list[int] = []
        self._used = 0

    def prepare(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, Chunks]:
        """Lay out a segment of `documents: int32[steps, batch]`.

        Returns the documents in the order of the layout, the rows that each step uses, `int32[steps, used]`, and the
        layout. Row 0 comes first; the row after the last fills up.
        """
        longest_first = np.argsort(-self._lengths[documents], axis=1, kind="stable")
        documents = np.take_along_axis(documents, longest_first, axis=1)
        if not self._sizes:
            self._sizes = self._cut(-(-self._lengths[documents].max(axis=0) // 4) * 4)
            self._widths = [1] * len(self._sizes)  # a maximum is one of something
        ids = []
        for number, chunk in enumerate(np.split(documents, np.cumsum(self._sizes)[:-1], axis=1)):
            width = int(self._lengths[chunk].max(initial=0))
            if width > self._widths[number]:
                self._widths[number] = min(-(-(width + self._room) // 4) * 4, self._ids.shape[1])
            ids.append(self._ids[chunk, : self._widths[number]].reshape(len(chunk), -1))
        used, positions = self._renumber(np.concatenate(ids, axis=1))
        return documents, used, Chunks(jax.device_put(positions), self._sizes, tuple(self._widths), self._ids.shape[1])

    def _renumber(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the rows that each step of `ids: int32[steps, ids]` uses, and number its ids by that list."""
        used = []
        positions = np.empty_like(ids)
        position = np.zeros(self._filler, np.int32)
        for step, step_ids in enumerate(ids):
            is_used = np.zeros(self._filler, bool)
            is_used[0] = True
            is_used[step_ids] = True
            used.append(np.flatnonzero(is_used))
            position[used[-1]] = np.arange(len(used[-1]))
            np.take(position, step_ids, out=positions[step], mode="clip")  # "raise" would go by a copy
        most = max(map(len, used))
        if most > self._used:
            self._used = -(-(most + self._room * (most // 50)) // 64) * 64
        padded = np.full((len(used), self._used), self._filler, np.int32)
        for step, rows in enumerate(used):
            padded[step, : len(rows)] = rows
        return padded, positions


def uncut(widths: np.ndarray) -> tuple[int, ...]:
    """Leave documents together: the size of the one part. They are given by their `widths: int[n]`, which fall."""
    return (len(widths),)


def by_documents(widths: np.ndarray) -> tuple[int, ...]:
    """Cut documents in two parts of as many documents: the sizes of both; fewer than two stay together."""
    half = len(widths) // 2
    return (len(widths) - half, half) if half else uncut(widths)


def by_ids(widths: np.ndarray) -> tuple[int, ...]:
    """Cut documents in two, so that the larger part takes as few ids as can be: each is as wide as its first one."""
    if len(widths) < 2:
        return uncut(widths)
    sizes = np.arange(1, len(widths))
    first = int(sizes[np.maximum(sizes * widths[0], sizes[::-1] * widths[1:]).argmin()])
    return first, len(widths) - first


def lengths(ids: np.ndarray) -> np.ndarray:
    """Count the positions of each document before its padding, `int[n]`."""
    return np.where(ids.any(axis=1), ids.shape[1] - np.argmax(ids[:, ::-1] != 0, axis=1), 0)
