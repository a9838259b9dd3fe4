"""Predictions for whole files: a class and its probability added to every row, batch by batch, on all cores."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.artifacts.predictions import highest
from flaxtext.core.arrow import number_array, numpy_array, string_array
from flaxtext.core.errors import UserError
from flaxtext.core.parallel import ordered_map
from flaxtext.io.json_values import members, select_members
from flaxtext.io.reading import Frame, read_frames
from flaxtext.io.table import Column, Table, is_blank, require
from flaxtext.io.writing import KEEP, encode_frame, open_writer
from flaxtext.model.classifier import Classifier
from flaxtext.model.prediction import Backend, choose_backend

WORD_BYTES = 6
"""Of a file of text, about: English, and the commas, quotes and names of other columns between."""
WORDS = 50
"""Of a text, about."""
GZIP_RATIO = 3
"""How much smaller text is with gzip, about."""
BLOCK_PROBABILITIES = 2**22
"""Probabilities that are in memory at a time, for each core."""


@dataclass
class Tally:
    """How many rows were read and written, and how many have no text, the first of them in row `first_empty`."""

    rows: int = 0
    written: int = 0
    empty: int = 0
    first_empty: int = 0


def predict_columns(
    model: Classifier, texts: pa.StringArray, backend: Backend, top_k: int = 1, prefix: str = ""
) -> dict[str, pa.Array]:
    """Predict `texts: string[n]`: the `top_k` most probable classes and their probabilities as columns.

    They are called `predicted` and `probability`, the next ones `predicted_2`, `probability_2` and so on, all behind
    `prefix`: `string[n]` and `float32[n]`, null where the text is blank.
    """
    ids, size = model.read(texts), max(1, BLOCK_PROBABILITIES // len(model.classes))
    parts = []
    for start in range(0, max(len(ids), 1), size):  # the probabilities of thousands of classes take much room
        probability = model.probabilities(ids[start : start + size], backend)
        top = highest(probability, top_k)
        parts.append((top, np.take_along_axis(probability, top, axis=1)))
    found, values = (np.concatenate(own) for own in zip(*parts, strict=True))
    missing = numpy_array(is_blank(texts))
    names = string_array(model.classes)
    columns = {}
    for rank in range(found.shape[1]):
        suffix = f"_{rank + 1}" if rank else ""
        columns[f"{prefix}predicted{suffix}"] = names.take(number_array(found[:, rank], missing))
        columns[f"{prefix}probability{suffix}"] = number_array(values[:, rank], missing)
    return columns


def predict_file(
    model: Classifier,
    source: Table,
    target: Table,
    text: Sequence[Column],
    *,
    keep: Sequence[Column] | None = None,
    skip_empty: bool = False,
    top_k: int = 1,
    prefix: str = "",
    escape: bool = False,
    report: Callable[[int], object] = lambda _rows: None,
) -> Tally:
    """Copy the rows of a file to another one, with the columns of `predict_columns` added.

    Rows without text keep their place, and get no prediction. Memory does not grow with the file.

    Args:
        model: what predicts.
        source: the file to read.
        target: the file to write.
        text: the columns that hold the text; several are joined by a space.
        keep: the own columns to write; all where it is None.
        skip_empty: whether to leave out rows without text.
        top_k: how many classes to give a row.
        prefix: what the names of the new columns begin with.
        escape: whether to make cells harmless that a spreadsheet would run as a formula.
        report: called with the number of rows of each part that was written.

    Raises:
        UserError: a bad row, a file without rows, a missing column, or one of the new columns' names.
    """
    tally = Tally()
    backend = backend_for(model, source)
    if backend == "jax":
        from flaxtext.model.compilation import configure_jax

        configure_jax()

    def work(frame: Frame) -> tuple[Frame, object]:
        written = select_rows(frame, pc.invert(is_blank(frame.texts))) if skip_empty else frame
        if keep is not None:
            written = select_columns(source, written, keep)
        columns = predict_columns(model, written.texts, backend, top_k, prefix)
        return frame, encode_frame(written, columns, target, escape=escape)

    with open_writer(target) as write:
        parts = read_frames(source, text, keep=KEEP[target.format])
        for frame, encoded in ordered_map(work, parts):
            write(encoded)
            blank = numpy_array(is_blank(frame.texts))
            if not tally.empty and blank.any():
                tally.first_empty = frame.numbers[int(blank.argmax())]
            tally.empty += int(blank.sum())
            tally.rows += len(blank)
            tally.written += len(blank) - (int(blank.sum()) if skip_empty else 0)
            report(len(frame.texts))
        if not tally.rows:
            raise UserError(f"{source.name}: no rows in the file")
    return tally


def select_rows(frame: Frame, mask: pa.BooleanArray) -> Frame:
    """Keep the rows where `mask: bool[rows]`, their numbers and all else of them."""
    kept = numpy_array(mask)
    if kept.all():
        return frame
    rows = frame.rows
    return Frame(
        frame.index,
        list(compress(frame.numbers, kept)),
        [column.filter(mask) for column in frame.columns],
        list(compress(rows, kept)) if isinstance(rows, list) else rows and rows.filter(mask),
    )


def select_columns(source: Table, frame: Frame, names: Sequence[Column]) -> Frame:
    """Keep of the whole rows the columns `names`, in this order; objects of JSON Lines may lack some.

    Raises `UserError` for a column that is not there.
    """
    rows: Any = frame.rows
    wanted = [str(name) for name in names]
    if isinstance(rows, list):
        if rows and frame.index == 0:
            require(source, wanted, list(dict.fromkeys(name for line in rows for name, _ in members(line.decode()))))
        rows = [select_members(line, wanted) for line in rows]
    else:
        require(source, wanted, rows.schema.names)
        rows = rows.select(wanted)
    return replace(frame, rows=rows)


def backend_for(model: Classifier, source: Table) -> Backend:
    """Choose what predicts a whole file, by its size, so that the answers do not depend on how it is read."""
    architecture = model.architecture
    if architecture.weighs:
        return "numpy"
    rows = count_rows(source)
    if rows is not None:
        return choose_backend(rows * min(WORDS, architecture.words) * architecture.reading.per_word)
    size = size_of(source) * (GZIP_RATIO if source.path.suffix.lower() == ".gz" else 1)
    return choose_backend(size // WORD_BYTES * architecture.reading.per_word)


def size_of(source: Table) -> int:
    """Return the bytes of a file; 0 for a pipe, which does not tell."""
    try:
        status = source.path.stat() if source.stream is None else os.fstat(source.stream.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def count_rows(source: Table) -> int | None:
    """Count the rows of a Parquet file; None for others, and for what cannot be read: reading it says why."""
    if source.format != "parquet" or source.stream is not None:
        return None
    try:
        return int(pq.read_metadata(source.path).num_rows)
    except (pa.ArrowException, OSError):
        return None
