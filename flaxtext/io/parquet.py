"""Reads users' Parquet files. Rows count from 1."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.table import Column, Keep, Parts, Table, decode, require


def parquet_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is null.

    Raises:
        UserError: no whole Parquet file, a missing column, one of neither strings nor numbers, a row not in UTF-8.
    """
    first = 1
    for batch in _batches(table, columns, keep):
        numbers = range(first, first + batch.num_rows)
        values = [_to_bytes(table, column, batch[column]) for column in columns]
        yield numbers, [decode(table, numbers, own) for own in values], None if keep == "nothing" else batch
        first += batch.num_rows


def _batches(table: Table, columns: list[Column], keep: Keep) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(table.path) as file:
            known = file.schema_arrow.names
            require(table, columns, known)
            if keep != "nothing":
                require(table, known, known)
            groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
            row_size = sum(group.total_byte_size for group in groups) // max(1, file.metadata.num_rows)
            # A power of two: whole chunks for a network.
            rows = 1 << min(16, max(1, streams.BLOCK // max(1, row_size)).bit_length() - 1)
            yield from file.iter_batches(rows, columns=list(dict.fromkeys(columns)) if keep == "nothing" else None)
    except (pa.ArrowInvalid, OSError):
        raise UserError(
            f"{table.name}: not a whole Parquet file: cut short, damaged or of another format; get it again"
        ) from None


def _to_bytes(table: Table, column: Column, values: pa.Array) -> pa.Array:
    if not pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except pa.ArrowNotImplementedError:
            raise UserError(f"{table.name}: column {column!r} holds {values.type}, not strings or numbers") from None
    return values.cast(pa.binary())
