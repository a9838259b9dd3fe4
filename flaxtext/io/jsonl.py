"""Reads JSON Lines: a JSON object per line, a row per line. Blank lines count as rows, and are left out."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from flaxtext.core.arrow import binary_array
from flaxtext.core.errors import UserError, one_line
from flaxtext.io import streams
from flaxtext.io.table import Column, Keep, Parts, Record, Table, decode, excerpt, listed, not_utf8

Value = bytes | None


def jsonl_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is null.

    Objects may have different keys if `keep` is "records" or "nothing", as long as each has the `columns`. In a batch,
    the first block says which columns there are, and of what type.

    Raises:
        UserError: a line that is no JSON object, or not UTF-8; an object without one of `columns`, or with a list or an
            object in it; objects that do not fit in one batch.
    """
    schema = None
    for numbers, values, records in _blocks(table, columns, keep):
        arrays = [decode(table, numbers, binary_array(own)) for own in values]
        if keep == "batch":
            batch = _to_batch(table, numbers, records, schema)
            schema = batch.schema
            yield numbers, arrays, batch
        else:
            yield numbers, arrays, records if keep == "records" else None


def _blocks(
    table: Table, columns: list[Column], keep: Keep
) -> Iterator[tuple[list[int], list[list[Value]], list[Record]]]:
    """Yield the numbers of some rows, the values of each of `columns` in them, and the objects, if they are kept."""
    with streams.open_plain(table.path, table.stream) as file:
        numbers: list[int] = []
        values: list[list[Value]] = [[] for _ in columns]
        records: list[Record] = []
        size = 0
        for number, line in enumerate(iter(partial(file.readline, streams.BLOCK), b""), 1):
            record = _parse_object(table, number, line)
            if record is None:
                continue
            numbers.append(number)
            for column, own in zip(columns, values, strict=True):
                own.append(_value_of(table, number, record, column))
            if keep != "nothing":
                records.append(record)
            size += len(line)
            if size >= streams.BLOCK:
                yield numbers, values, records
                numbers, values, records, size = [], [[] for _ in columns], [], 0
        if numbers:
            yield numbers, values, records


def _parse_object(table: Table, number: int, line: bytes) -> Record | None:
    if not line.strip():
        return None
    if len(line) == streams.BLOCK:
        problem = f"longer than {streams.BLOCK:,} bytes; is it JSON Lines, an object a line?"
        raise UserError(f"{table.name}: row {number}: {problem}")
    try:
        record = json.loads(line.rstrip(b"\r\n").decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(not_utf8(table, number, error)) from None
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        problem = f"not JSON that can be read: {excerpt(line[:200])}"
    else:
        if isinstance(record, dict):
            return record
        problem = f"{excerpt(record)} is not a JSON object; one a line is expected"
    raise UserError(f"{table.name}: row {number}: {problem}")


def _value_of(table: Table, number: int, record: Record, column: Column) -> Value:
    value: Any = record.get(column, record)  # type: ignore[arg-type]  # a number is no key
    if isinstance(value, str):
        # Half a surrogate pair passes here, and is refused with the rest that is not UTF-8.
        return value.encode("utf-8", "surrogatepass")
    if value is None:
        return None
    if isinstance(value, int | float):
        return json.dumps(value).encode()
    where = f"{table.name}: row {number}"
    if value is record:
        raise UserError(f"{where}: no column {column!r}; there are {listed(list(record))}")
    raise UserError(f"{where}: {column} is {excerpt(value)}, not a string or number")


def _to_batch(table: Table, numbers: list[int], records: list[Record], schema: pa.Schema | None) -> pa.RecordBatch:
    """Lay records out in columns: those of `schema`, or of all the records where it is None."""
    where = f"{table.name}: rows {numbers[0]} to {numbers[-1]}"
    advice = "write to .jsonl, which needs no columns"
    names = list(schema.names if schema else dict.fromkeys(name for record in records for name in record))
    for number, record in zip(numbers, records, strict=True):
        if new := [name for name in record if name not in names]:
            raise UserError(f"{table.name}: row {number}: {excerpt(new[0])} is in no row before it; {advice}")
    arrays = []
    for name in names:
        values = [record.get(name) for record in records]
        try:
            array = pa.array(values, schema.field(name).type if schema else None)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeError) as error:
            raise UserError(f"{where}: {excerpt(name)} is not of one type: {one_line(error)}; {advice}") from None
        arrays.append(array.cast(pa.string()) if pa.types.is_null(array.type) else array)
    return pa.record_batch(arrays, names=names)
