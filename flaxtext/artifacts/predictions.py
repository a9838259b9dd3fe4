"""Predictions: what a variant, and each of its seeds, answered for every document; in a Parquet file.

`row: int64`, `split: string` (train, validation or test), `label` and `predicted: string`, the probabilities, and
`by_seed: fixed_size_list<string>[seeds]`, what each seed's model predicted. Then the user's own columns that the source
keeps, `string` each, for figures of one's own; nothing here reads them.

Of up to 100 classes all probabilities are kept, `probabilities: fixed_size_list<float32>[classes]`. Of more, those of
the 20 most probable, `top_classes: fixed_size_list<string>[20]` in falling order and `top_probabilities:
fixed_size_list<float32>[20]`, and the label's, `label_probability: float32`: so the file grows with the documents, and
not with the classes.
"""

from collections.abc import Iterable, Sequence
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

FORMAT = Format("predictions", 2)
COLUMNS = ["row", "split", "label", "predicted", "by_seed"]
PROBABILITIES = ["probabilities", "top_classes", "top_probabilities", "label_probability"]
"""Columns of which a file has the first, or the others."""

MANY_CLASSES = 100
"""Up to so many classes, all probabilities are kept."""
TOP = 20
"""Of more classes, the probabilities of so many are kept, the highest."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a variant answered about n documents.

    Attributes:
        predicted: int32[n]; by the variant's model.
        by_seed: int32[seeds, n]; by each seed's model.
        probabilities: float32[n, classes]; of more than 100 classes, float32[n, 20], those of `top`.
        top: int32[n, 20], the most probable classes in falling order; None where all probabilities are there.
        label_probability: float32[n]; of the document's label.
    """

    predicted: np.ndarray
    by_seed: np.ndarray
    probabilities: np.ndarray
    top: np.ndarray | None
    label_probability: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, by_seed: np.ndarray | None = None) -> "Answers":
        """Keep of `float32[n, classes]` what is to be kept; `by_seed` is left out for a single seed."""
        probabilities = np.asarray(probabilities, np.float32)
        predicted, rows = probabilities.argmax(axis=1).astype(np.int32), np.arange(len(labels))
        top = highest(probabilities, TOP) if probabilities.shape[1] > MANY_CLASSES else None
        return cls(
            predicted=predicted,
            by_seed=predicted[None] if by_seed is None else np.asarray(by_seed, np.int32),
            probabilities=probabilities if top is None else probabilities[rows[:, None], top],
            top=top,
            label_probability=probabilities[rows, labels],
        )

    @classmethod
    def join(cls, parts: Sequence["Answers"]) -> "Answers":
        """Join the answers about some documents and those about the next, of one variant."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            predicted=np.concatenate([part.predicted for part in parts]),
            by_seed=np.concatenate([part.by_seed for part in parts], axis=1),
            probabilities=np.concatenate([part.probabilities for part in parts]),
            top=None if parts[0].top is None else np.concatenate([part.top for part in parts]),
            label_probability=np.concatenate([part.label_probability for part in parts]),
        )

    def select(self, which: np.ndarray) -> "Answers":
        """Take the documents where `bool[n]` is true, or those of the indices `int[m]`."""
        return Answers(
            predicted=self.predicted[which],
            by_seed=self.by_seed[:, which],
            probabilities=self.probabilities[which],
            top=None if self.top is None else self.top[which],
            label_probability=self.label_probability[which],
        )

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, `float32[n]`."""
        largest: np.ndarray = self.probabilities.max(axis=1)
        return largest


@dataclass(frozen=True, kw_only=True)
class Predictions(Answers):
    """A variant's answers on one split, in the order of its rows.

    Attributes:
        classes: the class names; labels and predictions are indices into them.
        rows: int64[n]; of the split.
        labels: int32[n].
    """

    classes: list[str]
    rows: np.ndarray
    labels: np.ndarray

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
    answers: Answers,
    kept: Iterable[pa.RecordBatch] = (),
) -> None:
    """Write what `Predictions` describes, of all splits; `splits: object[n]` names each document's.

    `kept` holds the user's own columns of the same documents, in the same order; a batch at a time is in memory.
    """
    names = pa.array(classes, pa.string())

    def lists(values: pa.Array, size: int) -> pa.FixedSizeListArray:
        return pa.FixedSizeListArray.from_arrays(values, size)

    columns = {
        "row": pa.array(rows),
        "split": pa.array(splits, pa.string()),
        "label": names.take(pa.array(labels)),
        "predicted": names.take(pa.array(answers.predicted)),
    }
    probabilities, size = pa.array(answers.probabilities.reshape(-1)), answers.probabilities.shape[1]
    if answers.top is None:
        columns["probabilities"] = lists(probabilities, size)
    else:
        columns["top_classes"] = lists(names.take(pa.array(answers.top.reshape(-1))), size)
        columns["top_probabilities"] = lists(probabilities, size)
        columns["label_probability"] = pa.array(answers.label_probability)
    columns["by_seed"] = lists(names.take(pa.array(answers.by_seed.T.reshape(-1))), len(answers.by_seed))
    table = pa.table(columns)
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
    table = FORMAT.read(file, columns=COLUMNS, optional=PROBABILITIES, filters=pc.field("split") == split)
    table = table.sort_by("row")
    classes: list[str] = FORMAT.check(str(file), table.schema)["classes"]
    names = pa.array(classes, pa.string())

    def numbers(values: Any) -> np.ndarray:
        return np.asarray(pc.index_in(values, names), np.int32)

    def lists(name: str) -> tuple[pa.Array, tuple[int, int]]:
        return table[name].combine_chunks().flatten(), (len(table), table.schema.field(name).type.list_size)

    labels = numbers(table["label"])
    by_seed, shape = lists("by_seed")
    answers = {"predicted": numbers(table["predicted"]), "by_seed": numbers(by_seed).reshape(shape).T}
    if "probabilities" in table.column_names:
        values, shape = lists("probabilities")
        probabilities = values.to_numpy().reshape(shape)
        label_probability, top = probabilities[np.arange(len(labels)), labels], None
    else:
        values, shape = lists("top_probabilities")
        probabilities, top = values.to_numpy().reshape(shape), numbers(lists("top_classes")[0]).reshape(shape)
        label_probability = table["label_probability"].to_numpy()
    return Predictions(
        **answers,
        probabilities=probabilities,
        top=top,
        label_probability=label_probability,
        classes=classes,
        rows=table["row"].to_numpy(),
        labels=labels,
    )


def largest_class(file: str | Path | IO[bytes]) -> str | None:
    """Name the class with most documents among those of a variant's predictions that are not of the test split.

    Of several as large, the first in the order of the classes; None where there is no such document.
    """
    table = FORMAT.read(file, columns=["label"], filters=pc.field("split") != "test")
    classes: list[str] = FORMAT.check(str(file), table.schema)["classes"]
    sizes = np.bincount(np.asarray(pc.index_in(table["label"], pa.array(classes, pa.string()))), minlength=len(classes))
    return classes[int(sizes.argmax())] if len(table) else None


def highest(values: np.ndarray, k: int) -> np.ndarray:
    """Find the columns of the `k` highest numbers of each row, in falling order: `int32[n, k]` for `float32[n, m]`.

    No number may be below 0. Of equal ones the one further to the left comes first, as `argmax` has it.
    """
    k = min(k, values.shape[1])
    if k == 1:
        first: np.ndarray = values.argmax(axis=1).astype(np.int32)
        return first[:, None]
    # The bits of such numbers are ordered as they are; with the column below them, no two keys of a row are equal.
    columns = np.arange(values.shape[1], dtype=np.int64)
    keys = (np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64) << 32) | (2**31 - 1 - columns)
    if k < values.shape[1]:
        keys = np.partition(keys, values.shape[1] - k, axis=1)[:, -k:]
    found: np.ndarray = (2**31 - 1 - (np.sort(keys, axis=1)[:, ::-1] & (2**32 - 1))).astype(np.int32)
    return found
