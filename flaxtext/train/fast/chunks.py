"""Length buckets: documents of a batch, embedded position by position, in chunks of much the same length."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.poolings import Embedded
from flaxtext.model.prediction import WIDTHS, lay_out
from flaxtext.text.features import FeatureIds
from flaxtext.train.fast.rows import RowsInUse, take_parts

MUCH_WIDER = 3
"""How many times as wide as its narrowest document a part of a batch may be, before it is cut again."""
LONG = 64
"""Features of a document from which on a part's width is rounded coarsely."""
WASTE = 4
"""How many times as much as their features documents may take in memory, padded to the longest."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["positions"],
    meta_fields=["sizes", "widths", "total"],
)
@dataclass(frozen=True)
class Chunks:
    """The ids of a batch. The arrays of a segment have an axis `steps` in front.

    Attributes:
        positions: int32[ids]; the ids as indices into the rows that the batch uses, chunk after chunk.
        sizes: of each chunk, how many documents it has.
        widths: of each chunk, the positions that are not padding in all of its documents.
        total: positions of a document, padding included; 0 where padding does not count.
    """

    positions: jax.Array
    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    total: int

    def documents(self, used: jax.Array, drop: Callable[[jax.Array], jax.Array]) -> list[Embedded]:
        """Embed the batch, given the rows in use, `used: float32[used, dim]`.

        `drop` turns some ids into padding.
        """
        bounds = np.cumsum([size * width for size, width in zip(self.sizes, self.widths, strict=True)])[:-1]
        parts = jnp.split(drop(self.positions), bounds)
        vectors = take_parts(used, parts)
        return [
            Embedded(each.reshape(*shape, used.shape[1]), (part != 0).reshape(shape), used[0], self._beyond(shape[1]))
            for each, part, shape in zip(vectors, parts, zip(self.sizes, self.widths, strict=True), strict=True)
        ]

    def _beyond(self, width: int) -> int:
        return max(0, self.total - width)


class ChunkLayout:
    """Lays out segments of documents as Chunks; the embedding table has `rows` rows.

    `total` are the positions of a document, padding included; None where padding does not count.

    The documents of a batch are sorted by length, longest first, and `cut` (uncut, by_documents, by_ids) into chunks,
    each no wider than its documents need. Shapes only grow; with `room`, so that a segment shuffled anew seldom needs
    another compilation.
    """

    def __init__(
        self,
        features: FeatureIds,
        total: int | None,
        rows: int,
        cut: Callable[[np.ndarray], tuple[int, ...]],
        *,
        room: bool,
    ) -> None:
        self._features, self._room = features.with_empty(), room
        self._lengths = self._features.lengths
        self._total, self._widest = total or 0, max(1, int(self._lengths.max(initial=0)))
        # A matrix is read faster, where padding does not make it much larger.
        few = len(self._lengths) * self._widest <= WASTE * len(features.rows) + 2**20
        everything = np.arange(len(self._lengths))
        self._matrix = lay_out(self._features, everything, self._widest).rows if few else None
        self._cut = cut
        self._sizes: tuple[int, ...] = ()
        self._widths: list[int] = []
        self._used = RowsInUse(rows, room=room)

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
                self._widths[number] = min(self._with_room(width), self._widest) if number else self._widest
            ids.append(self._rows_of(chunk, self._widths[number]).reshape(len(chunk), -1))
        used, positions = self._used.number(np.concatenate(ids, axis=1))
        return documents, used, Chunks(jax.device_put(positions), self._sizes, tuple(self._widths), self._total)

    def _with_room(self, width: int) -> int:
        """Round a width up: to fours, and, of long documents, coarsely, so that widths seldom grow."""
        return int(WIDTHS[np.searchsorted(WIDTHS, width)]) if width > LONG else -(-(width + self._room) // 4) * 4

    def _rows_of(self, documents: np.ndarray, width: int) -> np.ndarray:
        """Read documents, `int[...]`, padded to a width: `int32[..., width]`."""
        rows: np.ndarray
        if self._matrix is not None:
            rows = self._matrix[documents, :width]
        else:
            rows = lay_out(self._features, documents.reshape(-1), width).rows
        return rows


def uncut(widths: np.ndarray) -> tuple[int, ...]:
    """Leave documents together: the size of the one part. They are given by their `widths: int[n]`, which fall."""
    return (len(widths),)


def by_documents(widths: np.ndarray) -> tuple[int, ...]:
    """Cut documents in two parts of as many documents, the first of them again where its widths differ much.

    Returns the sizes of all parts; fewer than two documents stay together.
    """
    half = len(widths) // 2
    if not half:
        return uncut(widths)
    longer = widths[: len(widths) - half]
    if widths[0] <= MUCH_WIDER * longer[-1]:
        return len(longer), half
    return (*by_documents(longer), half)


def by_ids(widths: np.ndarray) -> tuple[int, ...]:
    """Cut documents in two, so that the larger part takes as few ids as can be: each is as wide as its first one."""
    if len(widths) < 2:
        return uncut(widths)
    sizes = np.arange(1, len(widths))
    first = int(sizes[np.maximum(sizes * widths[0], sizes[::-1] * widths[1:]).argmin()])
    return first, len(widths) - first
