"""Token ids: the words of every document of a split by id, whole, and its label; in Parquet or NumPy files.

Parquet: `ids: list<int32>`, `marks: list<int32>` and `mark_places: list<int32>` (punctuation and symbols, and how many
words come before each), `label: int32`, `row: int64` (in the source's split), `held_out: bool` (whether the document is
of the validation split, which vectorize decides once), and in the schema's metadata the class names and the origin of
the corpus. NumPy, for what fits memory: the arrays `ids` and `offsets` as in `TokenIds`, `marks`, `mark_places` and
`mark_offsets` as in `Marks`, `labels`, `held_out`, and `details`, the metadata as JSON. Words that the vocabulary lacks
have the ids beyond it, and `unknown.parquet`, `word: string`, `id: int32`, lists them.
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
from flaxtext.text.marks import NO_MARKS, Marks
from flaxtext.text.token_ids import TokenIds, concatenate, insert_marks, offsets_of, part_marks

FORMAT = Format("token ids", 2)
LISTS = ("ids", "marks", "mark_places")
SCHEMA = pa.schema(
    [
        *((name, pa.list_(pa.int32())) for name in LISTS),
        ("label", pa.int32()),
        ("row", pa.int64()),
        ("held_out", pa.bool_()),
    ]
)
UNKNOWN = Format("unknown words", 1)
SUFFIXES = (".parquet", ".npz")

Batches = Iterable[tuple[TokenIds, np.ndarray]]
"""Documents, marks between their words, and their labels, `int32[n]`, some at a time."""


@dataclass(frozen=True)
class VectorizedSplit:
    """A split, whole.

    Attributes:
        documents: the words of each document, by id.
        labels: int32[n]; indices into `classes`.
        held_out: bool[n]; the documents of the validation split.
        classes: the class names, in the source's order.
        origin: of the corpus, as in `artifacts.corpus.Corpus`.
        first_unknown: the id from which words that the vocabulary lacks are numbered; 0 where that is not known.
    """

    documents: TokenIds
    labels: np.ndarray
    held_out: np.ndarray
    classes: list[str]
    origin: dict[str, Any]
    first_unknown: int = 0


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


def read_token_ids(path: str | Path, unknown: str | Path | None = None, *, marks: bool = False) -> VectorizedSplit:
    """Read a `.parquet` file, a folder of them or an `.npz` file; and, from another, the words of the unknown ids.

    With `marks`, they stand between the words. Raises `UserError` where the files hold something else.
    """
    split, found = _read_npz(path) if Path(path).suffix == ".npz" else _read_parquet(path, marks)
    documents = insert_marks(split.documents, found) if marks else split.documents
    if unknown is None:
        return replace(split, documents=documents)
    first, words = read_unknown_words(unknown)
    return replace(split, documents=replace(documents, unknown=words), first_unknown=first)


def _read_parquet(path: str | Path, marks: bool) -> tuple[VectorizedSplit, Marks]:
    with reading(path, FORMAT.name):
        dataset = ds.dataset(path, format="parquet")
        details = FORMAT.check(path, dataset.schema)
        table = dataset.to_table(columns=[*(LISTS if marks else LISTS[:1]), "label", "held_out"])
    ids, offsets = _ragged(table["ids"])
    found = NO_MARKS
    if marks:
        (codes, mark_offsets), (places, _) = (_ragged(table[name]) for name in LISTS[1:])
        found = Marks(codes, places, mark_offsets)
    labels, held_out = table["label"].to_numpy(), table["held_out"].to_numpy()
    said = details["classes"], details["origin"]
    return VectorizedSplit(TokenIds(ids, offsets), labels, held_out, *said), found


def _ragged(lists: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of lists, `int32[k]`, and where each list begins, and the last one ends, `int64[n + 1]`."""
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.offsets.to_numpy()) for part in lists.chunks)])
    values = [part.flatten().to_numpy() for part in lists.chunks]
    return np.concatenate([np.zeros(0, np.int32), *values]), offsets_of(lengths)


def write_unknown_words(path: str | Path, words: list[str], first: int) -> None:
    """Write words and their ids, from `first` on."""
    ids = pa.array(np.arange(first, first + len(words), dtype=np.int32))
    UNKNOWN.write(path, pa.table({"word": pa.array(words, pa.string()), "id": ids}))


def read_unknown_words(path: str | Path) -> tuple[int, pa.StringArray]:
    """Read what `write_unknown_words` wrote: the first id, 0 where there are none, and the words from it on."""
    table = UNKNOWN.read(path)
    ids, words = table["id"].to_numpy(), table["word"].combine_chunks()
    return (int(ids[0]) if len(ids) else 0), words


def _write_parquet(path: Path, batches: Batches, held_out: np.ndarray | None, details: dict[str, Any]) -> None:
    schema, row = FORMAT.stamp(SCHEMA, **details), 0
    # Ids hardly repeat within a page, and a dictionary of them takes as long to make as all the rest.
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for documents, labels in batches:
            words, marks = part_marks(documents)
            lists = [(words.offsets, words.ids), (marks.offsets, marks.codes), (marks.offsets, marks.places)]
            columns = [pa.ListArray.from_arrays(pa.array(own, pa.int32()), pa.array(values)) for own, values in lists]
            end = row + len(labels)
            held = np.zeros(len(labels), bool) if held_out is None else held_out[row:end]
            columns += [pa.array(labels, pa.int32()), pa.array(np.arange(row, end)), pa.array(held)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            row = end


def _write_npz(path: Path, batches: Batches, held_out: np.ndarray | None, details: dict[str, Any]) -> None:
    """Write the arrays, uncompressed, with no clock in them, so that the same documents give the same bytes."""
    parts = list(batches)
    documents, marks = part_marks(concatenate([documents for documents, _ in parts]))
    said = json.dumps({"version": FORMAT.version, **details}, sort_keys=True, ensure_ascii=False)
    arrays = {
        "details": np.array(said),
        "ids": documents.ids,
        "offsets": documents.offsets,
        "marks": marks.codes,
        "mark_places": marks.places,
        "mark_offsets": marks.offsets,
        "labels": np.concatenate([np.zeros(0, np.int32), *(labels for _, labels in parts)]),
        "held_out": np.zeros(len(documents), bool) if held_out is None else held_out,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _read_npz(path: str | Path) -> tuple[VectorizedSplit, Marks]:
    with reading(path, FORMAT.name):
        try:
            # Opened here: what NumPy opens stays open where it turns out to be damaged.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                details = json.loads(str(arrays["details"]))
                if details["version"] != FORMAT.version:
                    raise UserError(f"{path}: another version of flaxtext wrote it; run `dvc repro`")
                documents, said = TokenIds(arrays["ids"], arrays["offsets"]), (details["classes"], details["origin"])
                split = VectorizedSplit(documents, arrays["labels"], arrays["held_out"], *said)
                return split, Marks(arrays["marks"], arrays["mark_places"], arrays["mark_offsets"])
        except (zipfile.BadZipFile, EOFError, TypeError) as error:  # damaged, empty, or one array that is no archive
            raise ValueError(error) from None
