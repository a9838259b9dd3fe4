"""Reads JSON Lines: a JSON object per line, a row per line. Blank lines count as rows, and are left out."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

import pyarrow as pa

from flaxtext.core.arrow import binary_array
from flaxtext.core.errors import UserError
from flaxtext.core.printable import LENGTH, name_some, visible
from flaxtext.io import streams
from flaxtext.io.json_types import Shape, typed_array
from flaxtext.io.json_values import (
    MAX_VALUES,
    SURROGATE,
    Number,
    compact,
    has_many_values,
    parse,
    refuse_surrogates,
)
from flaxtext.io.table import MAX_COLUMNS, Column, Keep, Parts, Record, Table, decode, excerpt, not_utf8

Lines = Iterator[tuple[int, bytes, str]]
"""The lines of a file that are not blank: the number of each, and itself without white space around it, twice."""
BOM = b"\xef\xbb\xbf"
ROW_BYTES, CELL_BYTES = 64, 16
"""What a row takes beside its text, and a cell of it, about."""
MISSING = object()
ONE_A_LINE = "JSON Lines is one whole object per line"


def jsonl_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is null.

    A column is the key of that name or, where there is none, a path through nested objects, such as `meta.label`.
    Objects may have different keys, as long as each has the `columns`. With "batch" and "texts", all keys of the file
    are columns: it is read twice, so that they and their types do not depend on which rows come first.

    Raises:
        UserError: a line that is no JSON object, or not UTF-8; an object without one of `columns`, or with a list or an
            object in it; more keys than a table may have columns, where they become columns.
    """
    if keep in ("nothing", "records"):
        with streams.open_plain(table) as file:
            for numbers, values, _, lines in _blocks(table, _lines(table, file, file.encoding), columns, 0):
                yield numbers, _decoded(table, numbers, values), lines if keep == "records" else None
        return
    with _two_passes(table) as (first, second):
        schema = _schema(table, first, typed=keep == "batch")
        for numbers, values, records, _ in _blocks(table, second, columns, len(schema)):
            yield numbers, _decoded(table, numbers, values), _to_batch(table, numbers, records, schema)


def _blocks(
    table: Table, lines: Lines, columns: list[Column], width: int
) -> Iterator[tuple[list[int], list[list[bytes | None]], list[Record], list[bytes]]]:
    """Yield some rows: their numbers, the values of each of `columns`, and the objects, parsed and as they stand.

    Objects are gathered if they are to be laid out in `width` columns, lines otherwise.
    """
    numbers: list[int] = []
    values: list[list[bytes | None]] = [[] for _ in columns]
    records: list[Record] = []
    texts: list[bytes] = []
    size = 0
    for number, line, text in lines:
        record = _parse_object(table, number, text)
        numbers.append(number)
        for column, own in zip(columns, values, strict=True):
            own.append(_value_of(table, number, record, column))
        if width:
            records.append(record)
        else:
            texts.append(line)
        size += len(line) + ROW_BYTES + CELL_BYTES * width
        if size >= streams.BLOCK:
            yield numbers, values, records, texts
            numbers, values, records, texts, size = [], [[] for _ in columns], [], [], 0
    if numbers:
        yield numbers, values, records, texts


def _decoded(table: Table, numbers: list[int], values: list[list[bytes | None]]) -> list[pa.StringArray]:
    return [decode(table, numbers, binary_array(own)) for own in values]


def _lines(table: Table, file: BinaryIO, encoding: str, copy: BinaryIO | None = None) -> Lines:
    """Yield the lines of a file, which is written to `copy` meanwhile, and check that as many came as there are.

    Raises `UserError` for a line that is too long, or not in UTF-8, or what the file itself was said to be in.
    """
    number = ends = 0
    rest = b""
    for block in chain(iter(partial(file.read, streams.BLOCK), b""), [b""]):
        if copy is not None:
            copy.write(block)
        ends += block.count(b"\n")
        *lines, rest = (rest + block).split(b"\n")
        if not block and rest:  # a last line without an end
            ends += 1
            lines = [rest]
        for line in lines:
            number += 1
            _check_length(table, number, line)
            if own := line.removeprefix(BOM).strip():
                try:
                    yield number, own, own.decode()
                except UnicodeDecodeError as error:
                    raise UserError(not_utf8(table, number, error, encoding)) from None
        _check_length(table, number + 1, rest)
    if number != ends:
        raise UserError(f"{table.name}: {number:,} rows were read, but it has {ends:,} lines; please report this")


def _check_length(table: Table, number: int, line: bytes) -> None:
    if len(line) > streams.MAX_RECORD:
        problem = f"longer than {streams.MAX_RECORD:,} bytes; {ONE_A_LINE}"
        raise UserError(f"{table.name}: row {number}: {problem}")


@contextmanager
def _two_passes(table: Table) -> Iterator[tuple[Lines, Lines]]:
    """Yield the lines of a file, and the same once more: of a pipe, from the copy on disk that the first pass makes."""
    with ExitStack() as stack:
        file = stack.enter_context(streams.open_plain(table))
        if table.stream is None and table.path.is_file():
            again = stack.enter_context(streams.open_plain(table))
            yield _lines(table, file, file.encoding), _lines(table, again, file.encoding)
            return
        from tempfile import TemporaryFile  # here, because few need it

        copy: Any = stack.enter_context(TemporaryFile())
        yield _lines(table, file, file.encoding, copy), _from_start(table, copy)


def _from_start(table: Table, file: BinaryIO) -> Lines:
    file.seek(0)
    yield from _lines(table, file, "utf-8")


def _parse_object(table: Table, number: int, text: str) -> Record:
    try:
        record = None if text[0] == "[" or has_many_values(text) else parse(text)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at character {error.pos + 1}"
        if error.pos == len(text) and text[-1] in "{[,:":
            problem = f"not JSON: the line ends within a value; {ONE_A_LINE}"
    except RecursionError:
        problem = f"nested too deeply: {excerpt(text[:200])}"
    else:
        if isinstance(record, dict):
            return record
        problem = f"{_shown(record)} is not a JSON object; {ONE_A_LINE}"
        if text[0] == "[":
            problem = f"a JSON array: {excerpt(text[:200])}; {ONE_A_LINE}, with no brackets and commas around them"
        elif record is None and text != "null":
            problem = f"more than {MAX_VALUES:,} values; {ONE_A_LINE}"
    raise UserError(f"{table.name}: row {number}: {problem}")


def _value_of(table: Table, number: int, record: Record, column: Column) -> bytes | None:
    value = _find(record, str(column))
    where = f"{table.name}: row {number}"
    if value is MISSING:
        names = name_some(list(_names(record, nested="." in str(column))))
        raise UserError(f"{where}: no column {excerpt(column)}; there are {names}")
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            refuse_surrogates(where, str(column), value)
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    raise UserError(f"{where}: {visible(str(column), LENGTH)} is {_shown(value)}, not a string or number")


def _find(record: Record, column: str) -> Any:
    """Return the value of a key or, where there is no such key, of a path through objects; `MISSING` if none."""
    if column in record:
        return record[column]
    parts = column.split(".")
    for count in range(1, len(parts)):
        inner = record.get(".".join(parts[:count]), MISSING)
        if isinstance(inner, dict) and (value := _find(inner, ".".join(parts[count:]))) is not MISSING:
            return value
        if inner is None:
            return None
    return MISSING


def _names(record: Record, *, nested: bool) -> Iterator[str]:
    """Name the columns of an object, with the path of those in objects if wanted."""
    for name, value in record.items():
        if nested and isinstance(value, dict) and value:
            yield from (f"{name}.{inner}" for inner in _names(value, nested=True))
        else:
            yield name


def _shown(value: Any) -> str:
    text = value if isinstance(value, Number) else compact(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _schema(table: Table, lines: Lines, *, typed: bool) -> pa.Schema:
    """Read a file through for its columns, in the order of their first rows, and for what type holds each.

    Without types, all are strings.
    """
    shapes: dict[str, Shape] = {}
    for number, _, text in lines:
        for name, value in _parse_object(table, number, text).items():
            shape = shapes.get(name)
            if shape is None:
                refuse_surrogates(f"{table.name}: row {number}", "a key", name)
                shape = shapes[name] = Shape()
                if len(shapes) > MAX_COLUMNS:
                    raise UserError(
                        f"{table.name}: row {number}: more than {MAX_COLUMNS:,} columns, with {excerpt(name)}; "
                        "write .jsonl, which needs none"
                    )
            if typed:
                shape.add(value)
    kinds = {name: shape.kind() if typed else None for name, shape in shapes.items()}
    return pa.schema([(name, pa.string() if kind is None else kind) for name, kind in kinds.items()])


def _to_batch(table: Table, numbers: list[int], records: list[Record], schema: pa.Schema) -> pa.RecordBatch:
    """Lay records out in the columns of `schema`."""
    arrays = []
    for field in schema:
        values = [record.get(field.name) for record in records]
        try:
            arrays.append(typed_array(values, field.type))
        except UnicodeEncodeError:
            for number, value in zip(numbers, values, strict=True):
                if isinstance(value, str) and SURROGATE.search(value):
                    refuse_surrogates(f"{table.name}: row {number}", field.name, value)
            raise
        except RecursionError:
            where = f"{table.name}: rows {numbers[0]} to {numbers[-1]}"
            raise UserError(f"{where}: {excerpt(field.name)} is nested too deeply; write .jsonl") from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
