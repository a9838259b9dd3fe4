"""What `dvc metrics` and `dvc plots` show: figures in JSON, indented and in UTF-8, and small tables in CSV.

The same values give the same bytes. These files hold no version number, which would show as a figure.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flaxtext.core.errors import UserError
from flaxtext.core.files import write_text


def write_json(path: str | Path, value: Any) -> None:
    """Write a value, floats as they are, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a value. Raises `UserError` where there is no such file, or no JSON in it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except ValueError:
        raise UserError(f"{path}: not JSON; run `dvc repro` to make it anew") from None


def rounded(value: Any) -> Any:
    """Round the floats in nested dicts and lists to six significant digits; leave out what is None."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_confusion(path: str | Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write true and predicted class of each document."""
    _write_csv(path, ["label", "predicted"], pairs)


def write_class_scores(path: str | Path, rows: Iterable[tuple[str, str, Mapping[str, float]]]) -> None:
    """Write the figures of each class in each split: split, class, and precision, recall, F1 and support by name."""
    names = ["precision", "recall", "f1", "support"]
    _write_csv(
        path,
        ["split", "class", *names],
        ([split, label, *(str(figures[name]) for name in names)] for split, label, figures in rows),
    )


def write_accuracies(path: str | Path, accuracies: Iterable[tuple[str, float, float, float]]) -> None:
    """Write each variant's accuracy, and its interval."""
    rows = ([name, *(f"{figure:.6f}" for figure in figures)] for name, *figures in accuracies)
    _write_csv(path, ["variant", "accuracy", "low", "high"], rows)


def _write_csv(path: str | Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    write_text(path, text.getvalue())
