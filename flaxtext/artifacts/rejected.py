"""The rows that download leaves out, as CSV for a spreadsheet: file, row, reason, label and text."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flaxtext.core.files import atomic

COLUMNS = ("file", "row", "reason", "label", "text")
LENGTH = 1000
"""Characters of a label or text that are written."""


@contextmanager
def open_rejected(path: str | Path) -> Iterator[Callable[[str, int, str, str, str], None]]:
    """Yield a function that writes a row, given what `COLUMNS` names; the file appears, whole, at the end."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)

        def write(name: str, row: int, reason: str, label: str, text: str) -> None:
            writer.writerow((name, row, reason, label[:LENGTH], text[:LENGTH]))

        yield write
