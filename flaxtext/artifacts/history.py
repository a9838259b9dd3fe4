"""The history of a training: a row for each epoch, as CSV, which `dvc plots` draws."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flaxtext.core.errors import UserError
from flaxtext.core.files import write_text


class Epoch(NamedTuple):
    """How an epoch went.

    Attributes:
        epoch: its number, from 1.
        batch_loss: cross-entropy summed over a batch, averaged over the batches: the tutorial's figure.
        train_loss: cross-entropy a document, averaged over the epoch as it went.
        validation_loss: cross-entropy a document, after the epoch; NaN without validation documents.
        validation_accuracy: after the epoch; NaN without validation documents.
    """

    epoch: int
    batch_loss: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


def write_history(path: str | Path, history: Sequence[Epoch]) -> None:
    """Write a row for each epoch; a figure that is NaN is left empty."""
    rows = [
        Epoch._fields,
        *((epoch[0], *("" if math.isnan(figure) else f"{figure:.6f}" for figure in epoch[1:])) for epoch in history),
    ]
    write_text(path, "".join(",".join(map(str, row)) + "\n" for row in rows))


def read_history(path: str | Path) -> list[Epoch]:
    """Read what `write_history` wrote."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [
                Epoch(int(row["epoch"]), *(float(row[name] or "nan") for name in Epoch._fields[1:]))
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (KeyError, ValueError):
        raise UserError(f"{path}: not a history of this version of flaxtext; run `dvc repro`") from None
