"""Reads users' tables: the columns asked for as strings, whole rows where they are wanted, the row of every fault.

Rows count from 1, as an editor or a spreadsheet counts them: a header is row 1, a blank line is a row, and a field with
line breaks does not add rows. In JSON Lines a row is a line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import text_scalar
from flaxtext.core.errors import UserError
from flaxtext.io.csv import csv_parts
from flaxtext.io.jsonl import jsonl_parts
from flaxtext.io.parquet import parquet_parts
from flaxtext.io.streams import GZIP_ERRORS
from flaxtext.io.table import Column, Keep, Rows, Table

READERS = {"csv": csv_parts, "tsv": csv_parts, "jsonl": jsonl_parts, "parquet": parquet_parts}


@dataclass(frozen=True)
class Frame:
    """Some rows of a file, at least one.

    Attributes:
        index: how many frames came before it.
        numbers: the number of each row.
        columns: those that were asked for, `string[rows]` each; a missing value is null, or empty in CSV.
        rows: all columns, as a record batch or, from JSON Lines if wanted so, the lines; None if not wanted.
    """

    index: int
    numbers: Sequence[int]
    columns: list[pa.StringArray]
    rows: Rows

    @cached_property
    def texts(self) -> pa.StringArray:
        """The columns joined: `string[rows]`."""
        return join_columns(self.columns)


def read_frames(table: Table, columns: Sequence[Column], keep: Keep = "nothing") -> Iterator[Frame]:
    """Yield the rows of a file, a few megabytes at a time, in order; the file is opened once.

    Args:
        table: the file.
        columns: those to return as strings, by name or, in CSV without a header, by number from 1.
        keep: what else to keep of the rows.

    Raises:
        UserError: an unreadable file, a missing column, a row with too few fields or that is not UTF-8.
    """
    index = 0
    try:
        for numbers, strings, rows in READERS[table.format](table, list(columns), keep):
            if len(numbers):
                yield Frame(index, numbers, strings, rows)
                index += 1
    except GZIP_ERRORS:
        raise UserError(f"{table.name}: not a whole gzip file: cut short or damaged; get it again") from None


def join_columns(columns: Sequence[pa.StringArray]) -> pa.StringArray:
    """Join columns, `string[rows]` each, by a space; a missing value counts as an empty string."""
    filled = [column.fill_null(text_scalar("")) for column in columns]
    return filled[0] if len(filled) == 1 else pc.binary_join_element_wise(*filled, text_scalar(" "))
