"""A split of labelled text: a Parquet file, or a folder of them.

`text: string`, `label: dictionary<int32, string>` in class order, then the user's own columns that are kept, `string`
each; the schema's metadata names the source, its classes and its origin.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from flaxtext.artifacts import Format, reading
from flaxtext.core.files import atomic

FORMAT = Format("corpus", 1)
SCHEMA = pa.schema([("text", pa.string()), ("label", pa.dictionary(pa.int32(), pa.string()))])
BATCH_ROWS = 8192
"""Documents a record batch: enough to make the overhead small, few enough to keep memory flat."""


class Corpus:
    """The documents of one split, in file order.

    Attributes:
        classes: the class names, in the source's order; a label is an index into them.
        class_of: label in the source's files -> class name.
        kept: the names of the user's own columns.
        origin: the source's name, and its files' checksums or its packages' versions.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        with reading(path, FORMAT.name):
            self._dataset = ds.dataset(path, format="parquet")
        self.origin: dict[str, Any] = FORMAT.check(path, self._dataset.schema)
        self.classes: list[str] = self.origin.pop("classes")
        self.class_of: dict[str, str] = self.origin.pop("class_of", None) or {name: name for name in self.classes}
        self.kept = [name for name in self._dataset.schema.names if name not in SCHEMA.names]

    def __len__(self) -> int:
        return int(self._dataset.count_rows())

    def texts(self) -> Iterator[pa.Array]:
        """Yield the texts, `string[rows]` a batch."""
        for batch in self._scan(["text"]):
            yield batch.column("text")

    def texts_and_labels(self) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Yield texts, `string[rows]`, and labels, `int32[rows]`, a batch."""
        for batch in self._scan(["text", "label"]):
            yield batch.column("text"), self._codes(batch.column("label"))

    def labels(self) -> np.ndarray:
        """Read all labels, `int32[n]`, and no text."""
        batches = [self._codes(batch.column("label")) for batch in self._scan(["label"])]
        return np.concatenate([np.zeros(0, np.int32), *batches])

    def kept_columns(self) -> Iterator[pa.RecordBatch]:
        """Yield the user's own columns, `string[rows]` each; none of them leaves nothing to yield."""
        if self.kept:
            yield from self._scan(self.kept)

    def take(self, rows: set[int]) -> dict[int, str]:
        """Read the texts of some rows, batch by batch: row -> text, in file order."""
        texts: dict[int, str] = {}
        wanted = np.array(sorted(rows), np.int64)
        start = 0
        for batch in self.texts():
            own = wanted[(wanted >= start) & (wanted < start + len(batch))]
            texts.update(zip(own.tolist(), batch.take(pa.array(own - start)).to_pylist(), strict=True))
            start += len(batch)
        return texts

    def _codes(self, label: pa.DictionaryArray) -> np.ndarray:
        codes = pc.index_in(label.dictionary, pa.array(self.classes, pa.string())).take(label.indices)
        return np.asarray(codes.to_numpy(zero_copy_only=False), np.int32)

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        # Row group by row group: the scanner of a whole file reads ahead of what is asked for, and keeps it.
        with reading(self._path, FORMAT.name):
            for fragment in self._dataset.get_fragments():
                for row_group in fragment.split_by_row_group():
                    yield from row_group.to_batches(columns=columns, batch_size=BATCH_ROWS, use_threads=False)


@contextmanager
def open_corpus(
    path: str | Path,
    *,
    classes: list[str],
    source: str,
    class_of: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    **origin: Any,
) -> Iterator[pq.ParquetWriter]:
    """Open a split for writing record batches of `SCHEMA` and the columns `keep`; it appears, whole, at the end.

    `class_of` says of which class a label in the source's files is, where labels are not the names of the classes.
    """
    details = origin if class_of is None else {**origin, "class_of": dict(class_of)}
    columns = pa.schema([*SCHEMA, *((name, pa.string()) for name in keep)])
    schema = FORMAT.stamp(columns, source=source, classes=classes, **details)
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=["label"]) as writer,
    ):
        yield writer
