"""Token ids: the words of every document of a split by id, whole, and its label; in Parquet or NumPy files.

Parquet: `ids: list<int32>`, `label: int32`, `row: int64` (in the source's split), `held_out: bool` (whether the
document is of the validation split, which vectorize decides once), and in the schema's metadata the class names and the
origin of the corpus. NumPy, for what fits memory: the arrays `ids` and `offsets` as in `TokenIds`, `labels`,
`held_out`, and `details`, the metadata as JSON. Words that the vocabulary lacks have the ids beyond it, and
`unknown.parquet`, `word: string`, `id: int32`, lists them.
"""

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from flaxtext.artifacts import Format, reading
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.text.token_ids import TokenIds

FORMAT = Format("token ids", 1)
SCHEMA = pa.schema(
    [("ids", pa.list_(pa.int32())), ("label", pa.int32()), ("row", pa.int64()), ("held_out", pa.bool_())]
)
UNKNOWN = Format("unknown words", 1)
SUFFIXES = (".parquet", ".npz")

Batches = Iterable[tuple[TokenIds, np.ndarray]]
"""Documents and their labels, `int32[n]`, some at a time."""


@dataclass(frozen=True)
class VectorizedSplit:
    """A split, whole.

    Attributes:
        documents: the words of each document, by id.
        labels: int32[n]; indices into `classes`.
        held_out: bool[n]; the documents of the validation split.
        classes: the class names, in the source's order.
        origin: of the corpus, as in `artifacts.corpus.Corpus`.
    """

    documents: TokenIds
    labels: np.ndarray
    held_out: np.ndarray
    classes: list[str]
    origin: dict[str, Any]


def write_token_ids(
    path: str | Path,
    batches: Batches,
    *,
    classes: list[str],
    origin: dict[str, Any],
    held_out: np.ndarray | None = None,
) -> None:
    """Write batches of documents and labels to a `.parquet` or `.npz` file, by its ending, whole or not at all.

    `classes`, `origin` and `held_out: bool[n]` are those of `VectorizedSplit`; None: no document is held out.
    """
    if Path(path).suffix not in SUFFIXES:
        raise UserError(f"{path}: token ids go to {' or '.join(SUFFIXES)}")
    write = _write_npz if Path(path).suffix == ".npz" else _write_parquet
    with atomic(path) as temporary:
        write(temporary, batches, held_out, {"classes": classes, "origin": origin})


def read_token_ids(path: str | Path, unknown: str | Path | None = None) -> VectorizedSplit:
    """Read a `.parquet` file, a folder of them or an `.npz` file; and, from another, the words of the unknown ids.

    Raises `UserError` where they hold something else.
    """
    split = _read_npz(path) if Path(path).suffix == ".npz" else _read_parquet(path)
    if unknown is None:
        return split
    return replace(split, documents=replace(split.documents, unknown=read_unknown_words(unknown)[1]))


def _read_parquet(path: str | Path) -> VectorizedSplit:
    with reading(path, FORMAT.name):
        dataset = ds.dataset(path, format="parquet")
        details = FORMAT.check(path, dataset.schema)
        ids, labels, held_out = dataset.to_table(columns=["ids", "label", "held_out"]).columns
    parts = [
        TokenIds(chunk.flatten().to_numpy(), chunk.offsets.to_numpy().astype(np.int64) - chunk.offsets[0].as_py())
        for chunk in ids.chunks
    ]
    return VectorizedSplit(
        _together(parts), labels.to_numpy(), held_out.to_numpy(), details["classes"], details["origin"]
    )


def write_unknown_words(path: str | Path, words: list[str], first: int) -> None:
    """Write words and their ids, from `first` on."""
    ids = pa.array(np.arange(first, first + len(words), dtype=np.int32))
    UNKNOWN.write(path, pa.table({"word": pa.array(words, pa.string()), "id": ids}))


def read_unknown_words(path: str | Path) -> tuple[int, pa.StringArray]:
    """Read what `write_unknown_words` wrote: the first id, 0 where there are none, and the words of that and the next."""
    table = UNKNOWN.read(path)
    ids, words = table["id"].to_numpy(), table["word"].combine_chunks()
    return (int(ids[0]) if len(ids) else 0), words


def _write_parquet(path: Path, batches: Batches, held_out: np.ndarray | None, details: dict[str, Any]) -> None:
    schema, row = FORMAT.stamp(SCHEMA, **details), 0
    # Ids hardly repeat within a page, and a dictionary of them takes as long to make as all the rest.
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for documents, labels in batches:
            lists = pa.ListArray.from_arrays(
                pa.array(documents.offsets, pa.int32()), pa.array(documents.ids, pa.int32())
            )
            end = row + len(labels)
            held = np.zeros(len(labels), bool) if held_out is None else held_out[row:end]
            columns = [lists, pa.array(labels, pa.int32()), pa.array(np.arange(row, end)), pa.array(held)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            row = end


def _write_npz(path: Path, batches: Batches, held_out: np.ndarray | None, details: dict[str, Any]) -> None:
    """Write the arrays, uncompressed, with no clock in them, so that the same documents give the same bytes."""
    parts = list(batches)
    documents = _together([documents for documents, _ in parts])
    said = json.dumps({"version": FORMAT.version, **details}, sort_keys=True, ensure_ascii=False)
    arrays = {
        "details": np.array(said),
        "ids": documents.ids,
        "offsets": documents.offsets,
        "labels": np.concatenate([np.zeros(0, np.int32), *(labels for _, labels in parts)]),
        "held_out": np.zeros(len(documents), bool) if held_out is None else held_out,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _together(parts: list[TokenIds]) -> TokenIds:
    """Put documents after one another."""
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    ids = np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)])
    return TokenIds(ids, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))


def _read_npz(path: str | Path) -> VectorizedSplit:
    with reading(path, FORMAT.name):
        try:
            # Opened here: what NumPy opens stays open where it turns out to be damaged.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                details = json.loads(str(arrays["details"]))
                if details["version"] != FORMAT.version:
                    raise UserError(f"{path}: another version of flaxtext wrote it; run `dvc repro`")
                documents, said = TokenIds(arrays["ids"], arrays["offsets"]), (details["classes"], details["origin"])
                return VectorizedSplit(documents, arrays["labels"], arrays["held_out"], *said)
        except (zipfile.BadZipFile, EOFError, TypeError) as error:  # damaged, empty, or one array that is no archive
            raise ValueError(error) from None
