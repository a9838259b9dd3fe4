"""Predictions for whole files: a class and its probability added to every row, batch by batch, on all cores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext.core.arrow import number_array, numpy_array, string_array
from flaxtext.core.errors import UserError
from flaxtext.core.parallel import ordered_map
from flaxtext.io.reading import Frame, read_frames
from flaxtext.io.table import Column, Table, is_blank
from flaxtext.io.writing import KEEP, encode_frame, open_writer
from flaxtext.model.classifier import Classifier
from flaxtext.model.prediction import Backend, choose_backend

WORD_BYTES = 6
"""Of a file of text, about: English, and the commas, quotes and names of other columns between."""
GZIP_RATIO = 3
"""How much smaller text is with gzip, about."""


@dataclass
class Tally:
    """How many rows were read, and how many of them had no text, the first of them in row `first_empty`."""

    rows: int = 0
    empty: int = 0
    first_empty: int = 0


def predict_columns(
    model: Classifier, texts: pa.StringArray, backend: Backend, top_k: int = 1, prefix: str = ""
) -> dict[str, pa.Array]:
    """Predict `texts: string[n]`: the `top_k` most probable classes and their probabilities as columns.

    They are called `predicted` and `probability`, the next ones `predicted_2`, `probability_2` and so on, all behind
    `prefix`: `string[n]` and `float32[n]`, null where the text is blank.
    """
    probability = model.probabilities(model.cut(texts), backend)
    missing = numpy_array(is_blank(texts))
    names = string_array(model.classes)
    columns = {}
    for rank, classes in enumerate(_ranked(probability, min(top_k, len(model.classes))), 1):
        suffix = f"_{rank}" if rank > 1 else ""
        columns[f"{prefix}predicted{suffix}"] = names.take(number_array(classes, missing))
        values = probability[np.arange(len(classes)), classes]
        columns[f"{prefix}probability{suffix}"] = number_array(values, missing)
    return columns


def _ranked(probability: np.ndarray, top_k: int) -> list[np.ndarray]:
    if top_k == 1:
        return [probability.argmax(axis=1)]
    return list(np.argsort(-probability, axis=1, kind="stable")[:, :top_k].T)


def predict_file(
    model: Classifier,
    source: Table,
    target: Table,
    text: Sequence[Column],
    *,
    top_k: int = 1,
    prefix: str = "",
    escape: bool = False,
    report: Callable[[int], object] = lambda _rows: None,
) -> Tally:
    """Copy the rows of a file to another one, with the columns of `predict_columns` added.

    Rows without text keep their place, and get no prediction. Memory does not grow with the file. `report` is called
    with the number of rows of each part that was written.

    Raises:
        UserError: a bad row, a file without rows, or a column of the new columns' names.
    """
    tally = Tally()
    backend = backend_for(model, source)
    if backend == "jax":
        from flaxtext.model.compilation import configure_jax

        configure_jax()

    def work(frame: Frame) -> tuple[Frame, object]:
        columns = predict_columns(model, frame.texts, backend, top_k, prefix)
        return frame, encode_frame(frame, columns, target, escape=escape)

    with open_writer(target) as write:
        parts = read_frames(source, text, keep=KEEP[target.format])
        for frame, encoded in ordered_map(work, parts):
            write(encoded)
            blank = numpy_array(is_blank(frame.texts))
            if not tally.empty and blank.any():
                tally.first_empty = frame.numbers[int(blank.argmax())]
            tally.empty += int(blank.sum())
            tally.rows += len(frame.texts)
            report(len(frame.texts))
        if not tally.rows:
            raise UserError(f"{source.name}: no rows in the file")
    return tally


def backend_for(model: Classifier, source: Table) -> Backend:
    """Choose what predicts a whole file, by its size, so that the answers do not depend on how it is read."""
    architecture = model.architecture
    rows = count_rows(source)
    if rows is not None:
        return choose_backend(rows * architecture.positions)
    size = source.path.stat().st_size * (GZIP_RATIO if source.path.suffix.lower() == ".gz" else 1)
    return choose_backend(size // WORD_BYTES * architecture.per_word)


def count_rows(source: Table) -> int | None:
    """Count the rows of a Parquet file; None for others, and for what cannot be read: reading it says why."""
    if source.format != "parquet":
        return None
    try:
        return int(pq.read_metadata(source.path).num_rows)
    except (pa.ArrowException, OSError):
        return None
