"""Documents as rows of word ids, as Keras' `texts_to_sequences` and `pad_sequences(padding="post",
truncating="post")` make them; in Parquet or NumPy files."""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.text.tokens import tokenize
from flaxtext.text.vocabulary import Vocabulary


class Vectors(NamedTuple):
    """A vectorized split, or a part of one: `ids: int32[n, max_len]` and `labels: int32[n]`."""

    ids: np.ndarray
    labels: np.ndarray


def vectorize(texts: pa.Array, vocabulary: Vocabulary, max_len: int) -> np.ndarray:
    """Turn `texts: string[n]` into `int32[n, max_len]`.

    Words that the vocabulary lacks are dropped, then the rest is cut after `max_len` ids or padded
    with zeros at the end.
    """
    lists = tokenize(texts)
    return pad(vocabulary.ids(lists.values), lists.offsets.to_numpy(), max_len)


def pad(ids: np.ndarray, offsets: np.ndarray, max_len: int) -> np.ndarray:
    """Lay the runs `ids[offsets[i]:offsets[i + 1]]`, less their zeros, out as rows: `int32[n, max_len]`."""
    known = ids != 0
    before = np.concatenate([[0], np.cumsum(known)])[offsets]  # known ids ahead of each run
    ids = ids[known]
    lengths = np.diff(before)
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.arange(len(ids)) - before[:-1][row]
    kept = column < max_len
    matrix = np.zeros((len(lengths), max_len), np.int32)
    matrix[row[kept], column[kept]] = ids[kept]
    return matrix


def write(path: str | Path, batches: Iterable[Vectors], rows: int, max_len: int) -> None:
    """Write batches, `rows` documents in all, to a `.parquet` or `.npz` file, by its ending."""
    writer = {".parquet": _write_parquet, ".npz": _write_npz}.get(Path(path).suffix)
    if writer is None:
        raise UserError(f"{path}: vectors go to .parquet or .npz")
    with atomic(path) as temporary:
        writer(temporary, batches, rows, max_len)


def read(path: str | Path) -> Vectors:
    """Read a `.parquet` file, a folder of them or an `.npz` file. Raises `UserError` if it holds no vectors."""
    try:
        if Path(path).suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return Vectors(arrays["ids"], arrays["labels"])
        table = pq.read_table(path, columns=["ids", "labels"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a file of vectors: {error}") from None
    ids = table["ids"].combine_chunks()
    matrix = ids.flatten().to_numpy().reshape(len(ids), ids.type.list_size)
    return Vectors(matrix, table["labels"].to_numpy())


def _write_parquet(path: Path, batches: Iterable[Vectors], _rows: int, max_len: int) -> None:
    schema = pa.schema([("ids", pa.list_(pa.int32(), max_len)), ("labels", pa.int32())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for ids, labels in batches:
            lists = pa.FixedSizeListArray.from_arrays(pa.array(ids.reshape(-1)), max_len)
            writer.write_batch(pa.record_batch([lists, pa.array(labels)], schema=schema))


def _write_npz(path: Path, batches: Iterable[Vectors], rows: int, max_len: int) -> None:
    labels = np.zeros(rows, np.int32)
    done = 0
    with zipfile.ZipFile(path, "w") as archive:
        with _npy(archive, "ids", (rows, max_len)) as file:
            for ids, batch_labels in batches:
                file.write(ids.astype("<i4").tobytes())
                labels[done : done + len(ids)] = batch_labels
                done += len(ids)
        with _npy(archive, "labels", (rows,)) as file:
            file.write(labels.astype("<i4").tobytes())


@contextmanager
def _npy(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """Open an int32 array in an NPZ archive for writing bit by bit; a ZipInfo has no clock."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {"descr": "<i4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file
