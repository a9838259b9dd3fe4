"""Documents cut into tiles of a few features each, however long they are: a batch is a list of tiles and their owners.

Where features are added up, a long document among short ones then takes no more room than it needs.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.poolings import Summed
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of, places
from flaxtext.train.fast.rows import RowsInUse, grown, take_parts

TILE = 16
"""Features of a tile. Half of a document's last one is empty, on average."""


class Tiles(NamedTuple):
    """Documents, tile after tile: `rows: int32[tiles, TILE]` and `weights: float32[tiles, TILE]`; the last is empty."""

    rows: np.ndarray
    weights: np.ndarray | None


class TileNumbers:
    """Which tiles a batch holds: knows the tiles of each document."""

    def __init__(self, features: FeatureIds) -> None:
        self.counts = np.append(-(-features.lengths // TILE), 0)
        self._offsets = offsets_of(self.counts)
        self._width = 0

    @property
    def tiles(self) -> int:
        """How many there are, the empty one at the end not counted."""
        return int(self._offsets[-1])

    def cut(self, features: FeatureIds) -> Tiles:
        """Cut the documents into their tiles."""
        at = places(TILE * self._offsets[:-2], features.offsets)

        def fill(values: np.ndarray) -> np.ndarray:
            filled = np.zeros((self.tiles + 1) * TILE, values.dtype)
            filled[at] = values
            return filled.reshape(-1, TILE)

        return Tiles(fill(features.rows), None if features.weights is None else fill(features.weights))

    def of(self, documents: np.ndarray, room: bool) -> tuple[np.ndarray, np.ndarray]:
        """List the tiles of batches, `documents: int32[steps, batch]`, and whose they are: `int32[steps, width]` each.

        The empty tile fills up, of document `batch`. The width only grows; with `room`, by a little more than it must.
        """
        counts = self.counts[documents]
        ends = counts.sum(axis=1)
        widest = int(ends.max(initial=1))
        if widest > self._width:
            self._width = grown(widest, room=room)
        shape = len(documents), self._width
        tiles, owners = np.full(shape, self.tiles, np.int32), np.full(shape, documents.shape[1], np.int32)
        is_there = np.arange(self._width) < ends[:, None]
        numbers = np.broadcast_to(np.arange(documents.shape[1], dtype=np.int32), documents.shape)
        owners[is_there] = np.repeat(numbers.reshape(-1), counts.reshape(-1))
        tiles[is_there] = places(self._offsets[documents].reshape(-1), offsets_of(counts.reshape(-1)))
        return tiles, owners


def add_up(sums: jax.Array, owners: jax.Array, batch: int) -> jax.Array:
    """Add the sums of tiles, `float32[tiles, dim]`, up for the documents that own them: `float32[batch, dim]`."""
    return jnp.zeros((batch + 1, sums.shape[1])).at[owners].add(sums, mode="promise_in_bounds")[:batch]


@partial(jax.tree_util.register_dataclass, data_fields=["positions", "owners", "words"], meta_fields=[])
@dataclass(frozen=True)
class TiledBatch:
    """A batch of which each document's rows are added up. The arrays of a segment have an axis `steps` in front.

    Attributes:
        positions: int32[tiles, TILE]; the features of each tile as indices into the rows in use, the last of which
            fills up.
        owners: int32[tiles]; the document of each tile, by its number in the batch.
        words: int32[batch]; the features of each document.
    """

    positions: jax.Array
    owners: jax.Array
    words: jax.Array

    def documents(self, used: jax.Array, _drop: object) -> list[Summed]:
        """Embed the batch, given the rows in use, `used: float32[used, dim]`; drops no words."""
        used = used.at[0].set(0)  # padding does not count
        [vectors] = take_parts(used, [self.positions.reshape(-1)])
        sums = vectors.reshape(*self.positions.shape, -1).sum(axis=1)
        return [Summed(add_up(sums, self.owners, len(self.words)), words=self.words)]


class TileLayout:
    """Lays out segments of documents as TiledBatch; the embedding table has `rows` rows."""

    def __init__(self, features: FeatureIds, rows: int, *, room: bool) -> None:
        self._room = room
        self._numbers = TileNumbers(features)
        self._rows = self._numbers.cut(features).rows
        self._words = np.append(features.lengths, 0).astype(np.int32)
        self._used = RowsInUse(rows, room=room)

    def prepare(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, TiledBatch]:
        """Lay out a segment of `documents: int32[steps, batch]`.

        Returns the documents in the order of the layout, the rows that each step uses, `int32[steps, used]`, and the
        layout. Row 0 comes first; the row after the last fills up.
        """
        tiles, owners = self._numbers.of(documents, self._room)
        ids = self._rows[tiles].reshape(len(documents), -1)
        used, positions = self._used.number(ids)
        put = jax.device_put
        batch = TiledBatch(put(positions.reshape(*tiles.shape, TILE)), put(owners), put(self._words[documents]))
        return documents, used, batch
