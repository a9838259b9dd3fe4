"""Predictions for whole files: a class and its probability added to every row, batch by batch, on all cores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.artifacts.bundle import Classifier
from flaxtext.core.errors import UserError
from flaxtext.core.parallel import ordered_map
from flaxtext.io.reading import Frame, read_frames
from flaxtext.io.table import Column, Table, is_blank
from flaxtext.io.writing import encode_frame, open_writer
from flaxtext.text import vectors


@dataclass
class Tally:
    """How many rows were read, and how many of them had no text, the first of them in row `first_empty`."""

    rows: int = 0
    empty: int = 0
    first_empty: int = 0


def predict_columns(model: Classifier, texts: pa.StringArray, top_k: int = 1, prefix: str = "") -> dict[str, pa.Array]:
    """Predict `texts: string[n]`: the `top_k` most probable classes and their probabilities as columns.

    They are called `predicted` and `probability`, the next ones `predicted_2`, `probability_2` and so on, all behind
    `prefix`: `string[n]` and `float32[n]`, null where the text is blank.
    """
    probability = model.probabilities(vectors.vectorize(texts, model.vocabulary, model.max_len))
    missing = np.asarray(is_blank(texts))
    names = pa.array(model.classes, pa.string())
    columns = {}
    for rank, classes in enumerate(_ranked(probability, min(top_k, len(model.classes))), 1):
        suffix = f"_{rank}" if rank > 1 else ""
        columns[f"{prefix}predicted{suffix}"] = names.take(pa.array(classes, mask=missing))
        values = probability[np.arange(len(classes)), classes]
        columns[f"{prefix}probability{suffix}"] = pa.array(values, mask=missing)
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
    escape: bool = True,
    report: Callable[[int], object] = lambda _rows: None,
) -> Tally:
    """Copy the rows of a file to another one, with the columns of `predict_columns` added.

    Rows without text keep their place, and get no prediction. Memory does not grow with the file. `report` is called
    with the number of rows of each part that was written.

    Raises:
        UserError: a bad row, a file without rows, or a column of the new columns' names.
    """
    tally = Tally()

    def work(frame: Frame) -> tuple[Frame, object]:
        columns = predict_columns(model, frame.texts, top_k, prefix)
        return frame, encode_frame(frame, columns, target, escape=escape)

    with open_writer(target) as write:
        parts = read_frames(source, text, "records" if target.format == "jsonl" else "batch")
        for frame, encoded in ordered_map(work, parts):
            write(encoded)
            blank = is_blank(frame.texts)
            if not tally.empty and (at := pc.index(blank, True).as_py()) >= 0:
                tally.first_empty = frame.numbers[at]
            tally.empty += blank.true_count
            tally.rows += len(frame.texts)
            report(len(frame.texts))
        if not tally.rows:
            raise UserError(f"{source.name}: no rows in the file")
    return tally
