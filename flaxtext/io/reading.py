"""Reads users' tables: the columns asked for as strings, whole rows where they are wanted, the row of every fault.

Rows count from 1, as an editor or a spreadsheet counts them: a header is row 1, a blank line is a row, and a field with
line breaks does not add rows. In JSON Lines a row is a line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import number_array, numpy_array, text_scalar
from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.csv import csv_parts
from flaxtext.io.jsonl import jsonl_parts
from flaxtext.io.parquet import parquet_parts
from flaxtext.io.table import Column, Keep, Part, Rows, Table

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
            for part in _slices(numbers, strings, rows):
                yield Frame(index, *part)
                index += 1
    except streams.GZIP_ERRORS:
        raise UserError(f"{table.name}: not a whole gzip file: cut short or damaged; get it again") from None


def _slices(numbers: Sequence[int], columns: list[pa.StringArray], rows: Rows) -> Iterator[Part]:
    """Cut rows into parts of about `streams.BLOCK` bytes of the columns that were asked for; nothing is copied."""
    count = len(numbers)
    if count <= 1 or sum(column.nbytes for column in columns) <= streams.BLOCK:
        if count:
            yield numbers, columns, rows
        return
    zero = number_array(np.zeros(1, np.int64))[0]
    lengths = [numpy_array(pc.binary_length(column).cast(pa.int64()).fill_null(zero)) for column in columns]
    total = np.cumsum(np.sum(lengths, axis=0))
    marks = np.searchsorted(total, np.arange(streams.BLOCK, total[-1], streams.BLOCK), "right")
    cuts = [0, *np.unique(marks[(marks > 0) & (marks < count)]).tolist(), count]
    for start, stop in pairwise(cuts):
        size = stop - start
        part = None if rows is None else rows[start:stop] if isinstance(rows, list) else rows.slice(start, size)
        yield numbers[start:stop], [column.slice(start, size) for column in columns], part


def join_columns(columns: Sequence[pa.StringArray]) -> pa.StringArray:
    """Join columns, `string[rows]` each, by a space; a missing value counts as an empty string."""
    filled = [column.fill_null(text_scalar("")) for column in columns]
    return filled[0] if len(filled) == 1 else pc.binary_join_element_wise(*filled, text_scalar(" "))
