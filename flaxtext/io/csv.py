"""Reads CSV and TSV with Arrow: every field a string, and the row of every fault.

A header is row 1, a blank line is a row, and a field with line breaks does not add rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from flaxtext.core.errors import UserError, one_line
from flaxtext.io import streams
from flaxtext.io.table import Column, Keep, Parts, Table, decode, excerpt, require


def csv_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is an empty string.

    Raises:
        UserError: an empty file, a missing column, a row with too few or too many fields or that is not UTF-8, a
            quote that is not closed.
    """
    bad: list[Any] = []  # the first row of another number of fields, once Arrow came to it

    def note(row: Any) -> str:
        if not bad:
            bad.append(row)
        return "skip"  # an error of Arrow's own would drop the reader while it reads ahead; see `_open_reader`

    row = 2 if table.options.header else 1
    try:
        with streams.open_plain(table) as file:
            head = file.read(streams.BLOCK + 1)
            names = _column_names(table, head)
            known: list[Column] = list(names) if table.options.header else list(range(1, len(names) + 1))
            require(table, columns, known)
            if keep != "nothing":
                require(table, known, known)
            asked = [names[known.index(column)] for column in columns]
            types = dict.fromkeys(asked if keep == "nothing" else names, pa.binary())
            converting = csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])
            whole = streams.Resumed(head, file)
            with _open_reader(whole, _read_options(table), _parse_options(table, note), converting) as batches:
                for batch in batches:
                    numbers = range(row, row + batch.num_rows)
                    if bad and bad[0].number <= numbers.stop:  # not one that Arrow read ahead
                        raise _wrong_width(table, bad[0])
                    strings = {name: decode(table, numbers, batch[name]) for name in types}
                    rows = None
                    if keep != "nothing":
                        rows = pa.record_batch(list(strings.values()), names=[str(column) for column in known])
                    yield numbers, [strings[name] for name in asked], rows
                    row = numbers.stop
                if bad:
                    raise _wrong_width(table, bad[0])
    except pa.ArrowInvalid as error:
        if bad:
            raise _wrong_width(table, bad[0]) from None
        if "straddl" in str(error):
            raise UserError(
                f"{table.name}: after row {row - 1}: a row is longer than {streams.BLOCK:,} bytes; "
                "is a quote not closed?"
            ) from None
        if "Empty CSV file" not in str(error):  # which a header alone is, too
            raise UserError(f"{table.name}: {one_line(error)}") from None


def _wrong_width(table: Table, row: Any) -> UserError:
    return UserError(
        f"{table.name}: row {row.number}: expected {row.expected_columns} fields, found {row.actual_columns}: "
        f"{excerpt(row.text)}; quote fields with delimiters or line breaks"
    )


@contextmanager
def _open_reader(
    file: streams.Resumed, read: csv.ReadOptions, parse: csv.ParseOptions, convert: csv.ConvertOptions
) -> Iterator[csv.CSVStreamingReader]:
    """Open Arrow's reader, and let it come to its end.

    It reads ahead in a thread. Dropped meanwhile, it may wait for itself without end, and the process with it, or abort
    the process as Python ends. So the file ends at once, and what was read ahead, 30 blocks at most, is passed over.
    """
    reader = csv.open_csv(file, read, parse, convert)
    try:
        yield reader
    finally:
        file.close()
        with suppress(Exception):  # whatever is wrong with rows that were not asked for
            for _ in reader:
                pass


def _column_names(table: Table, head: bytes) -> list[str]:
    """Return the names in the header or, without one, Arrow's own, as many as the first row has fields.

    `head` is the first block of the file and a byte more, so that Arrow does not take the block for the last.
    """
    if not head:
        raise UserError(f"{table.name}: the file is empty")
    # Arrow's own buffer, so that the reader can be dropped at once; see `_open_reader`.
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
