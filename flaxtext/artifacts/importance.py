"""What each word adds to the classes that it moves most.

A Parquet file: `word: string`, `documents: int64`, `classes: fixed_size_list<int32>[k]`, by their place in the source's
order, and `weights: fixed_size_list<float32>[k]`. All classes are there, or of more than ten the ten weightiest.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.artifacts import Format

FORMAT = Format("importance of words", 2)
MOST_CLASSES = 10
"""Classes that are kept of a word."""


@dataclass(frozen=True)
class Importance:
    """Words, the weightiest first.

    Attributes:
        words: the words.
        documents: int64[words]; how many documents hold each.
        classes: int32[words, k]; the classes that each moves most, those first that it moves furthest, up or down.
        weights: float32[words, k]; what each adds to the probabilities of these, averaged over documents.
    """

    words: list[str]
    documents: np.ndarray
    classes: np.ndarray
    weights: np.ndarray

    def of_class(self, code: int) -> dict[str, float]:
        """What words add to one class; those for which it is not kept are left out."""
        words, places = np.nonzero(self.classes == code)
        weights = self.weights[words, places].tolist()
        return {self.words[word]: weight for word, weight in zip(words.tolist(), weights, strict=True)}


def write_importance(path: str | Path, found: Importance) -> None:
    """Write it, whole or not at all."""
    size = found.weights.shape[1]
    columns = {"word": pa.array(found.words, pa.string()), "documents": pa.array(found.documents)}
    for name, values in (("classes", found.classes.astype(np.int32)), ("weights", found.weights.astype(np.float32))):
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), size)
    FORMAT.write(path, pa.table(columns))


def read_importance(path: str | Path) -> Importance:
    """Read what `write_importance` wrote."""
    table = FORMAT.read(path)
    shape = len(table), table.schema.field("weights").type.list_size
    classes, weights = (
        table[name].combine_chunks().flatten().to_numpy().reshape(shape) for name in ("classes", "weights")
    )
    return Importance(table["word"].to_pylist(), table["documents"].to_numpy(), classes, weights)
