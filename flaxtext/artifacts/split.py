"""The validation split: which documents of the training split are held out, decided once, by vectorize."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.artifacts.parquet import Format
from flaxtext.core.errors import UserError

FORMAT = Format("validation split", 1)


def choose_validation(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a stratified fraction of `labels: int32[n]`: `bool[n]`, true for about `fraction` of each class.

    A class of few documents gives less than its fraction rather than its last document.
    """
    chosen = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: min(round(fraction * len(rows)), len(rows) - 1)]] = True
    return chosen


def write_split(path: str | Path, held_out: np.ndarray) -> None:
    """Write the rows of `held_out: bool[n]`: `row: int64`, rising."""
    rows = pa.array(np.flatnonzero(held_out), pa.int64())
    FORMAT.write(path, pa.table({"row": rows}), documents=len(held_out))


def read_split(path: str | Path, documents: int) -> np.ndarray:
    """Read which of so many documents are held out, `bool[documents]`. Raises `UserError` where they are others."""
    table = FORMAT.read(path)
    found = FORMAT.check(path, table.schema)["documents"]
    if found != documents:
        raise UserError(f"{path}: of {found:,} documents, where there are {documents:,}; run `dvc repro`")
    held_out = np.zeros(documents, bool)
    held_out[table["row"].to_numpy()] = True
    return held_out
