"""What the evaluate stage wrote of the test split, of several variants on the same documents."""

from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Judged:
    """The test split's labels and what each variant predicted, as class numbers.

    Attributes:
        labels: `int[n]`.
        predicted: by the variant's model, `int[n]`.
        by_seed: by each of its seeds, `int[seeds, n]`; only variants with several have an entry.
        n_classes: of the source; not all need occur.
    """

    labels: np.ndarray
    predicted: dict[str, np.ndarray]
    by_seed: dict[str, np.ndarray]
    n_classes: int


def read(file: str | IO[bytes]) -> pa.Table:
    """Read the test split's rows of `data/predictions/VARIANT.parquet`, a path or an open file."""
    return pq.read_table(file, filters=pc.field("split") == "test")


def same_split(first: pa.Table, second: pa.Table) -> bool:
    """Tell whether two variants were judged on the same documents: as many, with the same labels, in one order."""
    columns = ["row", "label"]
    return bool(first.select(columns).equals(second.select(columns)))


def judged(tables: dict[str, pa.Table]) -> Judged:
    """Number the classes in tables of the same split, variant -> what `read` returns.

    Files from before there were several seeds have no column `by_seed`; they count as of one seed.
    """
    seeds = {
        name: table["by_seed"].combine_chunks()
        for name, table in tables.items()
        if "by_seed" in table.column_names and table.schema.field("by_seed").type.list_size > 1
    }
    columns = [table[column] for table in tables.values() for column in ("label", "predicted")]
    chunks = [chunk for column in columns for chunk in column.chunks]
    names = pa.chunked_array([*chunks, *(each.flatten() for each in seeds.values())]).unique().sort()

    def numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
        return np.asarray(pc.index_in(column, names))

    return Judged(
        labels=numbers(next(iter(tables.values()))["label"]),
        predicted={name: numbers(table["predicted"]) for name, table in tables.items()},
        by_seed={name: numbers(each.flatten()).reshape(-1, each.type.list_size).T for name, each in seeds.items()},
        n_classes=max(table.schema.field("probabilities").type.list_size for table in tables.values()),
    )
