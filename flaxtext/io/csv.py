"""Reads CSV and TSV with Arrow: every field a string, and the row of every fault.

A header is row 1, a blank line is a row, and a field with line breaks does not add rows.
"""

from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.table import Column, Keep, Parts, Table, decode, excerpt, one_line, require


def csv_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is an empty string.

    Raises:
        UserError: an empty file, a missing column, a row with too few or too many fields or that is not UTF-8, a
            quote that is not closed.
    """
    bad: list[Any] = []

    def refuse(row: Any) -> str:
        bad.append(row)
        return "error"

    row = 2 if table.options.header else 1
    try:
        with streams.open_plain(table.path) as file:
            head = file.read(streams.BLOCK + 1)
            names = _column_names(table, head)
            known: list[Column] = list(names) if table.options.header else list(range(1, len(names) + 1))
            require(table, columns, known)
            if keep != "nothing":
                require(table, known, known)
            asked = [names[known.index(column)] for column in columns]
            types = dict.fromkeys(asked if keep == "nothing" else names, pa.binary())
            converting = csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])
            file_again = streams.Resumed(head, file)
            for batch in csv.open_csv(file_again, _read_options(table), _parse_options(table, refuse), converting):
                numbers = range(row, row + batch.num_rows)
                strings = {name: decode(table, numbers, batch[name]) for name in types}
                rows = None
                if keep != "nothing":
                    rows = pa.record_batch(list(strings.values()), names=[str(column) for column in known])
                yield numbers, [strings[name] for name in asked], rows
                row += batch.num_rows
    except pa.ArrowInvalid as error:
        if bad:
            raise UserError(
                f"{table.name}: row {bad[0].number}: expected {bad[0].expected_columns} fields, found "
                f"{bad[0].actual_columns}: {excerpt(bad[0].text)}; quote fields with delimiters or line breaks"
            ) from None
        if "straddl" in str(error):
            raise UserError(
                f"{table.name}: after row {row - 1}: a row is longer than {streams.BLOCK:,} bytes; "
                "is a quote not closed?"
            ) from None
        if "Empty CSV file" not in str(error):  # which a header alone is, too
            raise UserError(f"{table.name}: {one_line(error)}") from None


def _column_names(table: Table, head: bytes) -> list[str]:
    """Return the names in the header or, without one, Arrow's own, as many as the first row has fields.

    `head` is the first block of the file and a byte more, so that Arrow does not take the block for the last.
    """
    if not head:
        raise UserError(f"{table.name}: the file is empty")
    # Arrow's own buffer: a thread that reads ahead from Python's hangs now and then if the reader is dropped meanwhile.
    block = pa.BufferReader(head)
    try:
        return list(csv.open_csv(block, _read_options(table), _parse_options(table, lambda _: "skip")).schema.names)
    except UnicodeDecodeError:
        raise UserError(f"{table.name}: row 1: not UTF-8; save the file as UTF-8") from None
    except pa.ArrowInvalid:
        if len(head) > streams.BLOCK:  # Arrow takes a block without the end of a row for an empty file
            raise UserError(
                f"{table.name}: row 1 is longer than {streams.BLOCK:,} bytes; is a quote not closed?"
            ) from None
        raise


def _read_options(table: Table) -> csv.ReadOptions:
    # Threads would lose the row numbers of errors.
    return csv.ReadOptions(
        block_size=streams.BLOCK, use_threads=False, autogenerate_column_names=not table.options.header
    )


def _parse_options(table: Table, on_bad_row: Any) -> csv.ParseOptions:
    # Ignored lines would shift the row numbers.
    return csv.ParseOptions(
        delimiter=table.delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=on_bad_row
    )
