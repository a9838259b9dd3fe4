"""Whole rows of CSV, TSV, JSON Lines and Parquet files: read in bounded memory, written with columns added."""

import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.io import tables
from flaxtext.io.tables import BLOCK, DELIMITERS, Column, Table, listed, short

Record = dict[str, Any]
Rows: TypeAlias = "pa.RecordBatch | list[Record]"

FORMULA = "^[=+@\t\r-]"
"""How a cell starts that a spreadsheet takes for a formula (OWASP, CSV Injection)."""
NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Frame:
    """Some rows of a file.

    Attributes:
        index: how many frames came before it.
        numbers: the number of each row, as an editor or a spreadsheet counts; in Parquet, from 1.
        texts: `string[rows]`, the text columns joined by a space; empty where all are missing.
        rows: all columns, as a record batch, or, from JSON Lines to JSON Lines, as parsed objects.
    """

    index: int
    numbers: Sequence[int]
    texts: pa.StringArray
    rows: Rows


def read(table: Table, text: Sequence[Column], *, as_records: bool = False) -> Iterator[Frame]:
    """Yield the rows of a file, a few megabytes at a time.

    Blank lines of JSON Lines are left out. Its objects come as they are with `as_records`; without, the first few
    megabytes say which columns there are, and of what type.

    Raises:
        UserError: an unreadable file, a missing column, a row with too few fields or that is not UTF-8.
    """
    index = 0
    for numbers, columns, rows in _readers(table)(table, list(text), as_records):
        if len(numbers):
            columns = [column.fill_null("") for column in columns]
            texts = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, " ")
            yield Frame(index, numbers, texts, rows)
            index += 1


Read = Iterator[tuple[Sequence[int], list[pa.StringArray], Rows]]


def _readers(table: Table) -> Callable[[Table, list[Column], bool], Read]:
    return {"jsonl": _read_json_lines, "parquet": _read_parquet}.get(table.format, _read_csv)


def _read_parquet(table: Table, text: list[Column], _: bool) -> Read:
    for first, batch in tables.parquet_batches(table):
        _require(table, text, batch.schema.names)
        columns = [tables.strings(table, first, name, batch[name]) for name in text]
        yield range(first, first + len(batch)), columns, batch


def _read_csv(table: Table, text: list[Column], _: bool) -> Read:
    known = tables.csv_columns(table)
    if not known:
        raise UserError(f"{table.name}: the file is empty")
    _require(table, text, known)
    for first, columns in tables.read(table, known):
        rows = pa.record_batch(columns, names=[str(column) for column in known])
        yield range(first, first + len(rows)), [columns[known.index(column)] for column in text], rows


def _read_json_lines(table: Table, text: list[Column], as_records: bool) -> Read:
    schema = None
    for numbers, records in _json_blocks(table):
        values = [tables.values_of(table, *row, text) for row in zip(numbers, records, strict=True)]
        columns = [
            tables.strings(table, numbers[0], name, pa.array([row[index] for row in values], pa.binary()))
            for index, name in enumerate(text)
        ]
        if as_records:
            yield numbers, columns, records
            continue
        batch = _to_batch(table, numbers, records, schema)
        schema = batch.schema
        yield numbers, columns, batch


def _json_blocks(table: Table) -> Iterator[tuple[list[int], list[Record]]]:
    try:
        with tables.open_plain(table) as file:
            numbers: list[int] = []
            records: list[Record] = []
            size = 0
            for number, line in enumerate(iter(lambda: file.readline(BLOCK), b""), 1):
                record = tables.parse_object(table, number, line)
                if record is not None:
                    numbers.append(number)
                    records.append(record)
                    size += len(line)
                if size >= BLOCK:
                    yield numbers, records
                    numbers, records, size = [], [], 0
            if records:
                yield numbers, records
    except tables.GZIP_ERRORS:
        raise UserError(f"{table.name}: {tables.NOT_GZIP}") from None


def _to_batch(table: Table, numbers: list[int], records: list[Record], schema: pa.Schema | None) -> pa.RecordBatch:
    """Lay records out in columns: those of `schema`, or of all the records where it is None."""
    where = f"{table.name}: rows {numbers[0]} to {numbers[-1]}"
    advice = "write to .jsonl, which needs no columns"
    names = list(schema.names if schema else dict.fromkeys(name for record in records for name in record))
    for number, record in zip(numbers, records, strict=True):
        if new := [name for name in record if name not in names]:
            raise UserError(f"{table.name}: row {number}: {short(new[0])} is in no row before it; {advice}")
    arrays = []
    for name in names:
        values = [record.get(name) for record in records]
        try:
            array = pa.array(values, schema.field(name).type if schema else None)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeError) as error:
            raise UserError(f"{where}: {short(name)} is not of one type: {_line(error)}; {advice}") from None
        arrays.append(array.cast(pa.string()) if pa.types.is_null(array.type) else array)
    return pa.record_batch(arrays, names=names)


def _require(table: Table, columns: list[Column], known: list[Column]) -> None:
    for column in columns:
        if column not in known:
            raise UserError(f"{table.name}: no column {column!r}; there are {listed(known)}")


def encode(frame: Frame, added: dict[str, pa.Array], table: Table, *, escape: bool = True) -> Any:
    """Add columns to a frame, and bring it into the form that the writer of `table`'s format takes.

    It is safe to call in several threads at once. With `escape`, cells of CSV and TSV that a spreadsheet would take
    for a formula get a leading apostrophe; numbers do not.

    Raises:
        UserError: a column of that name is there already, or one that the format cannot hold.
    """
    if isinstance(frame.rows, list):
        for number, record in zip(frame.numbers, frame.rows, strict=True):
            _refuse_clash(table, f"row {number} of the input", added, list(record))
        new = pa.RecordBatch.from_pydict(added).to_pylist()
        return _json_lines(record | values for record, values in zip(frame.rows, new, strict=True))
    batch = frame.rows
    _refuse_clash(table, "the input", added, batch.schema.names)
    for name, array in added.items():
        batch = batch.append_column(name, array)
    if table.format == "parquet":
        return batch
    if table.format == "jsonl":
        return _json_lines(batch.to_pylist())
    return _csv_lines(batch, table, header=table.header and frame.index == 0, escape=escape)


def _refuse_clash(table: Table, where: str, added: dict[str, pa.Array], names: list[str]) -> None:
    for name in added:
        if name in names:
            raise UserError(f"{table.name}: {where} has a column {name!r} already; give the new ones a --prefix")


@contextmanager
def open_writer(table: Table) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes what `encode` returned, in order; the file appears, whole, at the end.

    CSV, TSV and JSON Lines are compressed with gzip if their name ends in .gz.
    """
    with atomic(table.path) as temporary:
        if table.format == "parquet":
            writers: list[pq.ParquetWriter] = []

            def write(batch: pa.RecordBatch) -> None:
                if not writers:
                    writers.append(pq.ParquetWriter(temporary, batch.schema, compression="zstd"))
                writers[0].write_batch(batch)

            try:
                yield write
            finally:
                for writer in writers:
                    writer.close()
        else:
            with temporary.open("wb") as raw:
                if table.path.name.lower().endswith(".gz"):
                    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:  # no name, no clock
                        yield partial(_write, cast(IO[bytes], file))
                else:
                    yield partial(_write, raw)


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _csv_lines(batch: pa.RecordBatch, table: Table, *, header: bool, escape: bool) -> bytes:
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        column = _csv_column(table, name, column)
        columns[name] = neutralize(column) if escape and pa.types.is_string(column.type) else column
    names = pa.array(columns, pa.string())
    lines = pa.record_batch(list(columns.values()), names=(neutralize(names) if escape else names).to_pylist())
    sink = pa.BufferOutputStream()
    csv.write_csv(lines, sink, csv.WriteOptions(include_header=header, delimiter=DELIMITERS[table.format]))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _csv_column(table: Table, name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_null(kind):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError(
            f"{table.name}: column {name!r} holds {short(str(kind))}, which CSV cannot; write .jsonl or .parquet"
        ) from None


def neutralize(cells: pa.StringArray) -> pa.StringArray:
    """Put an apostrophe before cells that a spreadsheet would run as a formula; plain numbers stay as they are."""
    risky = pc.and_not(pc.match_substring_regex(cells, FORMULA), pc.match_substring_regex(cells, NUMBER))
    if not pc.any(risky).as_py():
        return cells
    return pc.if_else(risky, pc.binary_join_element_wise("'", cells, ""), cells)


def _json_lines(records: Any) -> bytes:
    return b"".join(_json_line(record) for record in records)


def _json_line(record: Record) -> bytes:
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # NaN and infinity, which JSON has not
        line = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False, default=_plain)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which came in as an escape
        return json.dumps(json.loads(line)).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Turn what Parquet knows and JSON does not, such as dates, into strings."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
