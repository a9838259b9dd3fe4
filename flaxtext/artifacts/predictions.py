"""Predictions: what a variant, and each of its seeds, answered for every document; in a Parquet file.

`row: int64`, `split: string` (train, validation or test), `label` and `predicted: string`, `probabilities:
fixed_size_list<float32>[classes]`, and `by_seed: fixed_size_list<string>[seeds]`, what each seed's model predicted.
Then the user's own columns that the source keeps, `string` each, for figures of one's own; nothing here reads them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.artifacts import Format
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic

FORMAT = Format("predictions", 1)
COLUMNS = ["row", "split", "label", "predicted", "probabilities", "by_seed"]


@dataclass(frozen=True)
class Predictions:
    """A variant's answers on one split, in the order of its rows.

    Attributes:
        classes: the class names; labels and predictions are indices into them.
        rows: int64[n]; of the split.
        labels: int32[n].
        predicted: int32[n]; by the variant's model.
        probabilities: float32[n, classes].
        by_seed: int32[seeds, n]; by each seed's model.
    """

    classes: list[str]
    rows: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    by_seed: np.ndarray

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, `float32[n]`."""
        highest: np.ndarray = self.probabilities.max(axis=1)
        return highest

    def is_of_the_same_split(self, other: "Predictions") -> bool:
        """Tell whether two variants were judged on the same documents: as many, with the same labels, in one order."""
        names, others = np.array(self.classes, object), np.array(other.classes, object)
        return np.array_equal(self.rows, other.rows) and np.array_equal(names[self.labels], others[other.labels])


def write_predictions(
    path: str | Path,
    *,
    classes: list[str],
    splits: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    by_seed: np.ndarray,
    kept: Iterable[pa.RecordBatch] = (),
) -> None:
    """Write what `Predictions` describes, of all splits; `splits: object[n]` names each document's.

    `kept` holds the user's own columns of the same documents, in the same order; a batch at a time is in memory.
    """
    names = pa.array(classes, pa.string())
    seeds = pa.array(by_seed.T.reshape(-1))
    table = pa.table(
        {
            "row": pa.array(rows),
            "split": pa.array(splits, pa.string()),
            "label": names.take(pa.array(labels)),
            "predicted": names.take(pa.array(probabilities.argmax(axis=1))),
            "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(probabilities.reshape(-1)), len(classes)),
            "by_seed": pa.FixedSizeListArray.from_arrays(names.take(seeds), len(by_seed)),
        }
    )
    first = next(batches := iter(kept), None)
    if first is None:
        FORMAT.write(path, table, classes=classes)
        return
    schema = FORMAT.stamp(pa.schema([*table.schema, *first.schema.remove_metadata()]), classes=classes)
    start = 0
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in chain([first], batches):
            own = table.slice(start, len(batch))
            start += len(batch)
            if start <= len(table):
                writer.write_table(pa.table([*own.columns, *batch.columns], schema=schema))
        if start != len(table):
            raise UserError(f"{path}: {len(table):,} documents, but {start:,} rows of own columns; run `dvc repro`")


def read_predictions(file: str | Path | IO[bytes], split: str = "test") -> Predictions:
    """Read one split of a variant's predictions, from a path or an open file."""
    table = FORMAT.read(file, columns=COLUMNS, filters=pc.field("split") == split).sort_by("row")
    classes: list[str] = FORMAT.check(str(file), table.schema)["classes"]
    names = pa.array(classes, pa.string())

    def numbers(values: Any) -> np.ndarray:
        return np.asarray(pc.index_in(values, names), np.int32)

    probabilities, by_seed = (table[name].combine_chunks().flatten() for name in ("probabilities", "by_seed"))
    seeds = table.schema.field("by_seed").type.list_size
    return Predictions(
        classes=classes,
        rows=table["row"].to_numpy(),
        labels=numbers(table["label"]),
        predicted=numbers(table["predicted"]),
        probabilities=probabilities.to_numpy().reshape(len(table), len(classes)),
        by_seed=numbers(by_seed).reshape(len(table), seeds).T,
    )


def largest_class(file: str | Path | IO[bytes]) -> str | None:
    """Name the class with most documents among those of a variant's predictions that are not of the test split.

    Of several as large, the first in the order of the classes; None where there is no such document.
    """
    table = FORMAT.read(file, columns=["label"], filters=pc.field("split") != "test")
    classes: list[str] = FORMAT.check(str(file), table.schema)["classes"]
    sizes = np.bincount(np.asarray(pc.index_in(table["label"], pa.array(classes, pa.string()))), minlength=len(classes))
    return classes[int(sizes.argmax())] if len(table) else None
