"""What `dvc plots` draws of evaluate and compare: small tables in CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from flaxtext.core.files import write_text


def write_confusion(path: str | Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write true and predicted class of each document."""
    _write(path, ["label", "predicted"], pairs)


def write_accuracies(path: str | Path, accuracies: Iterable[tuple[str, float, float, float]]) -> None:
    """Write each variant's accuracy, and its interval."""
    rows = ([name, *(f"{figure:.6f}" for figure in figures)] for name, *figures in accuracies)
    _write(path, ["variant", "accuracy", "low", "high"], rows)


def _write(path: str | Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    write_text(path, text.getvalue())
