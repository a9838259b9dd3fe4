"""Token ids: the words of every document of a split by id, whole, and its label; in Parquet or NumPy files.

Parquet: `ids: list<int32>`, `label: int32`, `row: int64` (in the source's split). NumPy, for what fits memory: the
arrays `ids`, `offsets`, `labels`, as in `TokenIds`. Words that the vocabulary lacks have the ids beyond it, and
`unknown.parquet`, `word: string`, `id: int32`, lists them.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from flaxtext.artifacts.parquet import Format, readable
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.text.token_ids import TokenIds

FORMAT = Format("token ids", 1)
SCHEMA = pa.schema([("ids", pa.list_(pa.int32())), ("label", pa.int32()), ("row", pa.int64())])
UNKNOWN = Format("unknown words", 1)
SUFFIXES = (".parquet", ".npz")


Batches = Iterable[tuple[TokenIds, np.ndarray]]
"""Documents and their labels, `int32[n]`, some at a time."""


class LabelledIds(NamedTuple):
    """A split, or a part of one: its documents, and their `labels: int32[n]`."""

    documents: TokenIds
    labels: np.ndarray


@dataclass(frozen=True)
class VectorizedSplit:
    """A split, whole.

    Attributes:
        documents: the words of each document, by id.
        labels: int32[n]; indices into `classes`.
        classes: the class names, in the source's order.
        origin: of the corpus, as in `artifacts.corpus.Corpus`.
    """

    documents: TokenIds
    labels: np.ndarray
    classes: list[str]
    origin: dict[str, Any]


def write_token_ids(path: str | Path, batches: Batches, *, classes: list[str], origin: dict[str, Any]) -> np.ndarray:
    """Write batches of documents and labels to a `.parquet` or `.npz` file, by its ending, whole or not at all.

    Returns all labels, `int32[n]`.
    """
    if Path(path).suffix not in SUFFIXES:
        raise UserError(f"{path}: token ids go to {' or '.join(SUFFIXES)}")
    write = _write_npz if Path(path).suffix == ".npz" else _write_parquet
    with atomic(path) as temporary:
        return _joined(write(temporary, batches, {"classes": classes, "origin": origin}), np.int32)


def read_token_ids(path: str | Path) -> VectorizedSplit:
    """Read a `.parquet` file, a folder of them or an `.npz` file. Raises `UserError` if it holds no token ids."""
    if Path(path).suffix == ".npz":
        return _read_npz(path)
    with readable(path, FORMAT.name):
        details = FORMAT.check(path, ds.dataset(path, format="parquet").schema)
    documents, labels = _together(list(token_id_batches(path)))
    return VectorizedSplit(documents, labels, details["classes"], details["origin"])


def token_id_batches(path: str | Path) -> Iterator[LabelledIds]:
    """Read a `.parquet` file, or a folder of them, a part at a time."""
    with readable(path, FORMAT.name):
        dataset = ds.dataset(path, format="parquet")
        FORMAT.check(path, dataset.schema)
        for batch in dataset.to_batches(columns=["ids", "label"]):
            ids, offsets = batch["ids"].flatten(), batch["ids"].offsets.to_numpy().astype(np.int64)
            yield LabelledIds(TokenIds(ids.to_numpy(), offsets - offsets[0]), batch["label"].to_numpy())


def write_unknown_words(path: str | Path, words: list[str], first: int) -> None:
    """Write words and their ids, from `first` on."""
    ids = pa.array(np.arange(first, first + len(words), dtype=np.int32))
    UNKNOWN.write(path, pa.table({"word": pa.array(words, pa.string()), "id": ids}))


def read_unknown_words(path: str | Path) -> dict[int, str]:
    """Read what `write_unknown_words` wrote: id -> word."""
    table = UNKNOWN.read(path)
    return dict(zip(table["id"].to_pylist(), table["word"].to_pylist(), strict=True))


def _write_parquet(path: Path, batches: Batches, details: dict[str, Any]) -> list[np.ndarray]:
    written = []
    schema, row = FORMAT.stamp(SCHEMA, **details), 0
    # Ids hardly repeat within a page, and a dictionary of them takes as long to make as all the rest.
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for documents, labels in batches:
            lists = pa.ListArray.from_arrays(
                pa.array(documents.offsets, pa.int32()), pa.array(documents.ids, pa.int32())
            )
            rows = pa.array(np.arange(row, row + len(labels)))
            writer.write_batch(pa.record_batch([lists, pa.array(labels, pa.int32()), rows], schema=schema))
            row += len(labels)
            written.append(labels)
    return written


def _write_npz(path: Path, batches: Batches, details: dict[str, Any]) -> list[np.ndarray]:
    """Write the arrays, uncompressed, with no clock in them, so that the same documents give the same bytes."""
    documents, labels = _together([LabelledIds(*batch) for batch in batches])
    said = np.array(json.dumps({"version": FORMAT.version, **details}, sort_keys=True, ensure_ascii=False))
    arrays = {"details": said, "ids": documents.ids, "offsets": documents.offsets, "labels": labels}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return [labels]


def _together(parts: list[LabelledIds]) -> LabelledIds:
    lengths = _joined([np.diff(documents.offsets) for documents, _ in parts], np.int64)
    ids = _joined([documents.ids for documents, _ in parts], np.int32)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return LabelledIds(TokenIds(ids, offsets), _joined([labels for _, labels in parts], np.int32))


def _joined(arrays: list[np.ndarray], dtype: type[np.integer]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *arrays])


def _read_npz(path: str | Path) -> VectorizedSplit:
    with readable(path, FORMAT.name):
        try:
            # Opened here: what NumPy opens stays open where it turns out to be damaged.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                details = json.loads(str(arrays["details"]))
                if details["version"] != FORMAT.version:
                    raise UserError(f"{path}: another version of flaxtext wrote it; run `dvc repro`")
                documents = TokenIds(arrays["ids"], arrays["offsets"])
                return VectorizedSplit(documents, arrays["labels"], details["classes"], details["origin"])
        except (zipfile.BadZipFile, EOFError, TypeError) as error:  # damaged, empty, or one array that is no archive
            raise ValueError(error) from None
