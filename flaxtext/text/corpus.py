"""A split of labelled text as download writes it: a Parquet file, or a folder of them, read batch by batch."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from flaxtext.core.errors import UserError

BATCH_ROWS = 8192
"""Documents a record batch: enough to make the overhead small, few enough to keep memory flat."""


class Corpus:
    """The documents of one split, in file order.

    Attributes:
        classes: the class names, in the source's order; a label is an index into them.
        origin: the source's name, and its files' checksums or its packages' versions.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).exists():
            raise UserError(f"{path}: no such file; run `dvc repro` to make it")
        self._dataset = ds.dataset(path, format="parquet")
        metadata = self._dataset.schema.metadata or {}
        self.origin: dict[str, Any] = json.loads(metadata[b"flaxtext"])
        self.classes: list[str] = self.origin.pop("classes")

    def __len__(self) -> int:
        return int(self._dataset.count_rows())

    def texts(self) -> Iterator[pa.Array]:
        """Yield the texts, `string[rows]` a batch."""
        for batch in self._scan(["text"]):
            yield batch.column("text")

    def texts_and_labels(self) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Yield texts, `string[rows]`, and labels, `int32[rows]`, a batch."""
        classes = pa.array(self.classes, pa.string())
        for batch in self._scan(["text", "label"]):
            label = batch.column("label")
            codes = pc.index_in(label.dictionary, classes).take(label.indices)
            yield batch.column("text"), codes.to_numpy(zero_copy_only=False).astype(np.int32)

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        # Row group by row group: the scanner of a whole file reads ahead of what is asked for, and keeps it.
        for fragment in self._dataset.get_fragments():
            for row_group in fragment.split_by_row_group():
                yield from row_group.to_batches(columns=columns, batch_size=BATCH_ROWS, use_threads=False)


def read_texts(path: str | Path, rows: set[int]) -> dict[int, str]:
    """Read the texts of some rows of a split, batch by batch: row -> text, in file order."""
    texts: dict[int, str] = {}
    wanted = np.array(sorted(rows), np.int64)
    start = 0
    for batch in ds.dataset(path).to_batches(columns=["text"]):
        own = wanted[(wanted >= start) & (wanted < start + len(batch))]
        texts.update(zip(own.tolist(), batch["text"].take(pa.array(own - start)).to_pylist(), strict=True))
        start += len(batch)
    return texts
