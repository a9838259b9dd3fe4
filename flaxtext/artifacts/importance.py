"""What each word adds to each class.

A Parquet file: `word: string`, `documents: int64`, `weights: fixed_size_list<float32>[classes]`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.artifacts import Format

FORMAT = Format("importance of words", 1)


@dataclass(frozen=True)
class Importance:
    """Words, the weightiest first.

    Attributes:
        words: the words.
        documents: int64[words]; how many documents hold each.
        weights: float32[words, classes]; what each adds to each class's probability, averaged over documents.
    """

    words: list[str]
    documents: np.ndarray
    weights: np.ndarray


def write_importance(path: str | Path, found: Importance) -> None:
    """Write it, whole or not at all."""
    weights = found.weights.astype(np.float32)
    matrix = pa.FixedSizeListArray.from_arrays(pa.array(weights.reshape(-1)), weights.shape[1])
    table = pa.table(
        {"word": pa.array(found.words, pa.string()), "documents": pa.array(found.documents), "weights": matrix}
    )
    FORMAT.write(path, table)


def read_importance(path: str | Path) -> Importance:
    """Read what `write_importance` wrote."""
    table = FORMAT.read(path)
    weights, classes = table["weights"].combine_chunks().flatten(), table.schema.field("weights").type.list_size
    return Importance(
        table["word"].to_pylist(), table["documents"].to_numpy(), weights.to_numpy().reshape(len(table), classes)
    )
